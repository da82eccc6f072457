/** @file Outcomes of the Open Inference Protocol as one table: a refusal's name, its HTTP and gRPC codes, and back. */
import { CuttleError, type ErrorKind } from '../../ir/index.js';

/** Why a request was refused or failed. */
export type OipStatus =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'too-slow'
  | 'too-large'
  | 'limited'
  | 'overloaded'
  | 'unsupported'
  | 'cancelled'
  | 'internal';

interface StatusCodes {
  readonly http: number;
  /** Number in `grpc-status` (google.rpc.Code). */
  readonly grpc: number;
  readonly kind: ErrorKind;
  /** What a caller can do, in one sentence. */
  readonly hint: string;
}

/** The codes of every outcome. Where several share a gRPC code, the first stands for it. */
export const STATUSES: Readonly<Record<OipStatus, StatusCodes>> = {
  invalid: {
    http: 400,
    grpc: 3,
    kind: 'invalid',
    hint: 'Correct the request; the model’s metadata says what it takes.',
  },
  unauthenticated: { http: 401, grpc: 16, kind: 'usage', hint: 'Send the header: Authorization: Bearer TOKEN.' },
  forbidden: { http: 403, grpc: 7, kind: 'usage', hint: 'Ask whoever runs the server.' },
  'not-found': { http: 404, grpc: 5, kind: 'invalid', hint: 'Check the model’s name and version.' },
  'too-slow': { http: 504, grpc: 4, kind: 'failed', hint: 'Allow more time, or try again later.' },
  limited: { http: 429, grpc: 8, kind: 'failed', hint: 'Send fewer requests at a time.' },
  'too-large': { http: 413, grpc: 8, kind: 'invalid', hint: 'Send a smaller request, or raise the server’s limit.' },
  overloaded: { http: 503, grpc: 14, kind: 'failed', hint: 'Try again later.' },
  unsupported: { http: 501, grpc: 12, kind: 'unsupported', hint: 'Check that both ends speak the same protocol.' },
  cancelled: { http: 499, grpc: 1, kind: 'failed', hint: 'Send the request again.' },
  internal: { http: 500, grpc: 13, kind: 'failed', hint: 'Look at the server’s log.' },
};

/** A request that was refused or failed, on either end of the wire. The kind follows from the status. */
export class OipError extends CuttleError {
  readonly status: OipStatus;
  /** After how many milliseconds another try may succeed, where the server says so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    status: OipStatus,
    message: string,
    options: { readonly hint?: string; readonly retryAfterMs?: number; readonly cause?: unknown } = {},
  ) {
    const { kind, hint } = STATUSES[status];
    super(kind, `oip/${status}`, message, { hint: options.hint ?? hint, cause: options.cause });
    this.status = status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The outcome that an HTTP status stands for; 'internal' for codes that no table lists. */
export function statusOfHttp(code: number): OipStatus {
  return find(({ http }) => http === code) ?? (code === 408 ? 'too-slow' : code < 500 ? 'invalid' : 'internal');
}

/** The outcome that a gRPC code stands for; 'internal' for codes that no table lists. */
export function statusOfGrpc(code: number): OipStatus {
  return find(({ grpc }) => grpc === code) ?? 'internal';
}

const find = (fits: (codes: StatusCodes) => boolean): OipStatus | undefined =>
  (Object.keys(STATUSES) as OipStatus[]).find((name) => fits(STATUSES[name]));

/** Anything thrown, as a refusal: foreign errors say nothing of their insides but their message. */
export function oipError(cause: unknown): OipError {
  if (cause instanceof OipError) return cause;
  if (cause instanceof CuttleError) {
    const status: OipStatus =
      cause.kind === 'failed' ? 'internal' : cause.kind === 'unsupported' ? 'unsupported' : 'invalid';
    return new OipError(status, cause.message, { hint: cause.hint, cause });
  }
  if (cause instanceof DOMException && cause.name === 'AbortError')
    return new OipError('cancelled', 'the request was cancelled', { cause });
  return new OipError('internal', `internal error: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}
