/** @file `audit/convert`: foreign models as ONNX. */
export { convertTflite, type Converted, type ConvertOptions } from './tflite/convert.js';
