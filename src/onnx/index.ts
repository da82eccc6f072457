/** @file `cuttle/onnx`: the ONNX file format, bytes ⇄ models. */
export { decodeModel, externalRangesOf, type DecodeOptions } from './decode.js';
export { encodeModel, MAX_MODEL_BYTES, weightBytes, type EncodeOptions } from './encode.js';
export type { ExternalPlacement, PlaceExternally } from './encode-graph.js';
export { OnnxFormatError, OnnxUnsupportedError } from './errors.js';
export { safeLocation, type ExternalDataReader, type ExternalRange } from './external.js';
export { defaultLimits, type OnnxLimits } from './limits.js';
export { decodeValue, encodeTensorFile, type StoredValue } from './value.js';
