/** @file Packing: what crosses a cut as few bytes as the accuracy allows. */
export { FULL_PRECISION, checkPacking, packTensor, packTensors, unpackTensors, type Packing } from './pack.js';
export {
  CODEC_CODES,
  codecOf,
  openCodecs,
  openNativeLz4,
  openZstd,
  pureCodecs,
  type Codec,
  type CodecName,
  type Codecs,
} from './codecs.js';
export {
  decodeFrame,
  encodeFrame,
  FRAME_LIMITS,
  FRAME_VERSION,
  type FrameLayout,
  type FrameLimits,
  type FrameTensor,
} from './frame.js';
export { dequantise, quantise, scaleOf, type LinearScale } from './quantise.js';
export { cheapestPacking, measurePackings, type MeasuredPacking, type MeasurePackingOptions } from './choose.js';
export { packedNames, packOutputs, unpackInputs, type GraphPacking, type PackedNames } from './in-graph.js';
export { CodecMissingError, FrameError, PackingError } from './errors.js';
