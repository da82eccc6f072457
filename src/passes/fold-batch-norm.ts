/** @file Folding of inference-form BatchNormalization into the weights before it, or into a scale and a shift. */
import {
  applyPatch,
  consumersOf,
  float,
  floatOf,
  GraphBuilder,
  intOf,
  opsetOf,
  producersOf,
  Tensor,
  type Graph,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';
import { weightsOf } from './freeze.js';
import { inferShapes } from './infer-shapes.js';

export interface FoldBatchNormResult {
  readonly model: Model;
  readonly changed: boolean;
  /** BatchNormalization nodes that went into the Conv, ConvTranspose or Gemm before them. */
  readonly folded: readonly string[];
  /** BatchNormalization nodes that became one multiplication and one addition. */
  readonly scaled: readonly string[];
  /** BatchNormalization nodes that stayed, with the reason. */
  readonly kept: readonly { readonly node: string; readonly why: string }[];
}

/** y = factor · x + shift per channel. */
interface Affine {
  readonly factor: Float64Array;
  readonly shift: Float64Array;
}

/** A layer whose weights take up a channel-wise affine map: the weight's and bias's new values. */
interface Absorbed {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** The layer with these inputs. */
  readonly node: (weight: string, bias: string) => Node;
}

type Absorb = (node: Node, weights: ReadonlyMap<string, Tensor>, affine: Affine) => Absorbed | undefined;

/** How each layer takes up a scale and a shift of its output channels. */
const absorbers: Readonly<Record<string, Absorb>> = {
  Conv: absorbIntoConv,
  ConvTranspose: absorbIntoConvTranspose,
  Gemm: absorbIntoGemm,
};

/**
 * Removes inference-form BatchNormalization (ONNX BatchNormalization-7 to 15) from the main graph: into the weights of
 * a Conv, ConvTranspose or Gemm whose only reader it is, elsewhere as Mul and Add with constants.
 * Contract: requires constant scale, bias, mean and variance in float32 or float64; ensures the same outputs up to
 * rounding (weights are formed in float64), and leaves the training form and everything else as it is.
 */
export function foldBatchNorm(model: Model): FoldBatchNormResult {
  const folded: string[] = [];
  const scaled: string[] = [];
  const kept: { node: string; why: string }[] = [];
  const opset = opsetOf(model);
  let { graph } = model;
  const types = inferShapes(model, { unknownOps: 'skip' }).types;

  for (const node of model.graph.nodes) {
    if (node.op !== 'BatchNormalization' || node.domain !== '') continue;
    const weights = constantsOf(graph);
    const affine = affineOf(node, weights, opset);
    if (typeof affine === 'string') {
      kept.push({ node: node.name, why: affine });
      continue;
    }
    const next = foldIntoLayer(graph, node, weights, affine);
    if (next) {
      folded.push(node.name);
      graph = next;
      continue;
    }
    const rank = rankOf(types.get(node.inputs[0]!));
    if (rank === undefined) {
      kept.push({ node: node.name, why: 'the rank of its input is not known' });
      continue;
    }
    scaled.push(node.name);
    graph = replaceByScale(graph, node, affine, weights.get(node.inputs[1]!)!.dtype, rank);
  }
  const changed = folded.length + scaled.length > 0;
  return { model: changed ? { ...model, graph } : model, changed, folded, scaled, kept };
}

/** Constants by name. Exporters share equal weights through Identity nodes: these are looked through. */
function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map(weightsOf(graph));
  for (const input of graph.inputs) constants.delete(input.name);
  for (const node of graph.nodes) {
    const value = node.op === 'Identity' && node.domain === '' ? constants.get(node.inputs[0]!) : undefined;
    if (value) constants.set(node.outputs[0]!, value);
  }
  return constants;
}

/** The node's affine map, or the reason why it has none. */
function affineOf(node: Node, weights: ReadonlyMap<string, Tensor>, opset: number): Affine | string {
  const training =
    opset >= 14 ? intOf(node, 'training_mode', 0) === 1 : node.outputs.slice(1).some((name) => name !== '');
  if (training) return 'it is in training form';
  if (intOf(node, 'spatial', 1) === 0) return 'it normalises each position by itself (spatial = 0)';
  const parts = node.inputs.slice(1, 5).map((name) => weights.get(name));
  const [scale, bias, mean, variance] = parts;
  if (!scale || !bias || !mean || !variance) return 'its statistics are no constants';
  const numbers: number[][] = [];
  for (const part of [scale, bias, mean, variance]) {
    if (part.dtype !== 'float32' && part.dtype !== 'float64') return `its statistics are ${part.dtype}`;
    numbers.push(part.numbers());
  }
  const [g, b, m, v] = numbers as [number[], number[], number[], number[]];
  // The attribute is a float32: 1e-5 means the nearest one, which the reader has already widened.
  const epsilon = floatOf(node, 'epsilon', Math.fround(1e-5));
  const factor = Float64Array.from(g, (value, c) => value / Math.sqrt(v[c]! + epsilon));
  return { factor, shift: Float64Array.from(b, (value, c) => value - m[c]! * factor[c]!) };
}

function foldIntoLayer(
  graph: Graph,
  norm: Node,
  weights: ReadonlyMap<string, Tensor>,
  affine: Affine,
): Graph | undefined {
  const value = norm.inputs[0]!;
  const layer = producersOf(graph).get(value);
  if (layer === undefined || layer.domain !== '') return undefined;
  const readers = consumersOf(graph).get(value) ?? [];
  if (readers.length !== 1 || graph.outputs.some((output) => output.name === value)) return undefined;
  const absorbed = absorbers[layer.op]?.(layer, weights, affine);
  if (absorbed === undefined) return undefined;
  const names = GraphBuilder.beside(graph);
  const weight = names.fresh(`${layer.inputs[1]!}_folded`);
  const bias = names.fresh(`${layer.inputs[2] || `${layer.name}_bias`}_folded`);
  const node = { ...absorbed.node(weight, bias), outputs: [norm.outputs[0]!] };
  return dropUnread(
    applyPatch(graph, {
      reason: `fold ${norm.name} into ${layer.name}`,
      remove: [layer.name, norm.name],
      insert: [node],
      initializers: new Map([
        [weight, absorbed.weight],
        [bias, absorbed.bias],
      ]),
    }),
    [...layer.inputs, ...norm.inputs],
  );
}

function replaceByScale(graph: Graph, norm: Node, affine: Affine, dtype: Tensor['dtype'], rank: number): Graph {
  const b = GraphBuilder.beside(graph);
  const dims = [affine.factor.length, ...new Array<number>(Math.max(0, rank - 2)).fill(1)];
  const factor = b.parameter(`${norm.name}_scale`, toTensor(dtype, dims, affine.factor));
  const shift = b.parameter(`${norm.name}_shift`, toTensor(dtype, dims, affine.shift));
  const product = b.op('Mul', [norm.inputs[0], factor], {}, { name: `${norm.name}_mul` });
  b.op('Add', [product, shift], {}, { name: `${norm.name}_add` });
  const add = { ...b.nodes[1]!, outputs: [norm.outputs[0]!] };
  return dropUnread(
    applyPatch(graph, {
      reason: `write ${norm.name} as a scale and a shift`,
      remove: [norm.name],
      insert: [b.nodes[0]!, add],
      initializers: b.initializers,
    }),
    norm.inputs,
  );
}

/** Conv-1/11: W is [M, C/group, k…]; the output channel is its first axis. */
function absorbIntoConv(
  node: Node,
  weights: ReadonlyMap<string, Tensor>,
  { factor, shift }: Affine,
): Absorbed | undefined {
  const weight = floatWeight(weights, node.inputs[1]);
  const bias = node.inputs[2] ? floatWeight(weights, node.inputs[2]) : null;
  if (!weight || bias === undefined || weight.dims[0] !== factor.length) return undefined;
  const inner = weight.size / factor.length;
  const values = Float64Array.from(
    weight.data as ArrayLike<number>,
    (value, index) => value * factor[Math.floor(index / inner)]!,
  );
  return layerWith(node, weight, values, bias, factor, shift);
}

/** ConvTranspose-1/11: W is [C, M/group, k…]; input channel c belongs to group ⌊c · group / C⌋. */
function absorbIntoConvTranspose(
  node: Node,
  weights: ReadonlyMap<string, Tensor>,
  { factor, shift }: Affine,
): Absorbed | undefined {
  const weight = floatWeight(weights, node.inputs[1]);
  const bias = node.inputs[2] ? floatWeight(weights, node.inputs[2]) : null;
  const group = intOf(node, 'group', 1);
  const [channels = 0, perGroup = 0] = weight?.dims ?? [];
  if (!weight || bias === undefined || perGroup * group !== factor.length) return undefined;
  const inner = weight.size / (channels * perGroup);
  const values = Float64Array.from(weight.data as ArrayLike<number>, (value, index) => {
    const row = Math.floor(index / inner);
    const owner = Math.floor((Math.floor(row / perGroup) * group) / channels);
    return value * factor[owner * perGroup + (row % perGroup)]!;
  });
  return layerWith(node, weight, values, bias, factor, shift);
}

/** Gemm-7 to 13: Y = alpha · A · B + beta · C; the channel is the last axis of Y. */
function absorbIntoGemm(
  node: Node,
  weights: ReadonlyMap<string, Tensor>,
  { factor, shift }: Affine,
): Absorbed | undefined {
  const weight = floatWeight(weights, node.inputs[1]);
  const bias = node.inputs[2] ? floatWeight(weights, node.inputs[2]) : null;
  if (!weight || bias === undefined || weight.dims.length !== 2) return undefined;
  const transposed = intOf(node, 'transB', 0) !== 0;
  const [rows, columns] = weight.dims as [number, number];
  if ((transposed ? rows : columns) !== factor.length) return undefined;
  // A bias with a row of its own for each sample cannot take up a shift per channel.
  if (bias && bias.size !== 1 && bias.dims.at(-1) !== bias.size) return undefined;
  const values = Float64Array.from(
    weight.data as ArrayLike<number>,
    (value, index) => value * factor[transposed ? Math.floor(index / columns) : index % columns]!,
  );
  const beta = floatOf(node, 'beta', 1);
  const scaledBias = bias && Float64Array.from(bias.data as ArrayLike<number>, (value) => value * beta);
  const attributes = new Map(node.attributes);
  if (beta !== 1) attributes.set('beta', float(1));
  const absorbed = layerWith(node, weight, values, scaledBias, factor, shift);
  return { ...absorbed, node: (w, c) => ({ ...absorbed.node(w, c), attributes }) };
}

function layerWith(
  node: Node,
  weight: Tensor,
  values: Float64Array,
  bias: Tensor | Float64Array | null,
  factor: Float64Array,
  shift: Float64Array,
): Absorbed {
  const old = bias instanceof Float64Array ? bias : bias && Float64Array.from(bias.data as ArrayLike<number>);
  const newBias = Float64Array.from(shift, (value, c) => {
    const before = old === null ? 0 : old[old.length === 1 ? 0 : c]!;
    return before * factor[c]! + value;
  });
  return {
    weight: toTensor(weight.dtype, weight.dims, values),
    bias: toTensor(weight.dtype, [factor.length], newBias),
    node: (weightName, biasName) => ({ ...node, inputs: [node.inputs[0]!, weightName, biasName] }),
  };
}

function floatWeight(weights: ReadonlyMap<string, Tensor>, name: string | undefined): Tensor | undefined {
  const tensor = name === undefined ? undefined : weights.get(name);
  return tensor?.dtype === 'float32' || tensor?.dtype === 'float64' ? tensor : undefined;
}

function toTensor(dtype: Tensor['dtype'], dims: readonly number[], values: Float64Array): Tensor {
  return dtype === 'float64' ? Tensor.of('float64', dims, values) : Tensor.floats(Float32Array.from(values), dims);
}

function rankOf(type: ValueType | undefined): number | undefined {
  return type?.kind === 'tensor' ? type.shape?.length : undefined;
}

/** Drops those of the named weights that nothing reads any more: initializers, Constant nodes, Identities of these. */
function dropUnread(graph: Graph, names: readonly string[]): Graph {
  const read = consumersOf(graph);
  const kept = new Set([...graph.inputs, ...graph.outputs].map((value) => value.name));
  const gone = new Set(names.filter((name) => name !== '' && !read.has(name) && !kept.has(name)));
  const nodes = graph.nodes.filter((node) => !(WEIGHT_NODES.has(node.op) && gone.has(node.outputs[0]!)));
  const rest: Graph = {
    ...graph,
    initializers: new Map([...graph.initializers].filter(([name]) => !gone.has(name))),
    nodes,
    types: new Map([...graph.types].filter(([name]) => !gone.has(name))),
  };
  const sources = graph.nodes.filter((node) => !nodes.includes(node)).flatMap((node) => node.inputs);
  return sources.length === 0 ? rest : dropUnread(rest, sources);
}

const WEIGHT_NODES: ReadonlySet<string> = new Set(['Constant', 'Identity']);
