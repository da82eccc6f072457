/** @file Shape rules of normalisations. */
import { dataTypeOfCode, intOf, type Dim } from '../../ir/index.js';
import type { InferRule } from '../record.js';
import { unary } from './elementwise.js';
import { axisOf, dtypeOf, requireRank, sameDim, shapeOf, table, typed, type RuleTable } from './support.js';

/**
 * BatchNormalization-7 … 15: the output has the input's shape; every further output (running and saved statistics,
 * five before opset 14, three since) is a vector per channel.
 */
const batchNormalization: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 1);
  // With rank 1 the standard treats the whole input as one batch with a single channel.
  const channels = inputs
    .slice(1)
    .reduce<Dim>(
      (dim, input) => sameDim(node, 'channels of input and statistics', dim, shapeOf(input)?.[0] ?? null),
      x === undefined ? null : x.length > 1 ? x[1]! : 1,
    );
  const shape = x && x.length > 1 ? [x[0]!, channels, ...x.slice(2)] : x;
  return {
    types: node.outputs.map((_, index) =>
      index === 0 ? typed(dtypeOf(inputs[0]), shape) : typed(dtypeOf(inputs[3]) ?? dtypeOf(inputs[0]), [channels]),
    ),
  };
};

/** LayerNormalization-17, SimplifiedLayerNormalization: output, then mean and inverse deviation with normalised dims 1. */
const layerNormalization: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  const axis = x && axisOf(node, intOf(node, 'axis', -1), x.length);
  const statistics = x?.map((dim, at): Dim => (at < axis! ? dim : 1));
  const stash = typed(dataTypeOfCode(intOf(node, 'stash_type', 1)), statistics);
  return { types: [inputs[0], stash, stash] };
};

/** com.microsoft SkipLayerNormalization: output, mean, inverse deviation, input + skip + bias. */
const skipLayerNormalization: InferRule = ({ inputs }) => {
  const x = shapeOf(inputs[0]);
  const statistics = typed(
    'float32',
    x?.map((dim, at): Dim => (at < x.length - 1 ? dim : 1)),
  );
  return { types: [inputs[0], statistics, statistics, inputs[0]] };
};

export const normalisationShapes: RuleTable = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  SimplifiedLayerNormalization: layerNormalization,
  ...table(
    [
      'InstanceNormalization',
      'GroupNormalization',
      'RMSNormalization',
      'LRN',
      'LpNormalization',
      'MeanVarianceNormalization',
    ],
    unary,
  ),
  'com.microsoft:SkipLayerNormalization': skipLayerNormalization,
  'com.microsoft:SkipSimplifiedLayerNormalization': skipLayerNormalization,
  'com.microsoft:EmbedLayerNormalization': ({ inputs }) => {
    const ids = shapeOf(inputs[0]);
    const hidden = shapeOf(inputs[2])?.[1] ?? null;
    const output = typed(dtypeOf(inputs[2]), ids && [...ids, hidden]);
    return { types: [output, typed('int32', ids && [ids[0]!]), output] };
  },
};
