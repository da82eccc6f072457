/** @file Runs a design stage by stage: finished samples leave, later stages run for the rest only, or not at all. */
import { CuttleError, type Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { now } from '../platform/index.js';
import { openSession, type Session, type SessionOptions } from '../runtime/index.js';
import { checkDesign, type DesignChoice } from './design.js';
import { truncateDesign } from './latency.js';
import { ExitProgress, type Answer } from './policies/progress.js';
import type { Progressive } from './progressive.js';
import { keepSamples } from './session-rows.js';
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
  checkDesign(design, progressive.info.exits.length);
  const stages = stagesOf(progressive, design);
  const sessions: Session[] = [];
  try {
    for (const stage of stages) sessions.push(await openSession(encodeModel(stage.model), options));
  } catch (error) {
    await Promise.all(sessions.map((session) => session.release()));
    throw error;
  }
  return new StagedSession(progressive, design, stages, sessions);
}

/** What one exit computed: logits of the samples that reached it. */
interface Visit {
  readonly logits: Float32Array;
  readonly samples: Uint32Array;
}

class StagedSession implements ProgressiveSession {
  readonly design: DesignChoice;
  readonly classes: number;
  readonly stages: readonly Stage[];
  readonly runs: number[];
  readonly #sessions: readonly Session[];
  readonly #final: number;
  readonly #input: string;

  constructor(progressive: Progressive, design: DesignChoice, stages: readonly Stage[], sessions: readonly Session[]) {
    this.design = design;
    this.classes = progressive.info.classes;
    this.stages = stages;
    this.runs = stages.map(() => 0);
    this.#sessions = sessions;
    this.#final = progressive.info.exits.length;
    this.#input = progressive.info.input;
  }

  async run(images: Tensor, options: ProgressiveRunOptions = {}): Promise<ProgressiveResult> {
    const started = now();
    const count = images.dims[0] ?? 0;
    if (count === 0) throw new ProgressiveRunError('the batch is empty', 'Give at least one sample.');
    const limit = this.#limit(options.maxExit);
    const progress = new ExitProgress(
      truncateDesign(this.design, limit, this.#final),
      this.classes,
      this.#final,
      count,
    );
    const entered = new Uint32Array(this.stages.length);
    const visits: Visit[] = [];
    let active = Uint32Array.from({ length: count }, (_, sample) => sample);
    let tensors = new Map<string, Tensor>([[this.#input, images]]);
    let cutShort = false;

    for (let position = 0; position < limit && active.length > 0; position++) {
      options.signal?.throwIfAborted();
      if (position > 0 && !inTime(started, position, options)) {
        cutShort = true;
        break;
      }
      const stage = this.stages[position]!;
      entered[position] = active.length;
      const results = await this.#runStage(position, tensors);
      const logits = results[stage.logits]!.data as Float32Array;
      visits.push({ logits, samples: active });
      const staying: number[] = [];
      for (let row = 0; row < active.length; row++)
        if (!progress.visit(position, active[row]!, logits, row * this.classes)) staying.push(row);
      const next = new Map<string, Tensor>();
      if (staying.length > 0)
        for (const { name, batchAxis } of stage.carried) {
          const tensor = results[name] ?? tensors.get(name)!;
          next.set(name, staying.length === active.length ? tensor : keepSamples(tensor, batchAxis, staying));
        }
      tensors = next;
      active = Uint32Array.from(staying, (row) => active[row]!);
    }

    const settled = cutShort ? this.#settle(visits, active, count) : progress;
    const waiting = new Set(active);
    const answers = Array.from({ length: count }, (_, sample) =>
      (waiting.has(sample) ? settled : progress).answer(sample)!,
    );
    return { answers, logits: this.#answeredLogits(answers, visits), entered, cutShort };
  }

  async release(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.release()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #runStage(position: number, tensors: ReadonlyMap<string, Tensor>): Promise<Record<string, Tensor>> {
    const { inputs } = this.stages[position]!;
    this.runs[position]!++;
    return this.#sessions[position]!.run(Object.fromEntries(inputs.map(({ name }) => [name, tensors.get(name)!])));
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

  /** Answers for samples that no exit has let go, as if the design ended at the last exit that ran. */
  #settle(visits: readonly Visit[], waiting: Uint32Array, count: number): ExitProgress {
    const progress = new ExitProgress(
      truncateDesign(this.design, visits.length, this.#final),
      this.classes,
      this.#final,
      count,
    );
    visits.forEach(({ logits, samples }, position) => {
      const row = new Map(Array.from(samples, (sample, index) => [sample, index]));
      for (const sample of waiting) progress.visit(position, sample, logits, row.get(sample)! * this.classes);
    });
    return progress;
  }

  #answeredLogits(answers: readonly Answer[], visits: readonly Visit[]): Float32Array {
    const { classes } = this;
    const logits = new Float32Array(answers.length * classes);
    visits.forEach((visit, position) => {
      const { exit } = this.stages[position]!;
      visit.samples.forEach((sample, row) => {
        if (answers[sample]!.answeredBy === exit)
          logits.set(visit.logits.subarray(row * classes, (row + 1) * classes), sample * classes);
      });
    });
    return logits;
  }
}

function inTime(started: number, position: number, { deadlineMs, stageMs }: ProgressiveRunOptions): boolean {
  return deadlineMs === undefined || now() - started + (stageMs?.[position] ?? 0) <= deadlineMs;
}
