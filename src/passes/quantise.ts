/** @file Static int8 quantisation: weights become integers, activations pass through QuantizeLinear–DequantizeLinear pairs. */
import {
  consumersOf,
  CuttleError,
  EMIT_OPSET,
  GraphBuilder,
  intOf,
  makeNode,
  opsetOf,
  producersOf,
  rewireNode,
  int,
  sortNodes,
  Tensor,
  type Graph,
  type Model,
  type Node,
} from '../ir/index.js';
import { removeDeadNodes } from './dead-nodes.js';
import { inferShapes } from './infer-shapes.js';
import { clamp, quantiseWeight } from './quantise-weight.js';
import { upgradeOpset } from './upgrade-opset.js';

/** The values that an activation takes on the calibration samples. */
export interface ActivationRange {
  readonly min: number;
  readonly max: number;
}

/** A value whose range is not known, or is no range. Exit code 2. */
export class MissingRangeError extends CuttleError {
  constructor(value: string, range: ActivationRange | undefined) {
    const what = range === undefined ? 'no range is given' : `the range ${range.min} … ${range.max} is given`;
    super('usage', 'passes/missing-range', `cannot quantise: ${what} for '${value}'`, {
      hint: 'Measure the ranges of quantisableActivations(model) on calibration samples (measureRanges of cuttle/runtime).',
    });
  }
}

export interface QuantiseOptions {
  /** Per activation of `quantisableActivations`. */
  readonly ranges: ReadonlyMap<string, ActivationRange>;
  /** Layers to leave in float, by node. */
  readonly skip?: (node: Node) => boolean;
  /** One scale per output channel (default), or one per weight tensor. */
  readonly perChannel?: boolean;
  /** Seven bits keep the sums of processors without VNNI instructions, which add pairs in 16 bits, from saturating. */
  readonly weightBits?: 7 | 8;
}

export interface QuantiseResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the nodes that now compute in integers. */
  readonly layers: readonly string[];
}

/** Layers with weights, and which axis of the weight is the output channel. */
const WEIGHTED: Readonly<Record<string, (node: Node) => number>> = {
  Conv: () => 0,
  Gemm: (node) => (intOf(node, 'transB', 0) === 1 ? 0 : 1),
  MatMul: () => 1,
};
/** Operators that ONNX Runtime computes in integers where all their activations are. */
const INTEGER: ReadonlySet<string> = new Set(['Add', 'Mul', 'GlobalAveragePool', 'AveragePool', 'Concat']);
/** Operators that only move or clip numbers: what goes in quantised comes out so, with the same scale. */
const PASSING: ReadonlySet<string> = new Set(['MaxPool', 'Flatten', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze']);
/** Activations that disappear into the range of what follows a layer. */
const CLIPPING: ReadonlySet<string> = new Set(['Relu', 'Clip']);

/** The activations whose ranges `quantise` needs, by name. Fold BatchNormalization first. */
export function quantisableActivations(model: Model, skip: QuantiseOptions['skip'] = undefined): readonly string[] {
  return [...new Plan(raised(model), skip).activations];
}

/**
 * Quantises convolutions, Gemm, MatMul with constant weights, and the sums, pools and joins between them, as a float model with
 * QuantizeLinear–DequantizeLinear pairs, which ONNX Runtime fuses into integer kernels and any other runtime can read.
 * Activations: uint8, one scale and zero point each from the given range, 0 always representable. Weights: int8, symmetric, per
 * output channel. Biases: int32 with the product of both scales. Between a layer and its Relu or Clip there is no pair, so that
 * the clipping becomes part of the integer kernel. Graph outputs stay float.
 * Contract: requires ranges for `quantisableActivations(model)`; ensures inputs, outputs and their types. Older models are raised
 * to EMIT_OPSET. Throws MissingRangeError. Source: Jacob et al. 2018 (arXiv 1712.05877); ONNX QuantizeLinear-13.
 */
export function quantise(model: Model, options: QuantiseOptions): QuantiseResult {
  const current = raised(model);
  const plan = new Plan(current, options.skip);
  if (plan.layers.size === 0) return { model, changed: false, layers: [] };
  const graph = new Quantiser(current.graph, plan, options).run();
  return {
    model: removeDeadNodes({ ...current, graph }).model,
    changed: true,
    layers: [...plan.layers].map(({ name }) => name),
  };
}

const raised = (model: Model): Model => (opsetOf(model) < EMIT_OPSET ? upgradeOpset(model).model : model);

/** Which nodes are computed in integers, and which activations that quantises. */
class Plan {
  readonly layers = new Set<Node>();
  readonly activations = new Set<string>();

  constructor({ graph, ...rest }: Model, skip: QuantiseOptions['skip']) {
    const { types } = inferShapes({ ...rest, graph }, { unknownOps: 'skip' });
    const consumers = consumersOf(graph);
    const producers = producersOf(graph);
    const outputs = new Set(graph.outputs.map(({ name }) => name));
    const isFloat = (value: string): boolean => {
      const type = types.get(value);
      return type?.kind === 'tensor' && type.dtype === 'float32';
    };
    const weighted = new Set(graph.nodes.filter((node) => !skip?.(node) && hasWeights(graph, node)));
    for (const node of graph.nodes) if (weighted.has(node)) this.layers.add(node);
    // What lies between integer layers is worth computing in integers; anything else stays float.
    const near = (value: string): boolean => {
      const producer = producers.get(value);
      if (producer === undefined) return false;
      if (this.layers.has(producer)) return true;
      return (CLIPPING.has(producer.op) || PASSING.has(producer.op)) && near(producer.inputs[0]!);
    };
    for (const node of graph.nodes)
      if (
        node.domain === '' &&
        INTEGER.has(node.op) &&
        !skip?.(node) &&
        node.inputs.every((input) => isFloat(input) && near(input))
      )
        this.layers.add(node);
    for (const node of this.layers) {
      for (const input of weighted.has(node) ? node.inputs.slice(0, 1) : node.inputs)
        if (!graph.initializers.has(input)) this.activations.add(input);
      let value = node.outputs[0]!;
      // A clipping that alone reads the layer stands for it.
      const [reader, ...more] = consumers.get(value) ?? [];
      if (reader !== undefined && more.length === 0 && CLIPPING.has(reader.op) && !outputs.has(value))
        value = reader.outputs[0]!;
      if (!outputs.has(value)) this.activations.add(value);
    }
    // Behind what only moves numbers the pair is repeated with the same range, or the kernel would leave the integers.
    for (const node of graph.nodes)
      if (PASSING.has(node.op) && this.activations.has(node.inputs[0]!) && !outputs.has(node.outputs[0]!))
        this.activations.add(node.outputs[0]!);
  }
}

function hasWeights(graph: Graph, node: Node): boolean {
  if (node.domain !== '' || WEIGHTED[node.op] === undefined) return false;
  if (
    node.op === 'Gemm' &&
    (intOf(node, 'transA', 0) !== 0 || node.attributes.has('alpha') || node.attributes.has('beta'))
  )
    return false;
  const weight = graph.initializers.get(node.inputs[1]!);
  const bias = node.inputs[2] ? graph.initializers.get(node.inputs[2]) : undefined;
  if (weight?.dtype !== 'float32' || (node.inputs[2] && bias?.dims.length !== 1)) return false;
  return node.op === 'Conv' || weight.dims.length === 2;
}

interface Scale {
  readonly scale: number;
  readonly zero: number;
}

class Quantiser {
  readonly #b: GraphBuilder;
  readonly #scales = new Map<string, Scale>();
  readonly #producers: ReadonlyMap<string, Node>;

  constructor(
    private readonly graph: Graph,
    private readonly plan: Plan,
    private readonly options: QuantiseOptions,
  ) {
    this.#b = GraphBuilder.beside(graph);
    this.#producers = producersOf(graph);
  }

  run(): Graph {
    const rewire = new Map<string, string>();
    for (const value of this.plan.activations) rewire.set(value, this.#pair(value));
    const nodes = this.graph.nodes.map((node) => {
      const read = rewireNode(node, rewire);
      return this.plan.layers.has(node) && WEIGHTED[node.op] !== undefined ? this.#withWeights(node, read) : read;
    });
    return {
      ...this.graph,
      nodes: sortNodes([...nodes, ...this.#b.nodes]),
      initializers: new Map([...this.graph.initializers, ...this.#b.initializers]),
      types: new Map(),
    };
  }

  /** Quantises a value and back; returns the name of what comes out. */
  #pair(value: string): string {
    const b = this.#b;
    const { scale, zero } = this.#scaleOf(value);
    const parameters = [
      b.constant(Tensor.scalar('float32', scale), `${value}/scale`),
      b.constant(Tensor.scalar('uint8', zero), `${value}/zero`),
    ];
    const quantised = b.op('QuantizeLinear', [value, ...parameters], {}, { name: `${value}/quantise` });
    return b.op('DequantizeLinear', [quantised, ...parameters], {}, { name: `${value}/dequantise` });
  }

  #scaleOf(value: string): Scale {
    const known = this.#scales.get(value);
    if (known !== undefined) return known;
    const producer = this.#producers.get(value);
    const passed = producer !== undefined && PASSING.has(producer.op) && this.plan.activations.has(producer.inputs[0]!);
    const scale = passed ? this.#scaleOf(producer.inputs[0]!) : this.#scaleFrom(value);
    this.#scales.set(value, scale);
    return scale;
  }

  #scaleFrom(value: string): Scale {
    const range = this.options.ranges.get(value);
    if (range === undefined || !(range.min <= range.max && range.max - range.min < Infinity))
      throw new MissingRangeError(value, range);
    // Padding and Relu need an exact zero.
    const [min, max] = [Math.min(0, range.min), Math.max(0, range.max)];
    const scale = Math.fround(max === min ? 1 : (max - min) / 255);
    return { scale, zero: Math.max(0, Math.min(255, Math.round(-min / scale))) };
  }

  /** Replaces a layer's weights and bias by dequantised integers. */
  #withWeights(node: Node, read: Node): Node {
    const [, weightName, biasName] = node.inputs as [string, string, string?];
    const weight = this.graph.initializers.get(weightName)!;
    const axis = this.options.perChannel === false ? undefined : WEIGHTED[node.op]!(node);
    const { integers, scales } = quantiseWeight(weight, axis, this.options.weightBits ?? 8);
    const dequantised = this.#constant(weightName, integers, scales, axis ?? 0);
    const inputs = [read.inputs[0]!, dequantised];
    if (biasName) {
      const input = this.#scaleOf(node.inputs[0]!).scale;
      const products = scales.map((scale) => Math.fround(scale * input));
      const values = this.graph.initializers.get(biasName)!.data as Float32Array;
      const rounded = Int32Array.from(values, (value, i) =>
        clamp(Math.round(value / products[products.length === 1 ? 0 : i]!), 2 ** 31 - 1),
      );
      inputs.push(this.#constant(biasName, Tensor.of('int32', [rounded.length], rounded), products, 0));
    }
    return { ...read, inputs };
  }

  #constant(name: string, integers: Tensor, scales: Float32Array, axis: number): string {
    const b = this.#b;
    const single = scales.length === 1;
    const scale = Tensor.of('float32', single ? [] : [scales.length], scales);
    const output = b.fresh(`${name}/dequantised`);
    b.nodes.push(
      makeNode({
        name: b.fresh(`${name}/dequantise`),
        op: 'DequantizeLinear',
        inputs: [b.parameter(`${name}.quantised`, integers), b.parameter(`${name}.scale`, scale)],
        outputs: [output],
        attributes: single ? new Map() : new Map([['axis', int(axis)]]),
      }),
    );
    return output;
  }
}
