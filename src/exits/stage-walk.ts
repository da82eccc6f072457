/** @file One batch on its way through a design's stages: one stage at a time, with the best answers so far at every point. */
import type { Tensor } from '../ir/index.js';
import type { Session } from '../runtime/index.js';
import type { DesignChoice } from './design.js';
import { ExitProgress, type Answer } from './policies/progress.js';
import { keepSamples } from './session-rows.js';
import type { Stage } from './stages.js';

/** What a walk needs of an opened design. */
export interface OpenedStages {
  readonly stages: readonly Stage[];
  readonly sessions: readonly Session[];
  readonly classes: number;
  /** Number of the network's final exit. */
  readonly final: number;
  /** Name of the network's input. */
  readonly input: string;
}

/** What one exit computed: logits of the samples that reached it. */
interface Visit {
  readonly logits: Float32Array;
  readonly samples: Uint32Array;
}

/** Follows a batch, [samples, …], stage by stage. Samples that leave are dropped from what later stages compute. */
export class StageWalk {
  /** Samples that entered each stage; 0 where it has not run. */
  readonly entered: Uint32Array;
  readonly #opened: OpenedStages;
  readonly #progress: ExitProgress;
  readonly #count: number;
  readonly #visits: Visit[] = [];
  #active: Uint32Array;
  #tensors: ReadonlyMap<string, Tensor>;

  /** `design` is the opened one, or that one truncated: only its exits are visited. */
  constructor(opened: OpenedStages, design: DesignChoice, images: Tensor) {
    this.#opened = opened;
    this.#count = images.dims[0]!;
    this.#progress = new ExitProgress(design, opened.classes, opened.final, this.#count);
    this.#active = Uint32Array.from({ length: this.#count }, (_, sample) => sample);
    this.#tensors = new Map([[opened.input, images]]);
    this.entered = new Uint32Array(opened.stages.length);
  }

  /** How many stages have run. */
  get position(): number {
    return this.#visits.length;
  }

  /** Whether every sample has left. */
  get done(): boolean {
    return this.#active.length === 0;
  }

  /** Runs the next stage for the samples that are still there. */
  async step(): Promise<void> {
    const { position } = this;
    const { stages, sessions, classes } = this.#opened;
    const stage = stages[position]!;
    const active = this.#active;
    const tensors = this.#tensors;
    this.entered[position] = active.length;
    const feeds = Object.fromEntries(stage.inputs.map(({ name }) => [name, tensors.get(name)!]));
    const results = await sessions[position]!.run(feeds);
    const logits = results[stage.logits]!.data as Float32Array;
    this.#visits.push({ logits, samples: active });
    const staying: number[] = [];
    for (let row = 0; row < active.length; row++)
      if (!this.#progress.visit(position, active[row]!, logits, row * classes)) staying.push(row);
    const next = new Map<string, Tensor>();
    if (staying.length > 0)
      for (const { name, batchAxis } of stage.carried) {
        const tensor = results[name] ?? tensors.get(name)!;
        next.set(name, staying.length === active.length ? tensor : keepSamples(tensor, batchAxis, staying));
      }
    this.#tensors = next;
    this.#active = Uint32Array.from(staying, (row) => active[row]!);
  }

  /** The best answers so far, one per sample. At least one stage must have run. */
  answers(): readonly Answer[] {
    return Array.from({ length: this.#count }, (_, sample) => this.#progress.current(sample));
  }

  /** Logits of the exits that gave these answers, samples × classes. */
  logitsOf(answers: readonly Answer[]): Float32Array {
    const { classes, stages } = this.#opened;
    const logits = new Float32Array(answers.length * classes);
    this.#visits.forEach((visit, position) => {
      const { exit } = stages[position]!;
      visit.samples.forEach((sample, row) => {
        if (answers[sample]!.answeredBy === exit)
          logits.set(visit.logits.subarray(row * classes, (row + 1) * classes), sample * classes);
      });
    });
    return logits;
  }
}
