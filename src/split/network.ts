/** @file A network as device and server share it: its cuts, where its exits lie among them, and the part between any two. */
import {
  ancestorsOf,
  CuttleError,
  GraphBuilder,
  producersOf,
  readsOf,
  requiredInputs,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';
import { extract, inferShapes } from '../passes/index.js';
import { classifierOutput } from '../train/index.js';
// SPINN's networks are progressive: exits, their metadata and their policies come from the exits system.
import { batchAxisOf } from '../exits/dataflow.js';
import { backboneOf, isProgressive, readProgressive, type Progressive } from '../exits/progressive.js';
import { enterBlocked } from '../exits/stages-entry.js';
import { CutError, cutsOf, type Cuts } from './cuts.js';

/** A network that device and server cannot share. Exit code 4. */
export class SplitNetworkError extends CuttleError {
  constructor(message: string, hint: string) {
    super('unsupported', 'split/network', message, { hint });
  }
}

/** One classifier of the network. */
export interface SplitExit {
  /** Number in the progressive model; for the final one, the number of that model's early exits. */
  readonly exit: number;
  /** Value with its logits, [batch, classes]. */
  readonly output: string;
  /** The smallest cut whose device part computes it and every exit before it. */
  readonly position: number;
  /** Calibrated softmax temperature; 1 where none was found. */
  readonly temperature: number;
}

/** A network with its cuts and exits. */
export interface SplitNetwork {
  /** The whole, exits included. */
  readonly model: Model;
  /** Cuts of the backbone: exits hang beside it and do not change what crosses. */
  readonly cuts: Cuts;
  /** The early exits that take part, in the order in which they are computed. */
  readonly exits: readonly SplitExit[];
  /** The network's own classifier. Where the graph goes on to a Softmax, `position` lies before its end. */
  readonly final: SplitExit;
  readonly classes: number;
  /** Inputs of the whole network. */
  readonly inputs: readonly string[];
  readonly types: ReadonlyMap<string, ValueType>;
  /** The axis of a value along which samples lie; undefined where there is no one such axis. */
  batchAxis(value: string): number | undefined;
  /**
   * The part after cut `from` up to cut `to`. Inputs: those tensors of `from`'s frontier that it reads. Outputs: what it
   * makes of `to`'s frontier and of the network's outputs, then the logits of the exits (of `exits`, numbers; all where
   * omitted) and of the final one that lie in (from, to]. Frontier tensors that only pass are neither. Throws CutError.
   */
  segment(from: number, to: number, exits?: readonly number[]): Model;
}

/**
 * A plain classifier or a progressive model as a split network. `exits`: numbers of the exits that take part (ascending);
 * all where omitted. `output`: the output with one score per class, for plain models with several.
 * Throws SplitNetworkError where the logits are not [batch, classes] or an exit cannot be placed among the cuts, CutError
 * for exits that the model does not have, NotProgressiveError and what `cutsOf` throws.
 */
export function openSplitNetwork(
  model: Model,
  options: { readonly exits?: readonly number[]; readonly output?: string } = {},
): SplitNetwork {
  return isProgressive(model) ? openProgressiveNetwork(model, options.exits) : openPlainNetwork(model, options);
}

interface Logits {
  readonly exit: number;
  readonly output: string;
  readonly temperature: number;
}

function openProgressiveNetwork(model: Model, chosen: readonly number[] | undefined): SplitNetwork {
  const progressive = readProgressive(model);
  const { info } = progressive;
  const early = info.exits.map(({ output, temperature }, exit): Logits => ({ exit, output, temperature }));
  const wanted = chosen ?? early.map(({ exit }) => exit);
  checkExits(wanted, early.length);
  return new PlacedNetwork(
    { model, cuts: cutsOf(inOrderOfExits(progressive)), batch: info.batch, classes: info.classes },
    wanted.map((exit) => early[exit]!),
    { exit: early.length, output: info.final.logits, temperature: info.final.temperature },
  );
}

/**
 * The backbone, its nodes so ordered that what an exit needs comes before what only later exits need: exits in parallel
 * branches then follow each other like all others. All exits of the model count, whichever take part, so that both ends
 * number cuts alike.
 */
function inOrderOfExits(progressive: Progressive): Model {
  const backbone = backboneOf(progressive);
  const { nodes } = backbone.graph;
  const ordered = new Set<Node>();
  for (const { output } of progressive.info.exits) {
    const needed = new Set(ancestorsOf(progressive.model.graph, [output]));
    for (const node of nodes) if (needed.has(node)) ordered.add(node);
  }
  for (const node of nodes) ordered.add(node);
  return { ...backbone, graph: { ...backbone.graph, nodes: [...ordered] } };
}

function openPlainNetwork(
  model: Model,
  { exits = [], output }: { readonly exits?: readonly number[]; readonly output?: string },
): SplitNetwork {
  checkExits(exits, 0);
  const { logits } = classifierOutput(model, output);
  const cuts = cutsOf(model);
  const type = cuts.types.get(logits) ?? model.graph.outputs.find(({ name }) => name === logits)?.type;
  const classes = type?.kind === 'tensor' && type.shape?.length === 2 ? type.shape[1] : undefined;
  if (typeof classes !== 'number')
    throw new SplitNetworkError(`its output '${logits}' is not [batch, classes]`, 'Name the output with class scores.');
  const first = requiredInputs(model.graph)[0]?.type;
  const symbol = first?.kind === 'tensor' ? first.shape?.find((dim) => typeof dim === 'string') : undefined;
  return new PlacedNetwork({ model, cuts, batch: symbol ?? 'batch', classes }, [], {
    exit: 0,
    output: logits,
    temperature: 1,
  });
}

function checkExits(exits: readonly number[], count: number): void {
  exits.forEach((exit, i) => {
    if (!Number.isInteger(exit) || exit < 0 || exit >= count)
      throw new CutError(`exit ${exit} is not one of the model's ${count} early exits`, 'Choose from its exits.');
    if (i > 0 && exit <= exits[i - 1]!) throw new CutError(`exits ${exits.join(', ')} are not ascending`, 'Sort them.');
  });
}

interface Whole {
  readonly model: Model;
  readonly cuts: Cuts;
  readonly batch: string;
  readonly classes: number;
}

class PlacedNetwork implements SplitNetwork {
  readonly model: Model;
  readonly cuts: Cuts;
  readonly exits: readonly SplitExit[];
  readonly final: SplitExit;
  readonly classes: number;
  readonly inputs: readonly string[];
  readonly types: ReadonlyMap<string, ValueType>;
  readonly #batch: string;
  readonly #made: ReadonlyMap<string, number>;

  constructor({ model, cuts, batch, classes }: Whole, exits: readonly Logits[], final: Logits) {
    this.model = model;
    this.cuts = cuts;
    this.classes = classes;
    this.inputs = requiredInputs(cuts.model.graph).map(({ name }) => name);
    this.types = cuts.model === model ? cuts.types : inferShapes(model, { unknownOps: 'skip' }).types;
    this.#batch = batch;
    const made = new Map<string, number>();
    cuts.nodes.forEach((node, index) => node.outputs.forEach((output) => made.set(output, index)));
    this.#made = made;
    // Exits are visited in their order: one in a parallel branch that is computed sooner waits for the one before it.
    let earliest = 1;
    const placed = [...exits, final].map((exit) => {
      earliest = this.#place(exit, earliest);
      return { ...exit, position: earliest };
    });
    this.exits = placed.slice(0, -1);
    this.final = placed.at(-1)!;
  }

  batchAxis(value: string): number | undefined {
    return batchAxisOf(this.types.get(value), this.#batch);
  }

  segment(from: number, to: number, exits: readonly number[] = this.exits.map(({ exit }) => exit)): Model {
    const { cuts } = this.cuts;
    for (const cut of [from, to])
      if (cuts[cut] === undefined) throw new CutError(`cut ${cut} is not one of 0 to ${cuts.length - 1}`);
    if (from >= to) throw new CutError(`there is no part from cut ${from} to cut ${to}`, 'Give the earlier cut first.');
    const start = cuts[from]!;
    const end = cuts[to]!;
    const here = [...this.exits.filter(({ exit }) => exits.includes(exit)), this.final].filter(
      ({ position }) => position > from && position <= to,
    );
    const had = new Set([...start.frontier, ...start.finished]);
    const outputs = new Set(
      [...end.frontier, ...end.finished, ...here.map(({ output }) => output)].filter((name) => !had.has(name)),
    );
    const crossing = new Set(start.frontier);
    const nodes = ancestorsOf(this.model.graph, [...outputs], crossing);
    const read = new Set(nodes.flatMap((node) => [...readsOf(node)]));
    const inputs = start.frontier.filter((name) => read.has(name));
    const part = extract(this.model, { inputs, outputs: [...outputs] }, { types: this.types });
    if (from === 0) return part;
    const entered = enterBlocked(part.graph.nodes, inputs, this.types, GraphBuilder.beside(part.graph));
    return entered === part.graph.nodes ? part : { ...part, graph: { ...part.graph, nodes: entered } };
  }

  /** The smallest cut, `earliest` at the least, behind everything that an exit reads from the backbone. */
  #place({ exit, output }: Logits, earliest: number): number {
    const { cuts } = this.cuts;
    const values = this.#readFromBackbone(output);
    const last = Math.max(...values.map((value) => this.#made.get(value) ?? -1));
    const position = cuts.findIndex(({ index, nodes }) => index >= earliest && nodes > last);
    const before = cuts[position - 1];
    const lost = values.find((value) => {
      const at = this.#made.get(value) ?? -1;
      return before !== undefined && at < before.nodes && !before.frontier.includes(value);
    });
    if (values.length === 0 || position < 1 || lost !== undefined)
      throw new SplitNetworkError(
        lost === undefined
          ? `exit ${exit} ('${output}') reads nothing that the backbone computes`
          : `exit ${exit} reads '${lost}', which no longer exists where its turn comes`,
        'Leave this exit out (`exits`).',
      );
    return position;
  }

  /** The values of the backbone that an output depends on directly; itself where the backbone makes it. */
  #readFromBackbone(output: string): readonly string[] {
    const { graph } = this.model;
    const producers = producersOf(graph);
    const inputs = new Set(this.inputs);
    const found = new Set<string>();
    const seen = new Set<Node>();
    const queue = [output];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const node = producers.get(name);
      if (this.#made.has(name) || inputs.has(name)) {
        // What depends on no input is computed again wherever it is read.
        const needs =
          inputs.has(name) || ancestorsOf(graph, [name]).some((n) => [...readsOf(n)].some((r) => inputs.has(r)));
        if (needs) found.add(name);
      } else if (node !== undefined && !seen.has(node)) {
        seen.add(node);
        queue.push(...readsOf(node));
      }
    }
    return [...found];
  }
}
