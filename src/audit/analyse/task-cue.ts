/** @file A fact that speaks for a task. */
import type { Modality } from './analysis.js';

/** Where a cue comes from: the first kinds say more than the last. */
export type CueSource = 'metadata' | 'labels' | 'operators' | 'shapes' | 'names';

/** One fact that speaks for a task. */
export interface TaskCue {
  readonly task: string;
  readonly modality: Modality;
  readonly source: CueSource;
  /** 1 hints, 2 speaks for, 3 decides. */
  readonly weight: 1 | 2 | 3;
  readonly because: string;
}
