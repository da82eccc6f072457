/** @file `cuttle/runtime`: sessions on ONNX Runtime, native and wasm, and what they cost on this device. */
export * from './errors.js';
export * from './options.js';
export { DEFAULT_BACKEND } from './ort.js';
export { openSession, type RunOptions, type Session } from './session.js';
export { isCarried } from './tensors.js';
