/** @file `cuttle/onnx` for Node: models as files. */
export { loadModel, saveModel, type LoadOptions, type SaveOptions } from './files.js';
