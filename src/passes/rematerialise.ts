/** @file Fits a training step into a memory budget: which activations to hold for the backward pass, and which to compute again. */
import {
  ancestorsOf,
  byteLength,
  CuttleError,
  namesOf,
  sizeOf,
  sortNodes,
  staticShape,
  type Graph,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';
import { costOf, type NodeCost } from './cost.js';
import { inferShapes } from './infer-shapes.js';
import { isRepeatable, repeatedOutputs, repeatLate } from './rematerialise-rewrite.js';
import { runMemory, type RunMemory } from './run-memory.js';

export interface RematerialiseOptions {
  /** Values that the forward pass ends in: the loss and what is reported beside it. */
  readonly forward: readonly string[];
  /** Bytes that a run may hold at once, as `runMemory` counts them. */
  readonly budget: number;
}

export interface RematerialiseResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the forward nodes that run a second time in the backward pass. */
  readonly repeated: readonly string[];
  readonly before: RunMemory;
  readonly after: RunMemory;
  /** Estimated time of the repetitions as a share of the step's. */
  readonly extraTime: number;
}

/** No choice of what to compute again keeps the step under the budget. Exit code 2. */
export class MemoryBudgetError extends CuttleError {
  /** The smallest budget that can be met, in bytes. */
  readonly least: number;

  constructor(budget: number, least: number, advice = 'Give more memory, or train on smaller batches.') {
    super(
      'usage',
      'passes/memory-budget',
      `the training step needs at least ${megabytes(least)} of memory, but may take only ${megabytes(budget)}`,
      { hint: advice },
    );
    this.least = least;
  }
}

/** A step whose sizes are not all known cannot be planned. Exit code 2. */
export class UnknownSizesError extends CuttleError {
  constructor(value: string) {
    super('usage', 'passes/unknown-sizes', `the memory of '${value}' is not known: it has symbolic dims`, {
      hint: 'Bind the dims first (bindDims, or `dims` of the step specification).',
    });
  }
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;

/** Values below this size are always held: computing them again would save nothing. */
const SMALL = 64 * 1024;

/**
 * Chooses forward nodes to run again, so that the predicted peak of the step stays within the budget at the least estimated
 * time (checkpointing: Griewank and Walther 2000; Chen et al. 2016). Candidates: segments of the forward pass between
 * narrow cuts, of many lengths, and all cheap (not multiplying) nodes; the cheapest that fits is then relaxed, node by
 * node, as far as the budget allows. Every candidate is judged by the memory of the rewritten graph in ONNX Runtime's
 * own order. Contract: every value's size is known; outputs are unchanged, bit for bit; random nodes are never repeated and
 * normalisations in training form update their averages once. Throws MemoryBudgetError, UnknownSizesError.
 */
export function rematerialise(model: Model, options: RematerialiseOptions): RematerialiseResult {
  const plan = new Planner(model, options.forward);
  const none = plan.evaluate(new Set());
  if (none.memory.bytes <= options.budget)
    return { model, changed: false, repeated: [], before: none.memory, after: none.memory, extraTime: 0 };

  const tried = plan.candidates().map((nodes) => plan.evaluate(nodes));
  const fitting = tried.filter(({ memory }) => memory.bytes <= options.budget).sort((a, b) => a.seconds - b.seconds);
  if (fitting.length === 0)
    throw new MemoryBudgetError(options.budget, Math.min(none.memory.bytes, ...tried.map((each) => each.memory.bytes)));
  const best = fitting
    .slice(0, RELAXED)
    .map((each) => plan.relax(each, options.budget))
    .reduce((a, b) => (b.seconds < a.seconds ? b : a));
  return {
    model: { ...model, graph: best.graph },
    changed: true,
    repeated: [...best.repeated].map(({ name }) => name),
    before: none.memory,
    after: best.memory,
    extraTime: best.seconds / plan.seconds,
  };
}

/** The smallest budget, in bytes of `runMemory`, that `rematerialise` can meet. Throws UnknownSizesError. */
export function leastMemory(model: Model, forward: readonly string[]): number {
  const plan = new Planner(model, forward);
  return Math.min(...[new Set<Node>(), ...plan.candidates()].map((nodes) => plan.evaluate(nodes).memory.bytes));
}

/** How many of the cheapest fitting candidates are relaxed. */
const RELAXED = 2;

interface Plan {
  readonly repeated: readonly Node[];
  readonly graph: Graph;
  readonly memory: RunMemory;
  /** Estimated time of the repetitions. */
  readonly seconds: number;
}

class Planner {
  /** Estimated time of the step without repetitions. */
  readonly seconds: number;
  readonly #graph: Graph;
  readonly #early: ReadonlySet<Node>;
  /** Forward nodes that can be repeated and are worth it, in order. */
  readonly #forward: readonly Node[];
  readonly #types: ReadonlyMap<string, ValueType>;
  readonly #costs: ReadonlyMap<string, NodeCost>;
  readonly #taken: ReadonlySet<string>;

  constructor(model: Model, forward: readonly string[]) {
    this.#graph = { ...model.graph, nodes: sortNodes(model.graph.nodes) };
    this.#taken = namesOf(this.#graph);
    const early = ancestorsOf(this.#graph, forward);
    this.#early = new Set(early);
    this.#types = inferShapes(model).types;
    const { nodes } = costOf(model, { unknownOps: 'skip' });
    this.#costs = new Map(nodes.map((cost) => [cost.name, cost]));
    this.seconds = nodes.reduce((sum, cost) => sum + secondsOf(cost), 0);
    this.#forward = early.filter((node) => isRepeatable(node) && this.#bytesOf(node) >= SMALL);
  }

  evaluate(repeated: ReadonlySet<Node>): Plan {
    const late = repeatLate(this.#graph, this.#early, repeated, (value) => this.#types.get(value), this.#taken);
    const memory = runMemory(late.graph, (value) => this.#bytes(late.sources.get(value) ?? value));
    const seconds = late.repeated.reduce((sum, node) => sum + secondsOf(this.#costs.get(node.name)!), 0);
    return { repeated: late.repeated, graph: late.graph, memory, seconds };
  }

  /** Sets of nodes to repeat: the cheap ones; everything between cuts, for segments of many sizes; cheap ones beside it. */
  candidates(): readonly ReadonlySet<Node>[] {
    const cheap = this.#forward.filter((node) => this.#costs.get(node.name)!.macs === 0);
    const total = this.#forward.reduce((sum, node) => sum + this.#bytesOf(node), 0);
    const found = [new Set(cheap)];
    for (let size = total / 2; size > total / LONGEST_CHAIN; size /= SEGMENT_RATIO) {
      const kept = this.#cuts(size);
      found.push(new Set(this.#forward.filter((node) => !kept.has(node))));
    }
    return found;
  }

  /** Takes repetitions back while the step still fits: the last layers first, then what saves most time per byte. */
  relax(plan: Plan, budget: number): Plan {
    const fits = (candidate: Plan): boolean => candidate.memory.bytes <= budget;
    const repeated = new Set(plan.repeated);
    const inOrder = this.#forward.filter((node) => repeated.has(node));
    // The largest tail that can be held, by bisection: memory grows with it.
    let [held, tooMany, best] = [0, inOrder.length + 1, plan];
    while (tooMany - held > 1) {
      const middle = (held + tooMany) >> 1;
      const candidate = this.evaluate(new Set(inOrder.slice(0, inOrder.length - middle)));
      if (fits(candidate)) [held, best] = [middle, candidate];
      else tooMany = middle;
    }
    const density = (node: Node): number => secondsOf(this.#costs.get(node.name)!) / this.#bytesOf(node);
    const singles = [...best.repeated].sort((a, b) => density(b) - density(a)).slice(0, TRIALS);
    for (const node of singles) {
      const candidate = this.evaluate(new Set(best.repeated.filter((other) => other !== node)));
      if (fits(candidate) && candidate.seconds < best.seconds) best = candidate;
    }
    return best;
  }

  /** Nodes whose values are held: those that cross the narrowest cuts that leave no segment larger than `size`. */
  #cuts(size: number): ReadonlySet<Node> {
    const order = this.#graph.nodes.filter((node) => this.#early.has(node));
    const lastReader = new Map<string, number>();
    order.forEach((node, index) => {
      for (const input of node.inputs) lastReader.set(input, index);
    });
    const eligible = new Set(this.#forward);
    const crossing = new Set<Node>();
    const kept = new Set<Node>();
    let [held, passed] = [0, 0];
    let narrowest: { readonly width: number; readonly nodes: readonly Node[]; readonly passed: number } | undefined;
    order.forEach((node, index) => {
      if (eligible.has(node)) {
        crossing.add(node);
        held += this.#bytesOf(node);
        passed += this.#bytesOf(node);
      }
      for (const other of [...crossing])
        if (other.outputs.every((output) => (lastReader.get(output) ?? -1) <= index)) {
          crossing.delete(other);
          held -= this.#bytesOf(other);
        }
      if (crossing.size === 0) return;
      if (passed > size / 2 && (narrowest === undefined || held <= narrowest.width))
        narrowest = { width: held, nodes: [...crossing], passed };
      if (passed < size || narrowest === undefined) return;
      for (const other of narrowest.nodes) kept.add(other);
      passed -= narrowest.passed;
      narrowest = undefined;
    });
    return kept;
  }

  #bytesOf(node: Node): number {
    return repeatedOutputs(node).reduce((sum, output) => sum + this.#bytes(output), 0);
  }

  #bytes(value: string): number {
    const type = this.#types.get(value);
    if (type === undefined || type.kind !== 'tensor') return 0;
    const dims = staticShape(type.shape);
    if (dims === undefined) throw new UnknownSizesError(value);
    return byteLength(type.dtype, sizeOf(dims));
  }
}

/** The smallest segment that is tried is this part of all activations, and sizes fall by this factor. */
const LONGEST_CHAIN = 80;
const SEGMENT_RATIO = 1.35;
/** Repetitions that are tried one by one at the end. */
const TRIALS = 24;

/** A rough time on an ordinary core: only ratios between nodes count. */
function secondsOf({ macs, activationBytes }: NodeCost): number {
  return macs / 5e10 + activationBytes / 4e9 + 2e-6;
}
