/** @file What an exit head is: a small classifier that reads one feature map. */
import { CuttleError, type GraphBuilder } from '../../ir/index.js';
import type { Random } from '../../platform/random.js';

/** Names of the heads in the table of `heads/index.ts`. */
export type HeadKind = 'msdnet' | 'sdn' | 'pool' | 'class-token';

/** A head that does not exist, with an impossible width, or on a value that it cannot read. Exit code 2. */
export class UnknownHeadError extends CuttleError {
  constructor(message: string, hint = 'Choose another head.') {
    super('usage', 'exits/unknown-head', message, { hint });
  }
}

/** Which head, and how wide. */
export interface HeadConfig {
  readonly kind: HeadKind;
  /** Channels of the head's own convolutions; a head without any ignores it. */
  readonly width?: number;
}

/** Where a head is built. */
export interface HeadSite {
  readonly b: GraphBuilder;
  /** The feature map, float [batch, C, H, W]; a sequence has its T steps as height T and width 1. */
  readonly value: string;
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly classes: number;
  /** Initial weights come from here, in the order of construction. */
  readonly random: Random;
  /** Stem of all names: `exit_3`. */
  readonly name: string;
}

/** A kind of head: one file each. */
export interface ExitHead {
  readonly kind: HeadKind;
  /** For users: what it is made of. */
  readonly title: string;
  /** Where it was published. */
  readonly source: string;
  readonly defaultWidth: number;
  /** Appends the head's nodes and weights; returns the value with its logits, [batch, classes]. */
  build(site: HeadSite, width: number): string;
}
