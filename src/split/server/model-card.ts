/** @file What a server tells of a loaded model, and what requests are checked against before they are queued. */
import type { DataType, Shape } from '../../ir/index.js';

export interface CardTensor {
  readonly name: string;
  readonly dtype: DataType;
  /** Undefined where not even the rank is known. */
  readonly shape: Shape | undefined;
  /** The axis along which samples lie, where requests may be put together along it. */
  readonly batchAxis: number | undefined;
}

/** A model that device and server can share. */
export interface SplitCard {
  /** What crosses each cut. */
  readonly cuts: readonly (readonly CardTensor[])[];
  /** Numbers of the early exits, and the cuts at which they stand. */
  readonly exits: readonly { readonly exit: number; readonly position: number }[];
  readonly final: { readonly exit: number; readonly position: number };
  /** The output that holds logits in replies. */
  readonly logits: string;
  readonly classes: number;
}

export interface ModelCard {
  /** `modelDigest` of the model. */
  readonly digest: string;
  readonly inputs: readonly CardTensor[];
  readonly outputs: readonly CardTensor[];
  /** Whether requests for whole inferences may be put together: every input and output has its batch axis. */
  readonly batches: boolean;
  /** Why this model's inferences may not be put together, for the log. */
  readonly unbatched: string | undefined;
  readonly split: SplitCard | undefined;
  /** Why it cannot be split. */
  readonly unsplit: string | undefined;
  /** One warm inference of one sample, ms; undefined where none could be made up. */
  readonly idleMs: number | undefined;
}
