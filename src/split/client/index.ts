/** @file The client: sessions that share a network with a server, and the ways to reach one. */
export type { LocalReason, SplitAnswer, SplitEvent, SplitTimes } from './answer.js';
export type { Continuation } from './frame-run.js';
export { HttpClient, type HttpClientOptions } from './http-client.js';
export { httpTransport, type HttpTransportOptions } from './http-transport.js';
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
export { tailTransport, type Tail } from './tail-transport.js';
export {
  type PreparedRequest,
  type RemoteFailure,
  type RemoteReply,
  type RemoteRequest,
  type SplitTransport,
} from './transport.js';
