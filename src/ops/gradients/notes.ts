/** @file Why some operators have no gradient rule, in one line each: for docs/coverage.md and for messages. */

const INDICES = 'gives indices, counts or truth values: nothing flows back';
const BITS = 'works on the bits of integers: nothing flows back';
const TEXT = 'works on text: nothing flows back';
const SHAPES = 'its values depend on shapes and attributes alone';
const RANDOM = 'draws random values that depend on no input but its shape';
const SAMPLES = 'draws samples: a drawn value has no slope in its probability';
const SEQUENCES =
  'gradients are tensors, but this handles sequences or optional values: concatenate or split tensors instead';
const OLD = 'replaced in later opsets: upgrade the opset first';
const INTEGER_PRODUCT =
  'calculates in integers throughout: train the form with QuantizeLinear and DequantizeLinear around floats';
const PACKED_WEIGHTS = 'its weight is packed integers: dequantise it to train';
const CLASSICAL = 'a classical model, whose coefficients are attributes and not tensors: freeze what lies before it';
const TABLE = 'looks up or re-codes features: nothing flows back';
const OPTIMISER = 'an update of training itself: nothing to differentiate';
const INTERNAL = 'internal to training builds of the runtime: use SoftmaxCrossEntropyLoss';
const NHWC = 'lies channels last, which no other operator of the graph does: use GroupNormalization';

const microsoft = (...ops: readonly string[]): readonly string[] => ops.map((op) => `com.microsoft:${op}`);
const classical = (...ops: readonly string[]): readonly string[] => ops.map((op) => `ai.onnx.ml:${op}`);

const reasons: readonly (readonly [reason: string, ops: readonly string[]])[] = [
  [
    INDICES,
    [
      ...['Shape', 'Size', 'ArgMax', 'ArgMin', 'NonZero', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'],
      ...['And', 'Or', 'Xor', 'Not', 'IsNaN', 'IsInf', 'NonMaxSuppression'],
      ...['SequenceLength', 'OptionalHasElement'],
    ],
  ],
  [BITS, ['BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'BitwiseNot']],
  [TEXT, ['StringNormalizer', 'StringConcat', 'StringSplit', 'RegexFullMatch', 'TfIdfVectorizer']],
  ['sorts and drops repeated values, so that an output has no one place to flow back to: use TopK', ['Unique']],
  ['decodes a file: nothing flows back', ['ImageDecoder']],
  [SHAPES, ['Constant', 'ConstantOfShape', 'EyeLike', 'HannWindow', 'HammingWindow', 'BlackmanWindow']],
  ['its bins are whole: the filters change only by jumps', ['MelWeightMatrix']],
  [RANDOM, ['RandomNormal', 'RandomUniform', 'RandomNormalLike', 'RandomUniformLike']],
  [SAMPLES, ['Multinomial', 'Bernoulli']],
  [
    SEQUENCES,
    [
      ...['SequenceAt', 'SequenceConstruct', 'SequenceEmpty', 'SequenceErase', 'SequenceInsert', 'SequenceMap'],
      ...['ConcatFromSequence', 'SplitToSequence', 'Optional'],
    ],
  ],
  [OLD, ['Upsample', 'Scatter']],
  [
    INTEGER_PRODUCT,
    [
      ...['QLinearConv', 'QLinearMatMul', 'ConvInteger'],
      ...microsoft('QLinearAdd', 'QLinearMul', 'QLinearConcat', 'QLinearGlobalAveragePool', 'QLinearLeakyRelu'),
      ...microsoft('QLinearSigmoid', 'QLinearSoftmax'),
    ],
  ],
  [PACKED_WEIGHTS, microsoft('MatMulNBits', 'DynamicQuantizeMatMul', 'MatMulIntegerToFloat')],
  [
    CLASSICAL,
    [
      ...classical('LinearClassifier', 'LinearRegressor', 'SVMClassifier', 'SVMRegressor', 'TreeEnsembleClassifier'),
      ...classical('TreeEnsembleRegressor', 'Scaler', 'Normalizer', 'Imputer'),
    ],
  ],
  [
    TABLE,
    classical(
      ...['ArrayFeatureExtractor', 'Binarizer', 'CategoryMapper', 'FeatureVectorizer', 'LabelEncoder'],
      ...['OneHotEncoder', 'ZipMap'],
    ),
  ],
  [OPTIMISER, ['Adagrad', 'Adam', 'Momentum'].map((op) => `ai.onnx.preview.training:${op}`)],
  [INTERNAL, microsoft('SoftmaxCrossEntropyLossInternal')],
  [NHWC, microsoft('GroupNorm')],
];

/** Operator (`domain:Name` outside ai.onnx) → the reason why it has no gradient. */
export const gradientNotes: Readonly<Record<string, string>> = Object.fromEntries(
  reasons.flatMap(([reason, ops]) => ops.map((op) => [op, reason])),
);
