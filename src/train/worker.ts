/** @file `cuttle/train/worker`: training in a worker, seen from the page. Light: no engine, no ONNX Runtime. */
export * from './worker-client.js';
export type {
  Classification,
  Endpoint,
  ErrorMessage,
  ImageBatch,
  TrainedBytes,
  TrainRequest,
} from './worker-protocol.js';
