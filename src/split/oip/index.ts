/** @file The Open Inference Protocol v2, for both ends: messages, their HTTP and protobuf forms, what split requests add. */
export { datatypeOf, dtypeOf, type Datatype } from './datatypes.js';
export {
  GRPCInferenceService,
  type ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataResponse,
} from './gen/open-inference_pb.js';
export {
  metadataOfMessage,
  metadataToMessage,
  replyOfMessage,
  replyToMessage,
  requestOfMessage,
  requestToMessage,
} from './grpc-messages.js';
export {
  INFERENCE_HEADER,
  parametersToJson,
  replyOfHttp,
  replyToHttp,
  requestOfHttp,
  requestToHttp,
  statedJsonBytes,
  type HttpBody,
} from './http-json.js';
export * from './messages.js';
export { modelDigest } from './model-digest.js';
export * from './rpc.js';
export * from './split-request.js';
export { oipError, OipError, STATUSES, statusOfGrpc, statusOfHttp, type OipStatus } from './status.js';
