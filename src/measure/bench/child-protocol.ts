/** @file What a measuring process is asked and answers. */
import type { Opening, OpeningRequest, Window } from './opening.js';

/** A request to a fresh process. The model lies in a file, so that reading it is part of the cold start. */
export interface ChildRequest extends Omit<OpeningRequest, 'model'> {
  readonly modelFile: string;
  /** When the process was asked for, ms since the epoch with fractions (`performance.timeOrigin + performance.now()`). */
  readonly askedAt: number;
  /** A sustained run in place of an ordinary opening. */
  readonly sustained?: { readonly seconds: number; readonly windowSeconds: number };
}

/** Parts of a cold start, ms: one after the other they make `coldStartMs`. */
export interface ColdStart {
  /** From asking for a process to its first line of code, and reading the request. */
  readonly processMs: number;
  /** Loading the runtime's library. */
  readonly runtimeMs: number;
  /** Reading the model's file. */
  readonly readMs: number;
  /** Making the session. */
  readonly loadMs: number;
  /** The first run. */
  readonly firstMs: number;
}

export interface ChildMemory {
  /** The most the process ever held, bytes. */
  readonly peakResidentBytes: number;
  /** What it held before the model was read; the difference is what the model costs. */
  readonly baseResidentBytes: number;
}

export interface ChildAnswer {
  readonly opening?: Opening;
  readonly windows?: readonly Window[];
  readonly cold: Omit<ColdStart, 'loadMs' | 'firstMs'>;
  readonly memory: ChildMemory;
}
