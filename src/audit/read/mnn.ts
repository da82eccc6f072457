/** @file MNN networks: a FlatBuffer without a file identifier, whose operators hold their weights and whose shapes are walked. */
import { assembleModel, type FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import { mnnFields as fields, mnnOperators, mnnSources, mnnTypes } from './mnn-schema.js';
import type { AuditModel, AuditTensor, AuditWeight } from './model.js';
import {
  broadcast,
  concatenated,
  elementsOf,
  kernelMacs,
  matrixMacs,
  matrixProduct,
  paddedCount,
  reshaped,
  transposed,
  windowCount,
  type Shape,
} from './shape-rules.js';

interface MnnOperator {
  readonly type: string;
  readonly name: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly main: FlatTable | undefined;
}

/** Reads an MNN network. Throws AuditError where the bytes are no such network or exceed a limit. */
export function readMnn(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('mnn', limits);
  const net = new FlatBuffer(bytes, budget).root();
  const operators = net.tables(fields.net.operators).map((table, index) => operatorOf(table, index, budget));
  const names = net.strings(fields.net.tensors);
  if (operators.length === 0 || names.length === 0) throw budget.invalid('empty', 'it has no operators or no values');
  const layers = layersOf(operators, names, undefined, budget);
  for (const graph of net.tables(fields.net.subgraphs)) {
    const inner = graph.tables(fields.subgraph.nodes).map((table, index) => operatorOf(table, index, budget));
    layers.push(
      ...layersOf(inner, graph.strings(fields.subgraph.tensors), graph.string(fields.subgraph.name) ?? '', budget),
    );
  }
  const main = layers.filter((layer) => layer.graph === undefined);
  const used = new Set(main.flatMap((layer) => layer.inputs.map(({ name }) => name)));
  const named = new Set(net.strings(fields.net.outputs));
  const isOutput = ({ name }: AuditTensor): boolean => (named.size > 0 ? named.has(name) : !used.has(name));
  return assembleModel(
    {
      format: 'mnn',
      version: net.string(fields.net.uuid),
      producer: `MNN converter, from ${mnnSources[net.int8(fields.net.source)] ?? 'another format'}`,
      inputs: main.flatMap((layer) => (layer.op === 'Input' ? layer.outputs : [])),
      outputs: main.flatMap((layer) => layer.outputs.filter(isOutput)),
      layers,
    },
    budget,
  );
}

function operatorOf(table: FlatTable, index: number, budget: ReadBudget): MnnOperator {
  const code = table.int32(fields.operator.type);
  const type = mnnOperators.get(code);
  if (type === undefined && (code < 0 || code > 4096))
    throw budget.invalid('operator', `operator ${index} is of type ${code}`);
  return {
    type: type ?? `Op${code}`,
    name: table.string(fields.operator.name) ?? `${type} ${index}`,
    inputs: table.int32s(fields.operator.inputs) ?? [],
    outputs: table.int32s(fields.operator.outputs) ?? [],
    main: table.table(fields.operator.main),
  };
}

/** What is known of a value while walking: its shape (channels second), type, and small integers where it is a constant. */
interface Value {
  readonly shape: Shape | undefined;
  readonly dtype: string;
  readonly numbers?: readonly number[];
}

function layersOf(
  operators: readonly MnnOperator[],
  names: readonly string[],
  graph: string | undefined,
  budget: ReadBudget,
): FoundLayer[] {
  const values = new Map<number, Value>();
  const tensor = (index: number): AuditTensor => {
    const value = values.get(index);
    return { name: names[index] ?? String(index), shape: value?.shape ?? null, dtype: value?.dtype ?? null };
  };
  return operators.map((operator): FoundLayer => {
    const inputs = operator.inputs.map((index) => values.get(index));
    const weights = weightsOf(operator, budget);
    const made = resultOf(operator, inputs, weights);
    for (const output of operator.outputs) {
      const shape = made.shape && budget.dims(made.shape);
      values.set(output, { ...made, shape });
    }
    const common = operator.main && CONVOLUTIONS.test(operator.type) ? operator.main.table(0) : undefined;
    return {
      name: operator.name,
      op: operator.type,
      inputs: operator.inputs.map(tensor),
      outputs: operator.outputs.map(tensor),
      weights,
      macs: macsOf(operator, weights, inputs, made.shape),
      perChannel: weights.some(({ name, size }) => name === 'scales' && size > 1),
      activated: (common?.bool(fields.common.relu) ?? false) || (common?.bool(fields.common.relu6) ?? false),
      ...(graph === undefined ? {} : { graph, aside: true }),
    };
  });
}

const CONVOLUTIONS =
  /^(Convolution|ConvolutionDepthwise|Deconvolution|DeconvolutionDepthwise|ConvInt8|DepthwiseConvInt8)$/;

function weight(
  name: string,
  dtype: string,
  size: number,
  more: Partial<AuditWeight> & { readonly bytes?: Uint8Array } = {},
): AuditWeight {
  return { name, dtype, size, shape: [size], learned: true, ...more };
}

/** A vector of floats or integers of a table as a weight; none where it is absent or empty. */
function vector(table: FlatTable | undefined, id: number, name: string, dtype: string, width: number): AuditWeight[] {
  const bytes = table?.bytes(id, width);
  return bytes === undefined || bytes.length === 0 ? [] : [weight(name, dtype, bytes.length / width, { bytes })];
}

function weightsOf({ type, main }: MnnOperator, budget: ReadBudget): AuditWeight[] {
  if (main === undefined) return [];
  if (CONVOLUTIONS.test(type)) return convolutionWeights(type, main, budget);
  switch (type) {
    case 'InnerProduct': {
      const ids = fields.innerProduct;
      const size = main.int32(ids.weightSize);
      const kernel = vector(main, ids.weight, 'weight', 'float32', 4);
      return [
        ...(kernel.length > 0 ? kernel : packed(main.table(ids.packed), size)),
        ...vector(main, ids.bias, 'bias', 'float32', 4),
      ];
    }
    case 'Scale':
      return [
        ...vector(main, fields.scale.scale, 'scale', 'float32', 4),
        ...vector(main, fields.scale.bias, 'bias', 'float32', 4),
      ];
    case 'BatchNorm':
      return (['slope', 'mean', 'variance', 'bias'] as const).flatMap((name) =>
        vector(main, fields.batchNorm[name], name, 'float32', 4),
      );
    case 'PReLU':
      return vector(main, 1, 'slope', 'float32', 4);
    case 'LayerNorm':
      return [...vector(main, 2, 'gamma', 'float32', 4), ...vector(main, 3, 'beta', 'float32', 4)];
    case 'MatMul':
      return [...vector(main, 3, 'weight', 'float32', 4), ...vector(main, 4, 'bias', 'float32', 4)];
    case 'Const':
    case 'TrainableParam':
      return blobWeight(main, type === 'TrainableParam', budget);
    case 'LSTM':
      return [2, 3, 4].flatMap((id) => {
        const blob = main.table(id);
        return blob ? blobWeight(blob, true, budget) : [];
      });
    case 'RNNSequenceGRU':
      return [4, 5, 6, 7, 8, 9, 10, 11, 12, 13].flatMap((id) => {
        const blob = main.table(id);
        return blob ? blobWeight(blob, true, budget) : [];
      });
    default:
      return [];
  }
}

function blobWeight(blob: FlatTable, learned: boolean, budget: ReadBudget): AuditWeight[] {
  const shape = budget.dims(blob.int32s(fields.blob.dims) ?? []);
  const bytes =
    blob.bytes(fields.blob.float32s, 4) ??
    blob.bytes(fields.blob.int32s, 4) ??
    blob.bytes(fields.blob.int8s) ??
    blob.bytes(fields.blob.uint8s) ??
    blob.bytes(fields.blob.int64s, 8);
  const dtype = mnnTypes.get(blob.int32(fields.blob.type, 1)) ?? 'float32';
  return [weight('value', dtype, elementsOf(shape), { shape, learned, ...(bytes ? { bytes } : {}) })];
}

/** Compressed weights: half floats, or integers behind a code book whose length is not the number of weights. */
function packed(table: FlatTable | undefined, size: number): AuditWeight[] {
  const bytes = table?.bytes(fields.packed.buffer);
  if (table === undefined || bytes === undefined) return [];
  const dtype = table.int32(fields.packed.type) === 3 ? 'float16' : 'int8';
  const scales = (table.bytes(fields.packed.alpha, 4)?.length ?? 0) / 4;
  return [
    weight('weight', dtype, size, { bytes }),
    ...(scales > 0 ? [weight('scales', 'float32', scales, { learned: false })] : []),
  ];
}

function convolutionWeights(type: string, main: FlatTable, budget: ReadBudget): AuditWeight[] {
  const common = main.table(fields.convolution.common);
  const ids = fields.common;
  const [outputs, inputs, group] = [
    common?.int32(ids.outputs) ?? 0,
    common?.int32(ids.inputs) ?? 0,
    common?.int32(ids.group, 1) ?? 1,
  ];
  const area = (common?.int32(ids.kernelX, 1) ?? 1) * (common?.int32(ids.kernelY, 1) ?? 1);
  const depthwise = /Depthwise/.test(type);
  const counted = depthwise ? outputs * area : (outputs * inputs * area) / Math.max(1, group);
  const symmetric = main.table(fields.convolution.symmetric);
  const plain = vector(main, fields.convolution.weight, 'weight', 'float32', 4);
  const integers = vector(symmetric, fields.symmetric.weight, 'weight', 'int8', 1);
  const kernel =
    plain.length > 0 ? plain : integers.length > 0 ? integers : packed(main.table(fields.convolution.packed), counted);
  const bias = vector(main, fields.convolution.bias, 'bias', 'float32', 4);
  const shaped = kernel.map((each, i): AuditWeight => {
    const perGroup = each.size / Math.max(1, outputs * area);
    const shape = [outputs, perGroup, common?.int32(ids.kernelY, 1) ?? 1, common?.int32(ids.kernelX, 1) ?? 1];
    return i === 0 && Number.isInteger(perGroup) && perGroup > 0
      ? { ...each, shape: budget.dims(shape), layout: 'OIHW' }
      : each;
  });
  return [
    ...shaped,
    ...(bias.length > 0 ? bias : vector(symmetric, fields.symmetric.bias, 'bias', 'int32', 4)),
    ...vector(symmetric, fields.symmetric.scale, 'scales', 'float32', 4).map((each) => ({ ...each, learned: false })),
  ];
}

function macsOf(
  { type, main }: MnnOperator,
  weights: readonly AuditWeight[],
  inputs: readonly (Value | undefined)[],
  output: Shape | undefined,
): number | null {
  const kernel = weights[0]?.size ?? 0;
  switch (familyOf(type)) {
    case 'convolution':
    case 'depthwise-convolution':
      // A kernel that is itself a value arrives as the second input.
      return kernelMacs(kernel || elementsOf(inputs[1]?.shape ?? [0]), output, output?.[1] ?? 0);
    case 'transposed-convolution':
      return kernelMacs(kernel, inputs[0]?.shape, inputs[0]?.shape?.[1] ?? 0);
    case 'dense':
      return kernelMacs(kernel, output, main?.int32(fields.innerProduct.outputs) ?? 0);
    case 'matmul': {
      const [a, b] = [inputs[0]?.shape, inputs[1]?.shape];
      if (a === undefined || b === undefined) return null;
      const [left, right] = type === 'MatMul' ? [1, 2] : [0, 1];
      return matrixMacs(a, b, main?.bool(left) ?? false, main?.bool(right) ?? false);
    }
    case 'recurrent':
    case 'attention':
      return null;
    default:
      return 0;
  }
}

/** Shape and type of what an operator makes; channels second. */
function resultOf(
  { type, main }: MnnOperator,
  inputs: readonly (Value | undefined)[],
  weights: readonly AuditWeight[],
): Value {
  const input = inputs[0];
  const of = (shape: Shape | undefined, dtype = input?.dtype ?? 'float32'): Value => ({ shape, dtype });
  if (type === 'Input') return inputValue(main);
  if (type === 'Const' || type === 'TrainableParam') {
    const value = weights[0];
    if (value === undefined) return of(undefined);
    return { shape: value.shape, dtype: value.dtype, ...smallIntegers(value) };
  }
  if (type === 'FloatToInt8') return of(input?.shape, 'int8');
  if (type === 'Int8ToFloat') return of(input?.shape, 'float32');
  const shape = input?.shape;
  if (shape === undefined) return of(undefined);
  if (CONVOLUTIONS.test(type))
    return of(convolved(type, shape, main?.table(0)), /Int8/.test(type) ? 'int8' : 'float32');
  switch (type) {
    case 'Pooling':
    case 'PoolInt8':
      return of(main && pooled(shape, main));
    case 'InnerProduct':
      return of([shape[0] ?? 1, main?.int32(fields.innerProduct.outputs) ?? 0]);
    case 'Reshape':
      return of(reshaped(shape, main?.int32s(fields.reshape.dims) ?? inputs[1]?.numbers ?? []));
    case 'Flatten':
      return of([shape[0] ?? 1, elementsOf(shape.slice(1))]);
    case 'Permute':
      return of(transposed(shape, main?.int32s(0) ?? []));
    case 'Transpose':
      return of(transposed(shape, inputs[1]?.numbers ?? []));
    case 'Concat': {
      const shapes = inputs.map((each) => each?.shape);
      const known = shapes.filter((each) => each !== undefined);
      return of(known.length === shapes.length ? concatenated(known, main?.int32(0) ?? 0) : undefined);
    }
    case 'BinaryOp':
    case 'Eltwise':
    case 'EltwiseInt8': {
      const other = inputs[1]?.shape;
      return of(other && broadcast(shape, other));
    }
    case 'MatMul':
    case 'BatchMatMul': {
      const other = inputs[1]?.shape;
      const [left, right] = type === 'MatMul' ? [1, 2] : [0, 1];
      return of(other && matrixProduct(shape, other, main?.bool(left), main?.bool(right)));
    }
    case 'Interp': {
      const [batch = 1, channels = 1, height = 1, width = 1] = shape;
      const [toWidth, toHeight] = [main?.int32(2) ?? 0, main?.int32(3) ?? 0];
      return of(
        toWidth > 0 && toHeight > 0
          ? [batch, channels, toHeight, toWidth]
          : height > 0 && width > 0
            ? undefined
            : shape,
      );
    }
    default:
      return of(
        /^(activation|softmax|normalisation|quantise)$/.test(familyOf(type)) ||
          /^(ConvertTensor|UnaryOp|Cast|Split)$/.test(type)
          ? shape
          : undefined,
      );
  }
}

const FORMAT_NHWC = 1;

function inputValue(main: FlatTable | undefined): Value {
  const dims = main?.int32s(fields.input.dims)?.map((dim) => (dim < 0 ? 1 : dim));
  const dtype = mnnTypes.get(main?.int32(fields.input.type, 1) ?? 1) ?? 'float32';
  const last = main?.int8(fields.input.format, 2) === FORMAT_NHWC && dims?.length === 4;
  return { shape: last ? [dims[0]!, dims[3]!, dims[1]!, dims[2]!] : dims, dtype };
}

function smallIntegers({ dtype, bytes, size }: AuditWeight): { numbers?: readonly number[] } {
  if (dtype !== 'int32' || bytes === undefined || size > 16 || bytes.length < 4 * size) return {};
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { numbers: Array.from({ length: size }, (_, i) => view.getInt32(4 * i, true)) };
}

const PAD_SAME = 2;
const PAD_VALID = 1;

function convolved(
  type: string,
  [batch = 1, , height = 1, width = 1]: Shape,
  common: FlatTable | undefined,
): Shape | undefined {
  if (common === undefined) return undefined;
  const ids = fields.common;
  const axis = (size: number, kernel: number, stride: number, dilation: number, pad: number): number => {
    if (/Deconv/.test(type)) return (size - 1) * stride + dilation * (kernel - 1) + 1 - pad;
    const mode = common.int8(ids.padMode);
    if (mode === PAD_SAME || mode === PAD_VALID)
      return paddedCount(size, kernel, stride, dilation, mode === PAD_SAME ? 'SAME' : 'VALID');
    return windowCount(size, { kernel, stride, dilation, pad });
  };
  // top, left, bottom, right, where the two ends differ.
  const pads = common.int32s(ids.pads);
  const padY = pads?.length === 4 ? pads[0]! + pads[2]! : 2 * common.int32(ids.padY);
  const padX = pads?.length === 4 ? pads[1]! + pads[3]! : 2 * common.int32(ids.padX);
  return [
    batch,
    common.int32(ids.outputs),
    axis(height, common.int32(ids.kernelY, 1), common.int32(ids.strideY, 1), common.int32(ids.dilateY, 1), padY),
    axis(width, common.int32(ids.kernelX, 1), common.int32(ids.strideX, 1), common.int32(ids.dilateX, 1), padX),
  ];
}

function pooled([batch = 1, channels = 1, height = 1, width = 1]: Shape, main: FlatTable): Shape {
  const ids = fields.pool;
  if (main.bool(ids.global)) return [batch, channels, 1, 1];
  const mode = main.int8(ids.padType);
  const axis = (size: number, kernel: number, stride: number, pad: number): number =>
    mode === PAD_SAME || mode === PAD_VALID
      ? paddedCount(size, kernel, stride, 1, mode === PAD_SAME ? 'SAME' : 'VALID')
      : windowCount(size, { kernel, stride, pad }, main.bool(ids.ceil, true));
  return [
    batch,
    channels,
    axis(height, main.int32(ids.kernelY), main.int32(ids.strideY), 2 * main.int32(ids.padY)),
    axis(width, main.int32(ids.kernelX), main.int32(ids.strideX), 2 * main.int32(ids.padX)),
  ];
}
