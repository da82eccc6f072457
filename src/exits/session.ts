/** @file Runs a design stage by stage: finished samples leave, later stages run for the rest only, or not at all. */
import { CuttleError, type Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { now } from '../platform/index.js';
import { openSession, type Session, type SessionOptions } from '../runtime/index.js';
import { checkDesign, type DesignChoice } from './design.js';
import { truncateDesign } from './latency.js';
import type { Answer } from './policies/progress.js';
import type { Progressive } from './progressive.js';
import { StageWalk, type OpenedStages } from './stage-walk.js';
import { stagesOf, type Stage } from './stages.js';

/** A batch or a limit that a progressive session cannot take. Exit code 2. */
export class ProgressiveRunError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'exits/progressive-run', message, { hint });
  }
}

export interface ProgressiveRunOptions {
  /** Checked before every stage. */
  readonly signal?: AbortSignal;
  /** No exit after this one runs (number in the progressive model); what is left there is settled by the fallback. */
  readonly maxExit?: number;
  /**
   * Milliseconds from the call. A stage starts only where it can end in time, judged by `stageMs` (0 where absent); what
   * is left is settled by the fallback over the exits that have run. The first stage always runs.
   */
  readonly deadlineMs?: number;
  /** Expected duration of each stage for this batch. */
  readonly stageMs?: ArrayLike<number>;
}

/** Answers for a batch. */
export interface ProgressiveResult {
  /** Per sample: predicted class, top-1 probability, where execution stopped, whose prediction it is. */
  readonly answers: readonly Answer[];
  /** Logits of the exit that answered, samples × classes. */
  readonly logits: Float32Array;
  /** Samples that entered each stage; 0 where it did not run. */
  readonly entered: Uint32Array;
  /** Whether a deadline ended the run before the policy did. */
  readonly cutShort: boolean;
}

/** A loaded design. */
export interface ProgressiveSession extends AsyncDisposable {
  readonly design: DesignChoice;
  readonly classes: number;
  readonly stages: readonly Stage[];
  /** How many times each stage has been executed so far. */
  readonly runs: readonly number[];
  /**
   * Classifies a batch, float32 [samples, …]. Throws ProgressiveRunError for an empty batch or an impossible limit, the
   * signal's reason where it is aborted, and what the runtime throws.
   */
  run(images: Tensor, options?: ProgressiveRunOptions): Promise<ProgressiveResult>;
  release(): Promise<void>;
}

/**
 * Opens one session per stage of a design. Throws InvalidDesignError where the design does not fit the model, and what
 * the runtime throws.
 */
export async function openProgressive(
  progressive: Progressive,
  design: DesignChoice,
  options: SessionOptions = {},
): Promise<ProgressiveSession> {
  return new StagedSession(design, await openStages(progressive, design, options));
}

/** The sessions of a design's stages; what was opened is released where one of them fails. */
export async function openStages(
  progressive: Progressive,
  design: DesignChoice,
  options: SessionOptions,
): Promise<OpenedStages> {
  const { info } = progressive;
  checkDesign(design, info.exits.length);
  const stages = stagesOf(progressive, design);
  const sessions: Session[] = [];
  try {
    for (const stage of stages) sessions.push(await openSession(encodeModel(stage.model), options));
  } catch (error) {
    await Promise.all(sessions.map((session) => session.release()));
    throw error;
  }
  return { stages, sessions, classes: info.classes, final: info.exits.length, input: info.input };
}

class StagedSession implements ProgressiveSession {
  readonly design: DesignChoice;
  readonly runs: number[];
  readonly #opened: OpenedStages;

  constructor(design: DesignChoice, opened: OpenedStages) {
    this.design = design;
    this.runs = opened.stages.map(() => 0);
    this.#opened = opened;
  }

  get classes(): number {
    return this.#opened.classes;
  }

  get stages(): readonly Stage[] {
    return this.#opened.stages;
  }

  async run(images: Tensor, options: ProgressiveRunOptions = {}): Promise<ProgressiveResult> {
    const started = now();
    if ((images.dims[0] ?? 0) === 0) throw new ProgressiveRunError('the batch is empty', 'Give at least one sample.');
    const limit = this.#limit(options.maxExit);
    const walk = new StageWalk(this.#opened, truncateDesign(this.design, limit, this.#opened.final), images);
    let cutShort = false;
    while (!walk.done && walk.position < limit) {
      options.signal?.throwIfAborted();
      if (walk.position > 0 && !inTime(started, walk.position, options)) {
        cutShort = true;
        break;
      }
      this.runs[walk.position]!++;
      await walk.step();
    }
    const answers = walk.answers();
    return { answers, logits: walk.logitsOf(answers), entered: walk.entered, cutShort };
  }

  async release(): Promise<void> {
    await Promise.all(this.#opened.sessions.map((session) => session.release()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Number of stages that may run. */
  #limit(maxExit: number | undefined): number {
    if (maxExit === undefined) return this.stages.length;
    const allowed = this.stages.filter((stage) => stage.exit <= maxExit).length;
    if (allowed === 0)
      throw new ProgressiveRunError(
        `no exit of the design is at or before exit ${maxExit}`,
        `The design has the exits ${this.stages.map((stage) => stage.exit).join(', ')}.`,
      );
    return allowed;
  }
}

function inTime(started: number, position: number, { deadlineMs, stageMs }: ProgressiveRunOptions): boolean {
  return deadlineMs === undefined || now() - started + (stageMs?.[position] ?? 0) <= deadlineMs;
}
