/** @file `cuttle/onnx` for Node: everything of it, and models as files. */
export * from './index.js';
export { loadModel, saveModel, type LoadOptions, type SaveOptions } from './files.js';
