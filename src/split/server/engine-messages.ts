/** @file What a server's thread and its computing thread say to each other. */
import { type CuttleError } from '../../ir/index.js';
import type { SessionOptions } from '../../runtime/index.js';
import { oipError, OipError, type OipStatus } from '../oip/status.js';
import type { BatchResult, LoadRequest, PlainTensors, Work, WorkResult } from './engine.js';
import type { ModelCard } from './model-card.js';

/** Handed to the thread when it starts. */
export interface EngineThreadData {
  readonly session: SessionOptions;
}

export type EngineCall =
  | { readonly id: number; readonly do: 'load'; readonly request: LoadRequest }
  | { readonly id: number; readonly do: 'unload'; readonly key: string }
  | { readonly id: number; readonly do: 'run'; readonly key: string; readonly batch: readonly Work[] }
  /** Without an answer of its own. */
  | { readonly id: number; readonly do: 'cancel' };

/** An error as it passes between threads. */
export interface PlainError {
  readonly status: OipStatus;
  readonly message: string;
  readonly hint: string | undefined;
}

export type EngineAnswer =
  | { readonly id: number; readonly ok: true; readonly value: ModelCard | BatchResult | undefined }
  | { readonly id: number; readonly ok: false; readonly error: PlainError };

/** Errors keep their message, hint and status on the way. */
export function plainError(cause: unknown): PlainError {
  const { status, message, hint } = oipError(cause);
  return { status, message, hint };
}

export function errorOf({ status, message, hint }: PlainError): CuttleError {
  return new OipError(status, message, { hint });
}

/** Results with errors that can pass. */
export function plainResult(result: WorkResult): WorkResult {
  return result.ok ? result : { ok: false, error: plainError(result.error) };
}

/** Results with errors that can be thrown again. */
export function resultOf(result: WorkResult): WorkResult {
  return result.ok ? result : { ok: false, error: errorOf(result.error as PlainError) };
}

/**
 * The memory of tensors that may be moved to the other thread rather than copied: what no other tensor shares. Tensors in
 * shared memory are copied first, as a view would take its whole buffer along.
 */
export function movable(tensors: PlainTensors): { readonly tensors: PlainTensors; readonly buffers: ArrayBuffer[] } {
  const buffers: ArrayBuffer[] = [];
  const moved: Record<string, PlainTensors[string]> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const bytes = ownBytes(tensor.bytes);
    buffers.push(bytes.buffer);
    moved[name] = { ...tensor, bytes };
  }
  return { tensors: moved, buffers };
}

/** Bytes that fill their buffer, so that it can be moved. */
export function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  // A copy by the constructor: a Buffer's own slice() would share Node's pool, which must not be moved.
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length && bytes.constructor === Uint8Array
    ? (bytes as Uint8Array<ArrayBuffer>)
    : new Uint8Array(bytes);
}
