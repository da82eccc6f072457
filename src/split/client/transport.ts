/** @file What a split session needs of a connection to a server, and how requests fail. */
import type { Tensor } from '../../ir/index.js';
import type { DesignChoice } from '../../exits/design.js';
import { OipError, type OipStatus, type ServerReport } from '../oip/index.js';
import type { Codecs, Packing } from '../packing/index.js';

/** What is asked of the server. */
export interface RemoteRequest {
  readonly cut: number;
  /** Every tensor of the cut's frontier. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly packing: Packing;
  readonly codecs: Codecs;
  readonly design: DesignChoice | undefined;
  /** Name of the logits among the network's values. */
  readonly logits: string;
  /** Milliseconds left. */
  readonly deadlineMs: number | undefined;
}

/** A request made ready: its size is known before it goes. */
export interface PreparedRequest {
  /** Of the body. */
  readonly bytes: number;
  /** Sends it. Throws OipError, RemoteUnreachableError, and the signal's reason. May be called once. */
  send(signal: AbortSignal): Promise<RemoteReply>;
}

/** What came back. */
export interface RemoteReply {
  /** Logits of the exit that answered, one per class. */
  readonly logits: Float32Array;
  /** Its number; undefined from servers that know no exits: the final one. */
  readonly exit: number | undefined;
  readonly report: ServerReport | undefined;
  readonly bytes: number;
}

/** A way to a server. */
export interface SplitTransport {
  /** For people: what it talks to. */
  readonly name: string;
  /** Cuts at which the server can go on, and the packings it takes; all where undefined. */
  readonly tails?: ReadonlyMap<number, Omit<Packing, 'codec'>>;
  /** Packs. Throws PackingError for tensors that cannot travel. */
  prepare(request: RemoteRequest): PreparedRequest;
  /** Asks whether the server is ready; resolves when it says so. Throws as `send`. */
  probe(signal: AbortSignal): Promise<void>;
  /** Lets idle connections go; it may be used again. */
  close?(): void;
}

/** Why a request failed, for people and programs. */
export interface RemoteFailure {
  /**
   * - `unreachable`: no connection, or it broke.
   * - `timeout`: no answer in time.
   * - a status of the protocol: the server refused (`overloaded`, `unauthenticated` …), or sent what is no reply (`invalid`).
   */
  readonly kind: 'unreachable' | 'timeout' | OipStatus;
  readonly message: string;
  /** After how many ms another try makes sense, where the server says so. */
  readonly retryAfterMs?: number;
}

/** What was thrown by a transport, as a failure. */
export function failureOf(cause: unknown): RemoteFailure {
  if (cause instanceof OipError)
    return {
      kind: cause.status,
      message: cause.message,
      ...(cause.retryAfterMs === undefined ? {} : { retryAfterMs: cause.retryAfterMs }),
    };
  return { kind: 'unreachable', message: reasons(cause).join(': ') };
}

/** The messages of an error and of what caused it: `fetch failed` alone says nothing. */
function reasons(cause: unknown): readonly string[] {
  if (!(cause instanceof Error)) return [String(cause)];
  const inner = cause.cause === undefined ? [] : reasons(cause.cause);
  const own = cause.message === '' ? cause.name : cause.message;
  return inner.includes(own) ? inner : [own, ...inner];
}
