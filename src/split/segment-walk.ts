/** @file A batch on its way from one cut to another: part by part, leaving at exits, with the best answers so far at every point. */
import type { Tensor } from '../ir/index.js';
import { now, turn } from '../platform/index.js';
// The same designs, policies and rules for finished samples as where everything runs on the device.
import { checkDesign, type DesignChoice } from '../exits/design.js';
import { ExitProgress, type Answer } from '../exits/policies/progress.js';
import { instantiatedExits } from '../exits/rates.js';
import { keepSamples } from '../exits/session-rows.js';
import { CutError } from './cuts.js';
import type { SplitExit, SplitNetwork } from './network.js';
import { SegmentSessions, type SegmentSessionsOptions } from './segment-sessions.js';

/** What an exit said of one sample. */
export interface WalkAnswer {
  /** The exit whose prediction it is; the number of the model's early exits for the final one. */
  readonly exit: number;
  /** The exit up to which the sample went: another than `exit` where the fallback found an earlier one more confident. */
  readonly reached: number;
  /** Predicted class. */
  readonly label: number;
  /** Its softmax probability, temperature included. */
  readonly score: number;
  /** Logits of `exit`, one per class. */
  readonly logits: Float32Array;
}

/** Where samples are still under way. */
export interface WalkFrontier {
  readonly cut: number;
  /** Every tensor of the cut's frontier. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** The samples in the tensors' rows, as numbers in the batch that the walk began with. */
  readonly samples: Uint32Array;
}

/** How far a walk came. */
export interface WalkResult {
  /** Per sample of the batch: its answer, once it has left; undefined before. */
  readonly answers: readonly (WalkAnswer | undefined)[];
  /** Per sample: its answer, or what the fallback makes of the exits visited so far; undefined before the first exit. */
  readonly best: readonly (WalkAnswer | undefined)[];
  /** What crosses the cut that was walked to, for the samples that have not left; absent where all have. */
  readonly frontier?: WalkFrontier;
  /** Cuts where parts ended, in order. */
  readonly visited: readonly number[];
  /** Time inside the runtime, ms. */
  readonly computeMs: number;
}

/** An exit that has computed its logits. */
export interface ExitVisit {
  readonly exit: number;
  readonly cut: number;
  /** Samples that reached it, and those among them that left. */
  readonly samples: Uint32Array;
  readonly left: Uint32Array;
}

export interface WalkRequest {
  /** Where to begin (0: the network's inputs) … */
  readonly from: number;
  /** … and where to stop at the latest. */
  readonly to: number;
  /** The tensors of `from`'s frontier; unneeded ones do no harm. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /**
   * Exits and policy of the whole network, as in a design; only the exits behind `from` count, and patience counts anew
   * from there. Where omitted, no early exit is tested.
   */
  readonly design?: DesignChoice;
  /** Further cuts at which to pause for a turn of the event loop and look at the signal: for long parts without exits. */
  readonly stops?: readonly number[];
  /** Looked at before every part: ONNX Runtime cannot stop inside one. */
  readonly signal?: AbortSignal;
  readonly onExit?: (visit: ExitVisit) => void;
  /** A part has run: time inside the runtime, ms. */
  readonly onPart?: (part: { readonly from: number; readonly to: number; readonly ms: number }) => void;
}

/** What a walk looks at and reports to on its way. */
export type WalkOptions = Pick<WalkRequest, 'stops' | 'signal' | 'onExit' | 'onPart'>;

/** Walks over a split network. One per process or page is enough: it holds the sessions, requests may overlap. */
export class SegmentWalk implements AsyncDisposable {
  readonly network: SplitNetwork;
  readonly sessions: SegmentSessions;

  constructor(network: SplitNetwork, options: SegmentSessionsOptions = {}) {
    this.network = network;
    this.sessions = new SegmentSessions(network, options);
  }

  /**
   * Runs the parts from one cut to another, testing the exits in between; samples that leave are dropped from what later
   * parts compute. Throws CutError for impossible cuts, a missing tensor or an exit that does not take part,
   * InvalidDesignError, the signal's reason, and what the runtime throws.
   */
  async run(request: WalkRequest): Promise<WalkResult> {
    const walk = this.begin(request);
    await walk.to(request.to, request);
    return walk.result();
  }

  /** A walk that stands at `from` and goes on piece by piece: for the device, which continues while a request is out. */
  begin(request: Pick<WalkRequest, 'from' | 'tensors' | 'design'>): Walk {
    return new Walk(this.sessions, request);
  }

  /** Opens the sessions between two cuts, so that the first request does not wait for them. */
  async prepare({ from, to, design, stops }: Pick<WalkRequest, 'from' | 'to' | 'design' | 'stops'>): Promise<void> {
    const exits = exitsOf(this.network, design);
    // Where the design ends at an early exit, nobody goes further.
    const end = design?.truncated === true ? Math.min(to, exits.at(-1)!.position) : to;
    if (from >= end) return;
    for (const [start, stop] of partsBetween(exits, from, end, stops))
      await this.sessions.use(start, stop, numbersWithin(exits, start, stop), () => Promise.resolve());
  }

  async release(): Promise<void> {
    await this.sessions.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

interface Visit {
  readonly exit: number;
  readonly logits: Float32Array;
  readonly samples: Uint32Array;
}

/** One batch under way. */
export class Walk {
  readonly #sessions: SegmentSessions;
  readonly #network: SplitNetwork;
  readonly #exits: readonly SplitExit[];
  readonly #progress: ExitProgress;
  readonly #count: number;
  readonly #visits: Visit[] = [];
  readonly #visited: number[] = [];
  #cut: number;
  #tensors: Readonly<Record<string, Tensor>>;
  /** Rows of the tensors, as numbers in the batch; those of them that have not left. */
  #rows: Uint32Array;
  #active: Uint32Array;
  #computeMs = 0;

  constructor(sessions: SegmentSessions, { from, tensors, design }: Pick<WalkRequest, 'from' | 'tensors' | 'design'>) {
    const { network } = sessions;
    const cut = network.cuts.cuts[from];
    if (cut === undefined) throw new CutError(`cut ${from} is not one of 0 to ${network.cuts.cuts.length - 1}`);
    const missing = cut.frontier.find((name) => tensors[name] === undefined);
    if (missing !== undefined) throw new CutError(`tensor '${missing}' of cut ${from} is missing`, 'Give all of them.');
    this.#sessions = sessions;
    this.#network = network;
    this.#exits = exitsOf(network, design).filter(({ position }) => position > from);
    this.#count = batchOf(network, cut.frontier, tensors);
    this.#progress = new ExitProgress(behind(network, design, from), network.classes, network.final.exit, this.#count);
    this.#rows = this.#active = Uint32Array.from({ length: this.#count }, (_, sample) => sample);
    this.#cut = from;
    this.#tensors = tensors;
  }

  /** The cut at which the walk stands. */
  get cut(): number {
    return this.#cut;
  }

  /** Whether every sample has left. */
  get done(): boolean {
    return this.#active.length === 0;
  }

  /** The next exit's cut; that of the final one at last. */
  get nextExit(): number {
    return this.#exits.find(({ position }) => position > this.#cut)?.position ?? this.#network.final.position;
  }

  /** Goes on to a cut; stops earlier where every sample has left. Contract: one call at a time. */
  async to(cut: number, { stops, signal, onExit, onPart }: WalkOptions = {}): Promise<void> {
    if (this.#network.cuts.cuts[cut] === undefined || cut < this.#cut)
      throw new CutError(`a walk at cut ${this.#cut} cannot go to cut ${cut}`);
    let first = true;
    for (const [from, to] of partsBetween(this.#exits, this.#cut, cut, stops)) {
      if (this.done) return;
      // A run blocks the event loop in Node: messages and timers get their turn between two.
      if (!first) await turn();
      first = false;
      signal?.throwIfAborted();
      await this.#part(from, to, { onExit, onPart });
    }
  }

  /** Where the walk stands now. */
  result(): WalkResult {
    const best = Array.from({ length: this.#count }, (_, sample) => this.#bestOf(sample));
    const answers = best.map((answer, sample) => (this.#progress.answer(sample) === undefined ? undefined : answer));
    return {
      answers,
      best,
      visited: [...this.#visited],
      computeMs: this.#computeMs,
      ...(this.done ? {} : { frontier: this.#frontier() }),
    };
  }

  async #part(from: number, to: number, { onExit, onPart }: Omit<WalkOptions, 'stops' | 'signal'>): Promise<void> {
    const numbers = numbersWithin(this.#exits, from, to);
    const results = await this.#sessions.use(from, to, numbers, async (session) => {
      const feeds = Object.fromEntries(session.inputNames.map((name) => [name, this.#tensors[name]!]));
      const start = now();
      const made = await session.run(feeds);
      const ms = now() - start;
      this.#computeMs += ms;
      onPart?.({ from, to, ms });
      return made;
    });
    const known = { ...this.#tensors, ...results };
    this.#cut = to;
    this.#visited.push(to);
    for (const exit of this.#exits)
      if (exit.position > from && exit.position <= to && !this.done) this.#visit(exit, results[exit.output]!, onExit);
    const { frontier } = this.#network.cuts.cuts[to]!;
    this.#tensors = this.done ? {} : this.#compacted(Object.fromEntries(frontier.map((name) => [name, known[name]!])));
  }

  #visit({ exit, position }: SplitExit, { data }: Tensor, onExit: WalkRequest['onExit']): void {
    const { classes } = this.#network;
    const logits = data as Float32Array;
    if (logits.length !== this.#rows.length * classes)
      throw new CutError(`exit ${exit} gave ${logits.length} logits for ${this.#rows.length} samples`, WRONG_BATCH);
    const place = this.#progress.instantiated.indexOf(exit);
    this.#visits.push({ exit, logits, samples: this.#rows });
    const active = new Set(this.#active);
    const left: number[] = [];
    this.#rows.forEach((sample, row) => {
      if (active.has(sample) && this.#progress.visit(place, sample, logits, row * classes)) left.push(sample);
    });
    const samples = this.#active;
    for (const sample of left) active.delete(sample);
    this.#active = Uint32Array.from(active);
    onExit?.({ exit, cut: position, samples, left: Uint32Array.from(left) });
  }

  /** The tensors without the rows of samples that have left; unchanged where a tensor does not say where samples lie. */
  #compacted(tensors: Record<string, Tensor>): Record<string, Tensor> {
    if (this.#active.length === this.#rows.length) return tensors;
    const axes = Object.keys(tensors).map((name) => this.#network.batchAxis(name));
    if (axes.some((axis) => axis === undefined)) return tensors;
    const active = new Set(this.#active);
    const keep = [...this.#rows.keys()].filter((row) => active.has(this.#rows[row]!));
    this.#rows = this.#active;
    return Object.fromEntries(
      Object.entries(tensors).map(([name, tensor], i) => [name, keepSamples(tensor, axes[i]!, keep)]),
    );
  }

  #frontier(): WalkFrontier {
    return { cut: this.#cut, tensors: this.#tensors, samples: this.#rows };
  }

  #bestOf(sample: number): WalkAnswer | undefined {
    if (this.#visits.length === 0) return undefined;
    const { answeredBy, exit, prediction, confidence }: Answer = this.#progress.current(sample);
    const { logits, samples } = this.#visits.find((visit) => visit.exit === answeredBy)!;
    const { classes } = this.#network;
    const row = samples.indexOf(sample);
    return {
      exit: answeredBy,
      reached: exit,
      label: prediction,
      score: confidence,
      logits: logits.slice(row * classes, (row + 1) * classes),
    };
  }
}

/** Exits that a design visits, the final one included unless it is truncated. Throws InvalidDesignError and CutError. */
function exitsOf({ exits, final }: SplitNetwork, design: DesignChoice = NO_EXITS): readonly SplitExit[] {
  checkDesign(design, final.exit);
  return instantiatedExits(design, final.exit).map((exit) => {
    const found = exit === final.exit ? final : exits.find((candidate) => candidate.exit === exit);
    if (found === undefined)
      throw new CutError(`exit ${exit} does not take part in this split network`, 'Open it too.');
    return found;
  });
}

const WRONG_BATCH = 'Feed tensors of one batch; a network with a fixed batch size takes one sample alone.';

const NO_EXITS: DesignChoice = { exits: [], policy: { kind: 'confidence', thresholds: 2 }, fallback: 'last' };

/** The part of a design behind a cut. Without temperatures of its own it takes the calibrated ones of the network. */
function behind(network: SplitNetwork, design: DesignChoice = NO_EXITS, from: number): DesignChoice {
  const visited = exitsOf(network, design);
  const skipped = visited.filter(({ position }) => position <= from).length;
  const { policy, exits } = design;
  const { thresholds, temperatures = visited.map(({ temperature }) => temperature), gates } = policy;
  return {
    ...design,
    exits: exits.slice(skipped),
    policy: {
      ...policy,
      thresholds: typeof thresholds === 'number' ? thresholds : thresholds.slice(skipped),
      temperatures: temperatures.slice(skipped),
      ...(gates === undefined ? {} : { gates: gates.slice(skipped) }),
    },
  };
}

function numbersWithin(exits: readonly SplitExit[], from: number, to: number): readonly number[] {
  return exits.filter(({ position }) => position > from && position <= to).map(({ exit }) => exit);
}

/** Neighbouring pairs of the cuts at which a walk pauses: both ends, the exits and stops between. */
function partsBetween(
  exits: readonly SplitExit[],
  from: number,
  to: number,
  stops: readonly number[] = [],
): readonly (readonly [number, number])[] {
  const inner = [...exits.map(({ position }) => position), ...stops].filter((cut) => cut > from && cut < to);
  const marks = [...new Set([from, ...inner, to])].sort((a, b) => a - b);
  return marks.slice(1).map((mark, i) => [marks[i]!, mark] as const);
}

/** Samples in a batch: the size of the batch axis where a tensor has one; else 1. */
function batchOf(
  network: SplitNetwork,
  frontier: readonly string[],
  tensors: Readonly<Record<string, Tensor>>,
): number {
  for (const name of frontier) {
    const axis = network.batchAxis(name);
    if (axis !== undefined) return tensors[name]!.dims[axis]!;
  }
  return 1;
}
