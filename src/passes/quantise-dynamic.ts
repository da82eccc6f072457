/** @file Dynamic int8 quantisation: weights become integers beforehand, activations at run time with the range they happen to have. */
import {
  EMIT_OPSET,
  GraphBuilder,
  intOf,
  opsetOf,
  sortNodes,
  Tensor,
  type Graph,
  type Model,
  type Node,
} from '../ir/index.js';
import { removeDeadNodes } from './dead-nodes.js';
import { quantiseWeight } from './quantise-weight.js';
import { upgradeOpset } from './upgrade-opset.js';

export interface QuantiseDynamicOptions {
  /** Layers to leave in float, by node. */
  readonly skip?: (node: Node) => boolean;
  /** One scale per output channel (default), or one per weight tensor. */
  readonly perChannel?: boolean;
}

export interface QuantiseDynamicResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the nodes that now multiply integers. */
  readonly layers: readonly string[];
}

const INT32_TO_FLOAT = 1;

/**
 * Rewrites Conv, Gemm and MatMul with constant float32 weights: DynamicQuantizeLinear on the activation, ConvInteger or
 * MatMulInteger with int8 weights (symmetric), then Cast, Mul with both scales, and Add of the bias. It needs no calibration
 * data; every layer pays for finding its input's range. Inputs and outputs of the model stay float32.
 * Contract: fold BatchNormalization first; ensures inputs, outputs and their types. Older models are raised to EMIT_OPSET.
 * Source: ONNX DynamicQuantizeLinear-11, ConvInteger-10, MatMulInteger-10.
 */
export function quantiseDynamic(model: Model, options: QuantiseDynamicOptions = {}): QuantiseDynamicResult {
  const current = opsetOf(model) < EMIT_OPSET ? upgradeOpset(model).model : model;
  const { graph } = current;
  const layers = new Set(graph.nodes.filter((node) => isLayer(graph, node) && !options.skip?.(node)));
  if (layers.size === 0) return { model, changed: false, layers: [] };
  const b = GraphBuilder.beside(graph);
  const activations = new Map<string, Activation>();
  const nodes = graph.nodes.flatMap((node) => {
    if (!layers.has(node)) return [node];
    const input = node.inputs[0]!;
    let activation = activations.get(input);
    if (activation === undefined) {
      const [quantised, scale, zero] = b.ops(
        'DynamicQuantizeLinear',
        [input],
        {},
        { name: `${input}/quantise`, outputs: 3 },
      );
      activations.set(input, (activation = { quantised: quantised!, scale: scale!, zero: zero! }));
    }
    return layer(b, graph, node, activation, options.perChannel ?? true);
  });
  return {
    model: removeDeadNodes({
      ...current,
      graph: {
        ...graph,
        nodes: sortNodes([...nodes, ...b.nodes]),
        initializers: new Map([...graph.initializers, ...b.initializers]),
        types: new Map(),
      },
    }).model,
    changed: true,
    layers: [...layers].map(({ name }) => name),
  };
}

interface Activation {
  readonly quantised: string;
  readonly scale: string;
  readonly zero: string;
}

function isLayer(graph: Graph, node: Node): boolean {
  if (node.domain !== '' || !['Conv', 'Gemm', 'MatMul'].includes(node.op)) return false;
  const weight = graph.initializers.get(node.inputs[1]!);
  if (weight?.dtype !== 'float32') return false;
  if (node.op === 'Conv') return weight.dims.length >= 3;
  if (weight.dims.length !== 2) return false;
  return (
    node.op === 'MatMul' ||
    (intOf(node, 'transA', 0) === 0 && !node.attributes.has('alpha') && !node.attributes.has('beta'))
  );
}

/** The integer form of one layer; its last node gives the value under its old name. */
function layer(
  b: GraphBuilder,
  graph: Graph,
  node: Node,
  activation: Activation,
  perChannel: boolean,
): readonly Node[] {
  const convolution = node.op === 'Conv';
  const given = graph.initializers.get(node.inputs[1]!)! as Tensor<'float32'>;
  const weight = node.op === 'Gemm' && intOf(node, 'transB', 0) === 1 ? transposed(given) : given;
  const { integers, scales } = quantiseWeight(weight, perChannel ? (convolution ? 0 : 1) : undefined, 8);
  /** Per output channel: the last axis of a product, the second of a feature map. */
  const aligned = (length: number): readonly number[] =>
    convolution ? [1, length, ...weight.dims.slice(2).map(() => 1)] : [length];
  const start = b.nodes.length;
  const weights = b.parameter(`${node.inputs[1]!}.int8`, integers);
  const product = convolution
    ? b.op('ConvInteger', [activation.quantised, weights, activation.zero], Object.fromEntries(node.attributes), {
        name: `${node.name}/integer`,
      })
    : b.op('MatMulInteger', [activation.quantised, weights, activation.zero], {}, { name: `${node.name}/integer` });
  const real = b.op('Cast', [product], { to: INT32_TO_FLOAT }, { name: `${node.name}/cast` });
  const scale = b.parameter(
    `${node.inputs[1]!}.scale`,
    Tensor.floats(scales, scales.length === 1 ? [] : aligned(scales.length)),
  );
  const bothScales = b.op('Mul', [activation.scale, scale], {}, { name: `${node.name}/scales` });
  b.op('Mul', [real, bothScales], {}, { name: `${node.name}/scale` });
  const biasName = node.inputs[2];
  if (biasName) {
    const bias = graph.initializers.get(biasName);
    const place =
      convolution && bias !== undefined
        ? b.parameter(`${biasName}.aligned`, bias.reshape(aligned(bias.size)))
        : biasName;
    b.op('Add', [b.nodes.at(-1)!.outputs[0]!, place], {}, { name: `${node.name}/bias` });
  }
  const made = b.nodes.splice(start);
  const last = made.pop()!;
  return [...made, { ...last, outputs: [node.outputs[0]!] }];
}

function transposed(weight: Tensor<'float32'>): Tensor<'float32'> {
  const [rows, columns] = weight.dims as [number, number];
  const { data } = weight;
  const values = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) values[c * rows + r] = data[r * columns + c]!;
  return Tensor.floats(values, [columns, rows]);
}
