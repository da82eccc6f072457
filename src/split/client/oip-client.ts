/** @file What transports need of a client of the Open Inference Protocol, whichever of its forms is spoken. */
import type { InferReply, InferRequest } from '../oip/index.js';

/** A ModelInfer request made ready: its size is known before it goes. */
export interface PreparedInfer {
  /** Of the body. */
  readonly bytes: number;
  /**
   * Sends it. Throws OipError for refusals and garbage, what the connection throws, and the signal's reason. May be called
   * once.
   */
  readonly send: (signal: AbortSignal) => Promise<{ readonly reply: InferReply; readonly bytes: number }>;
}

/** A client of one server. */
export interface OipClient {
  /** Ends without a slash. */
  readonly url: string;
  /** Throws OipError 'unsupported' for tensors that the protocol cannot carry. */
  prepare(request: InferRequest): PreparedInfer;
  /** Resolves when the server says that it is ready. Throws as `send`. */
  ready(signal: AbortSignal): Promise<void>;
  /** Lets idle connections go; the client may be used again. */
  close?(): void;
}
