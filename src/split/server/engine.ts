/** @file Where a server computes: models that are loaded, batches that run. In this thread, or in one of its own. */
import { dataTypes, Tensor, type DataType } from '../../ir/index.js';
import type { DesignChoice } from '../../exits/design.js';
import type { ModelCard } from './model-card.js';

/** A tensor as it passes between threads. */
export interface PlainTensor {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  readonly strings: readonly string[] | undefined;
}

export type PlainTensors = Readonly<Record<string, PlainTensor>>;

/** What one request wants computed. */
export type Work =
  /** A whole inference: the named outputs, all where empty. */
  | { readonly kind: 'whole'; readonly inputs: PlainTensors; readonly outputs: readonly string[] }
  /** From a cut to the end: the frontier's tensors in one frame, or as they are. */
  | {
      readonly kind: 'tail';
      readonly cut: number;
      readonly design: DesignChoice | undefined;
      readonly frame: Uint8Array | undefined;
      readonly inputs: PlainTensors;
    };

/** What became of one request. */
export type WorkResult =
  | {
      readonly ok: true;
      readonly outputs: PlainTensors;
      /** How far it went: 0 for whole inferences, else the furthest exit. */
      readonly reached: number;
    }
  | { readonly ok: false; readonly error: unknown };

export interface BatchResult {
  /** One per request, in their order. */
  readonly results: readonly WorkResult[];
  /** Time that computing took, without opening sessions, ms. */
  readonly computeMs: number;
}

export interface LoadRequest {
  /** Under which the model is known until it is unloaded. */
  readonly key: string;
  readonly path: string;
}

/** Computes batches one at a time. Contract: all requests of a batch have the same kind, cut, exits and shapes. */
export interface Engine {
  /** Loads a model. Throws what reading it and the runtime throw. */
  load(request: LoadRequest): Promise<ModelCard>;
  unload(key: string): Promise<void>;
  /**
   * Runs a batch. One request's failure leaves the others alone. Throws the signal's reason where it is aborted (looked
   * at between parts), and OipError 'internal' where the engine itself died.
   */
  run(key: string, batch: readonly Work[], signal: AbortSignal): Promise<BatchResult>;
  close(): Promise<void>;
}

export function toPlain({ dtype, dims, bytes, strings }: Tensor): PlainTensor {
  return { dtype, dims, bytes, strings };
}

export function toTensor({ dtype, dims, bytes, strings }: PlainTensor): Tensor {
  return strings === undefined ? Tensor.fromBytes(dtype, dims, bytes) : Tensor.ofStrings(dims, strings);
}

/** Bytes that a tensor of a type holds per element; strings count as 16. */
export function elementBytes(dtype: DataType): number {
  return dtype === 'string' ? 16 : dataTypes[dtype].bits / 8;
}
