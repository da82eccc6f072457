/** @file `audit/convert`: foreign models as ONNX. */
export { convertibleFormat, convertModel, HEAD_BYTES, mayBeConvertible, type ConvertibleFormat } from './convert.js';
export type { Ends } from './finish.js';
export { convertTensorflow, type Checkpoint } from './tensorflow/convert.js';
export { convertTflite, type Converted, type ConvertOptions } from './tflite/convert.js';
