/** @file The client: sessions that share a network with a server, and the ways to reach one. */
export type { LocalReason, SplitAnswer, SplitEvent, SplitTimes } from './answer.js';
export type { Continuation } from './frame-run.js';
export type { HttpClientOptions } from './exchange.js';
export { HttpClient } from './http-client.js';
export type { OipClient, PreparedInfer } from './oip-client.js';
export { RpcClient, webRpcClient } from './rpc-client.js';
export { designText, UNPACKED, type SplitPlan } from './plan.js';
export {
  openSplitSession,
  SplitSession,
  SplitSessionError,
  type InferOptions,
  type SplitServer,
  type SplitSessionOptions,
  type StreamOptions,
} from './split-session.js';
export {
  httpTransport,
  splitTransport,
  type HttpTransportOptions,
  type SplitTransportOptions,
  type WebProtocol,
} from './split-transport.js';
export { tailTransport, type Tail } from './tail-transport.js';
export {
  type PreparedRequest,
  type RemoteFailure,
  type RemoteReply,
  type RemoteRequest,
  type SplitTransport,
} from './transport.js';
