/** @file What a layer's time may depend on: its kind, its work, its shapes. */
import {
  consumersOf,
  intOf,
  producersOf,
  readsOf,
  sizeOf,
  staticShape,
  type Model,
  type Node,
  type ValueType,
} from '../../ir/index.js';
import { bindDims, costOf, inferShapes } from '../../passes/index.js';
import { layerWork, symbolsFrom, type LayerGroup, type LayerWork } from '../layer-work.js';

/**
 * Numbers that a layer's time is learned from. Sizes in elements, traffic in bytes. `paddedMacs`: as many as there are where channels
 * are filled up to multiples of 16, which engines with blocked layouts do. `boundaryElements`: what enters such a layout here, or
 * leaves it. `networkBytes`: all weights of the network; where they exceed the caches, each layer's come from memory.
 */
export const featureNames = [
  'macs',
  'flops',
  'bytes',
  'weightBytes',
  'inputElements',
  'outputElements',
  'pixels',
  'channelsIn',
  'channelsOut',
  'kernel',
  'members',
  'paddedMacs',
  'boundaryElements',
  'networkBytes',
] as const;

export type FeatureName = (typeof featureNames)[number];

export type Features = Readonly<Record<FeatureName, number>>;

/** Kinds of layers whose times follow one law: what the engine has kernels of its own for. */
export const families = [
  'conv',
  'conv-pointwise',
  'conv-depthwise',
  'conv-unpacked',
  'product',
  'recurrent',
  'pool',
  'normalise',
  'elementwise',
  'move',
  'other',
] as const;

export type Family = (typeof families)[number];

/** A layer as the predictor sees it. */
export interface DescribedLayer {
  readonly name: string;
  readonly op: string;
  readonly family: Family;
  readonly features: Features;
  readonly work: LayerWork;
}

const FAMILIES: readonly (readonly [Family, readonly string[]])[] = [
  ['product', ['MatMul', 'Gemm', 'MatMulInteger', 'QLinearMatMul', 'Einsum', 'Attention']],
  ['recurrent', ['LSTM', 'GRU', 'RNN', 'Scan', 'Loop']],
  [
    'pool',
    ['MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'LpPool', 'ReduceMean', 'ReduceSum', 'ReduceMax'],
  ],
  [
    'normalise',
    [
      'BatchNormalization',
      'LayerNormalization',
      'InstanceNormalization',
      'GroupNormalization',
      'Softmax',
      'LogSoftmax',
      'LRN',
    ],
  ],
  [
    'move',
    [
      'Reshape',
      'Flatten',
      'Squeeze',
      'Unsqueeze',
      'Transpose',
      'Concat',
      'Split',
      'Slice',
      'Gather',
      'Pad',
      'Resize',
      'Upsample',
      'Expand',
      'Tile',
      'Identity',
      'Cast',
      'DepthToSpace',
      'SpaceToDepth',
      'Shape',
    ],
  ],
  [
    'elementwise',
    [
      'Add',
      'Sub',
      'Mul',
      'Div',
      'Relu',
      'Clip',
      'LeakyRelu',
      'Sigmoid',
      'HardSigmoid',
      'HardSwish',
      'Tanh',
      'Exp',
      'Sqrt',
      'Erf',
      'Gelu',
      'PRelu',
      'Pow',
      'Min',
      'Max',
      'Where',
      'Neg',
      'Softplus',
      'Elu',
      'Selu',
      'QuantizeLinear',
      'DequantizeLinear',
    ],
  ],
];

/**
 * Describes groups of a model's nodes. `dims`: the sizes that the inputs have. Layers of operators without a cost rule have no MACs.
 * Throws what shape inference throws.
 */
export function describeLayers(
  model: Model,
  groups: readonly LayerGroup[],
  inputs: Readonly<Record<string, readonly number[]>>,
): readonly DescribedLayer[] {
  const sized = bindDims(model, symbolsFrom(model, inputs)).model;
  const { types } = inferShapes(sized, { unknownOps: 'skip' });
  const nodes = new Map(sized.graph.nodes.map((node) => [node.name, node]));
  const works = layerWork(model, { layers: groups, inputs });
  const boundary = boundariesOf(sized, types);
  const networkBytes = [...sized.graph.initializers.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  return groups.map(({ name, op, members = [name] }, i): DescribedLayer => {
    const own = members.map((member) => nodes.get(member)).filter((node) => node !== undefined);
    const main = nodes.get(name);
    const work = works[i]!;
    const shape = main && shapesOf(main, sized, types);
    return {
      ...{ name, op, work },
      family: main === undefined ? 'other' : familyOf(main, shape!),
      features: {
        ...featuresOf(own, main, sized, types, shape),
        ...{ macs: work.macs, flops: work.flops, bytes: work.bytes },
        paddedMacs: work.macs * (main === undefined ? 1 : padding(main, shape!)),
        ...{ boundaryElements: boundary(own), networkBytes },
      },
    };
  });
}

interface Shapes {
  /** The weight can be fed as an input, too: no engine packs or fuses it beforehand. */
  readonly open: boolean;
  readonly input: readonly number[] | undefined;
  readonly output: readonly number[] | undefined;
  readonly weight: readonly number[] | undefined;
}

function dimsOf(type: ValueType | undefined): readonly number[] | undefined {
  return type?.kind === 'tensor' ? staticShape(type.shape) : undefined;
}

function shapesOf(node: Node, { graph }: Model, types: ReadonlyMap<string, ValueType>): Shapes {
  return {
    open: graph.inputs.some(({ name }) => name === node.inputs[1]),
    input: dimsOf(types.get(node.inputs[0] ?? '')),
    output: dimsOf(types.get(node.outputs[0] ?? '')),
    weight: graph.initializers.get(node.inputs[1] ?? '')?.dims,
  };
}

const BLOCK = 16;

/** Operators that take and give blocked layouts, where convolutions stand around them. */
const BLOCKED = new Set([
  ...['Conv', 'BatchNormalization', 'MaxPool', 'AveragePool', 'GlobalMaxPool', 'GlobalAveragePool', 'Concat'],
  ...['Add', 'Sum', 'Mul', 'Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'Tanh', 'HardSigmoid', 'Resize', 'Upsample'],
]);

/** How many elements of a group's own values cross into blocked layouts or out of them: convolutions' inputs and outputs. */
function boundariesOf({ graph }: Model, types: ReadonlyMap<string, ValueType>): (own: readonly Node[]) => number {
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const size = (name: string): number => sizeOf(dimsOf(types.get(name)) ?? [0]);
  return (own) => {
    const conv = own[0]?.op === 'Conv' ? own[0] : undefined;
    if (conv === undefined) return 0;
    const input = conv.inputs[0]!;
    const channels = dimsOf(types.get(input))?.[1] ?? 0;
    const enters = channels >= BLOCK && !BLOCKED.has(producers.get(input)?.op ?? '');
    const last = own.at(-1)!.outputs[0]!;
    const leaves = outputs.has(last) || (consumers.get(last) ?? []).some(({ op }) => !BLOCKED.has(op));
    return (enters ? size(input) : 0) + (leaves ? size(last) : 0);
  };
}

/** How much more there is to multiply where channels are filled up to whole blocks; few input channels are taken as they are. */
function padding(node: Node, { input, output, weight }: Shapes): number {
  const grown = (channels = 1): number => (Math.ceil(channels / BLOCK) * BLOCK) / Math.max(1, channels);
  if (node.op.includes('Conv')) {
    const inputs = (weight?.[1] ?? 1) < BLOCK ? 1 : grown(input?.[1]);
    return grown(output?.[1]) * inputs;
  }
  return FAMILIES[0]![1].includes(node.op) ? grown(output?.at(-1)) : 1;
}

function familyOf(node: Node, { open, input, weight }: Shapes): Family {
  if (node.op.endsWith('Conv') || node.op === 'ConvInteger' || node.op === 'ConvTranspose') {
    if (open) return 'conv-unpacked';
    const groups = intOf(node, 'group', 1);
    if (groups > 1 && groups === input?.[1]) return 'conv-depthwise';
    return groups === 1 && weight?.slice(2).every((size) => size === 1) ? 'conv-pointwise' : 'conv';
  }
  return FAMILIES.find(([, ops]) => ops.includes(node.op))?.[0] ?? 'other';
}

function featuresOf(
  own: readonly Node[],
  main: Node | undefined,
  { graph }: Model,
  types: ReadonlyMap<string, ValueType>,
  shape: Shapes | undefined,
): Omit<Features, 'macs' | 'flops' | 'bytes' | 'paddedMacs' | 'boundaryElements' | 'networkBytes'> {
  const made = new Set(own.flatMap((node) => node.outputs));
  const read = new Set(own.flatMap((node) => [...readsOf(node)]).filter((name) => name !== '' && !made.has(name)));
  let [weightBytes, inputElements] = [0, 0];
  for (const name of read) {
    const weight = graph.initializers.get(name);
    if (weight !== undefined) weightBytes += weight.bytes.length;
    else inputElements += sizeOf(dimsOf(types.get(name)) ?? [0]);
  }
  const { input, output, weight } = shape ?? {};
  const convolves = main !== undefined && main.op.includes('Conv');
  const spatial = (output?.length ?? 0) > 2;
  return {
    ...{ weightBytes, inputElements },
    outputElements: output === undefined ? 0 : sizeOf(output),
    pixels: spatial ? sizeOf(output!.slice(2)) : 1,
    channelsIn: (spatial ? input?.[1] : input?.at(-1)) ?? 1,
    channelsOut: (spatial ? output![1] : output?.at(-1)) ?? 1,
    kernel: convolves && weight !== undefined ? sizeOf(weight.slice(2)) : 1,
    members: Math.max(1, own.length),
  };
}

/** MACs, parameters and peak of activations of a model whose inputs have these sizes. */
export function networkSize(
  model: Model,
  inputs: Readonly<Record<string, readonly number[]>>,
): { readonly macs: number; readonly params: number; readonly peakActivationBytes: number } {
  const { macs, params, peakActivationBytes } = costOf(model, {
    unknownOps: 'skip',
    symbols: symbolsFrom(model, inputs),
  }).total;
  return { macs, params, peakActivationBytes };
}
