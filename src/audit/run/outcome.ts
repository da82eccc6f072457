/** @file What a worker is asked, and what became of it. Plain JSON: it may cross machines. */
import type { PlanItem } from '../sources/item.js';

export interface AuditJob {
  readonly item: PlanItem;
  /** Where the item lies now. */
  readonly file: string;
  /** The folder of records. */
  readonly records: string;
  /** Models above this are recognised, and not read. */
  readonly maxModelBytes: number;
}

export type JobOutcome =
  /** There is a record; `known` where it was there before. `formats`: models by format. */
  | {
      readonly status: 'recorded';
      readonly sha256: string;
      readonly bytes: number;
      readonly known: boolean;
      readonly formats: Readonly<Record<string, number>>;
    }
  /** There is a record that says why the app could not be audited. */
  | { readonly status: 'failed'; readonly sha256: string; readonly bytes: number; readonly reason: string }
  /** Neither an app nor an archive nor a model, and nobody named it. */
  | { readonly status: 'nothing'; readonly sha256: string; readonly bytes: number }
  /** It cannot be read or fetched now: tried again when the run is resumed. */
  | { readonly status: 'unavailable'; readonly reason: string };
