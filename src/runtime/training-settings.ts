/** @file What ONNX Runtime is told where the model is a training step. */
import type { InferenceSession } from 'onnxruntime-node';

/**
 * Rewrites that find nothing in a training step, because they wait for constant weights, for quantised operators or for blocks of
 * transformers in inference form, but walk all of its thousands of nodes (bench/session-creation).
 */
const IDLE_REWRITES = [
  'AttentionFusion',
  'Avx2WeightS8ToU8Transformer',
  'BiasDropoutFusion',
  'BiasGeluFusion',
  'BiasSkipLayerNormFusion',
  'BiasSoftmaxFusion',
  'ConvAddActivationFusion',
  'DoubleQDQPairsRemover',
  'DynamicQuantizeMatMulFusion',
  'EmbedLayerNormFusion',
  'EnsureUniqueDQForNodeUnit',
  'FastGeluFusion',
  'GatherSliceToSplitFusion',
  'GatherToSliceFusion',
  'GeluFusionL1',
  'GeluFusionL2',
  'GroupQueryAttentionFusion',
  'GroupQueryAttentionPreNormFusion',
  'LabelEncoderFusion',
  'LayerNormFusionL1',
  'LayerNormFusionL2',
  'MatMulIntegerToFloatFusion',
  'MatMulNBitsMlpFusion',
  'MatMulNBitsQkvFusion',
  'NchwcTransformer',
  'NhwcTransformer',
  'QDQFinalCleanupTransformer',
  'QDQPropagationTransformer',
  'QDQS8ToU8Transformer',
  'QDQSelectorActionTransformer',
  'QuickGeluFusion',
  'SimplifiedLayerNormFusion',
  'SkipLayerNormFusion',
  'SliceConcatToSpaceToDepthFusion',
  'WeightBiasQuantization',
];

/**
 * Options of a session that runs training steps. Memory patterns (one block planned from the first run's sizes) take about twice the
 * memory that the values need at once in a step; the arena alone stays near it (bench/memory).
 */
export const TRAINING_SETTINGS: InferenceSession.SessionOptions = {
  enableMemPattern: false,
  extra: { optimization: { disable_specified_optimizers: IDLE_REWRITES.join(';') } },
};
