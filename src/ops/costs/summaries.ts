/** @file Cost of pooling, reductions, normalisations, softmax, resampling and losses, in floating-point operations. */
import { intsOf, sizeOf, stringOf } from '../../ir/index.js';
import type { CostRule } from '../record.js';
import { costTable, flops, inputSize, outputSize, perInput, perOutput, type CostTable } from './support.js';

/** Each output element takes one operation per element of its window (LpPool two more each). */
const pool =
  (each = 1): CostRule =>
  (context) =>
    flops(each * outputSize(context) * sizeOf(intsOf(context.node, 'kernel_shape', [])));

/** Nearest only moves; linear and cubic weigh 2 or 4 neighbours along each axis that changes. */
const resample: CostRule = (context) => {
  const mode = stringOf(context.node, 'mode', 'nearest');
  const [from, to] = [context.inputs[0]?.shape, context.outputs[0]?.shape];
  if (mode === 'nearest' || !from || !to) return flops(0);
  const axes = to.filter((dim, axis) => dim !== from[axis]).length;
  const taps = mode === 'cubic' ? 4 : 2;
  return flops(axes === 0 ? 0 : outputSize(context) * 2 * taps ** axes);
};

/** Weighs 4 (bilinear) or 16 (cubic) neighbours on two axes, after finding where they are. */
const gridSample: CostRule = (context) => {
  const mode = stringOf(context.node, 'mode', 'linear');
  const rank = (context.inputs[0]?.shape.length ?? 4) - 2;
  const taps = mode === 'nearest' ? 0 : (mode.endsWith('cubic') ? 4 : 2) ** rank;
  return flops(outputSize(context) * 2 * taps + inputSize(context, 1) * 3);
};

const local: CostRule = (context) => {
  const size = context.node.attributes.get('size');
  return flops(outputSize(context) * ((size?.type === 'int' ? Number(size.value) : 1) * 2 + 3));
};

/** Comparing every box with every other one of its class, per class: the worst case. */
const suppression: CostRule = ({ inputs }) => {
  const [batch = 0, boxes = 0] = inputs[0]?.shape ?? [];
  const classes = inputs[1]?.shape[1] ?? 0;
  return flops((batch * classes * boxes * Math.max(boxes - 1, 0) * 12) / 2);
};

/** n log₂ n comparisons. */
const sorting: CostRule = (context) => {
  const size = inputSize(context);
  return flops(Math.ceil(size * Math.log2(Math.max(size, 2))));
};

/** Update rules over all tensors: rate, step, then tensors, gradients and states. */
const update =
  (each: number, states: number): CostRule =>
  ({ inputs }) => {
    const count = (inputs.length - 2) / (states + 2);
    const size = inputs.slice(2, 2 + count).reduce((sum, type) => sum + (type ? sizeOf(type.shape) : 0), 0);
    return flops(each * size);
  };

export const summaryCosts: CostTable = {
  MaxPool: pool(),
  AveragePool: pool(),
  LpPool: pool(3),
  ...costTable(['GlobalAveragePool', 'GlobalMaxPool', 'com.microsoft:QLinearGlobalAveragePool'], perInput(1)),
  GlobalLpPool: perInput(3),
  MaxRoiPool: (context) => flops(inputSize(context)),
  // Four neighbours at each sampling point; one point per bin where the ratio adapts.
  RoiAlign: perOutput(8),
  ...costTable(['ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceProd', 'ReduceSum', 'ArgMax', 'ArgMin'], perInput(1)),
  ...costTable(['ReduceL1', 'ReduceL2', 'ReduceSumSquare', 'ReduceLogSum'], perInput(2)),
  ReduceLogSumExp: perInput(4),
  // Greatest element, difference, exponential, sum, quotient (or logarithm and difference).
  ...costTable(['Softmax', 'LogSoftmax', 'com.microsoft:BiasSoftmax', 'com.microsoft:QLinearSoftmax'], perOutput(5)),
  Hardmax: perOutput(1),
  // With its statistics known, one scale and one shift.
  BatchNormalization: (context) =>
    flops(outputSize(context) * (context.outputs.filter((output) => output !== undefined).length > 1 ? 7 : 2)),
  // Sum, difference, square, sum, scale by the deviation, scale, shift.
  ...costTable(
    ['InstanceNormalization', 'LayerNormalization', 'GroupNormalization', 'com.microsoft:GroupNorm'],
    perOutput(7),
  ),
  ...costTable(['MeanVarianceNormalization'], perOutput(5)),
  ...costTable(['RMSNormalization', 'SimplifiedLayerNormalization'], perOutput(4)),
  'com.microsoft:SkipLayerNormalization': perOutput(8),
  'com.microsoft:SkipSimplifiedLayerNormalization': perOutput(5),
  'com.microsoft:EmbedLayerNormalization': perOutput(9),
  LRN: local,
  LpNormalization: perOutput(3),
  Resize: resample,
  Upsample: resample,
  GridSample: gridSample,
  NonMaxSuppression: suppression,
  TopK: sorting,
  Unique: sorting,
  NegativeLogLikelihoodLoss: (context) => flops(2 * inputSize(context, 1)),
  ...costTable(['SoftmaxCrossEntropyLoss', 'com.microsoft:SoftmaxCrossEntropyLossInternal'], (context) =>
    flops(5 * inputSize(context) + 2 * inputSize(context, 1)),
  ),
  'ai.onnx.preview.training:Adagrad': update(8, 1),
  'ai.onnx.preview.training:Adam': update(14, 2),
  'ai.onnx.preview.training:Momentum': update(6, 1),
  ...costTable(['ai.onnx.ml:Scaler', 'ai.onnx.ml:Normalizer'], perOutput(2)),
  ...costTable(['ai.onnx.ml:Binarizer', 'ai.onnx.ml:Imputer'], perOutput(1)),
};
