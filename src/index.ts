/** @file `cuttle`: the few names that most programs begin with. Everything stands in a subpath: `cuttle/ir`, `cuttle/onnx`, `cuttle/exits` … */
export { CuttleError, Tensor, type ErrorKind, type Model } from './ir/index.js';
export { decodeModel, encodeModel } from './onnx/index.js';
export { inferShapes, inspectModel, costOf } from './passes/index.js';
export { openSession, profileModel, type Session, type SessionOptions } from './runtime/index.js';
export {
  adapt,
  bakeDesign,
  openClassifier,
  openProgressive,
  readProgressive,
  type Adapted,
  type AdaptOptions,
} from './exits/index.js';
