/** @file ONNX Runtime's packages as Node loads them. Bundlers for browsers leave this file out. */

/** onnxruntime-node. Rejects where it is not installed. */
export function importNative(): Promise<unknown> {
  return import('onnxruntime-node');
}

/** onnxruntime-web's build for Node. Rejects where it is not installed. */
export function importWasm(): Promise<unknown> {
  return import('onnxruntime-web');
}
