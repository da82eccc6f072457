/** @file Why some operators have no gradient rule, in one line each: for docs/coverage.md and for messages. */

const WHOLE_NUMBERS = 'gives indices, counts or truth values: nothing flows back';
const CONTROL_FLOW = 'branches and loops are not differentiated: cut the graph there or freeze what lies before it';
const RECURRENT = 'not differentiated yet: unroll it into MatMul and activations';
const RANDOM = 'draws random values that depend on no input';
const SAMPLING = 'not differentiated yet';
const QUANTISED = 'rounds: train before quantising';

const reasons: readonly (readonly [reason: string, ops: readonly string[]])[] = [
  [
    WHOLE_NUMBERS,
    [
      ...['Shape', 'Size', 'ArgMax', 'ArgMin', 'NonZero', 'OneHot', 'Equal', 'Greater', 'GreaterOrEqual', 'Less'],
      ...['LessOrEqual', 'And', 'Or', 'Xor', 'Not', 'IsNaN', 'IsInf', 'Unique', 'NonMaxSuppression', 'Range'],
      ...['BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'BitwiseNot', 'StringNormalizer', 'TfIdfVectorizer'],
    ],
  ],
  [CONTROL_FLOW, ['If', 'Loop', 'Scan', 'SequenceMap']],
  [RECURRENT, ['RNN', 'LSTM', 'GRU']],
  [
    RANDOM,
    [
      'RandomNormal',
      'RandomUniform',
      'RandomNormalLike',
      'RandomUniformLike',
      'Multinomial',
      'Bernoulli',
      'EyeLike',
      'Constant',
      'ConstantOfShape',
    ],
  ],
  [
    SAMPLING,
    [
      'GridSample',
      'RoiAlign',
      'MaxRoiPool',
      'MaxUnpool',
      'Col2Im',
      'AffineGrid',
      'DeformConv',
      'CenterCropPad',
      'Compress',
      'Det',
      'STFT',
      'DFT',
    ],
  ],
  [
    QUANTISED,
    ['QuantizeLinear', 'DynamicQuantizeLinear', 'QLinearConv', 'QLinearMatMul', 'ConvInteger', 'MatMulInteger'],
  ],
  ['training happens in floating point: dequantise the weights first', ['DequantizeLinear']],
  ['replaced by Resize in opset 10: upgrade the opset first', ['Upsample']],
];

/** Operator name → the reason why it has no gradient. */
export const gradientNotes: Readonly<Record<string, string>> = Object.fromEntries(
  reasons.flatMap(([reason, ops]) => ops.map((op) => [op, reason])),
);
