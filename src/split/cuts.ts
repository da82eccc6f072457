/** @file Cuts: every position at which a graph can be split between device and server, and its two halves. */
import {
  ancestorsOf,
  constantTensor,
  CuttleError,
  producersOf,
  readsOf,
  requiredInputs,
  sizeOf,
  sortNodes,
  staticShape,
  byteLength,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';
import { bindDims, extract, inferShapes } from '../passes/index.js';

/** A cut that the graph does not have, or that cannot be made. Exit code 2. */
export class CutError extends CuttleError {
  constructor(message: string, hint = 'cutsOf(model) lists the cuts of a model.') {
    super('usage', 'split/cut', message, { hint });
  }
}

/** One way to split a graph: the device runs a prefix of the topological order, the server the rest. */
export interface Cut {
  /** Place among the graph's cuts; 0 sends the inputs (server only), the last sends nothing (device only). */
  readonly index: number;
  /** How many nodes the device runs, in the order of `Cuts.nodes`: the largest prefix with this frontier. */
  readonly nodes: number;
  /** Every tensor that crosses, in the order in which they come to be; residual branches and states included. */
  readonly frontier: readonly string[];
  /** Outputs of the whole graph that the device half computes itself. */
  readonly finished: readonly string[];
  /** Every crossing tensor comes from a ReLU (or pools or reshapes what does): sparse, so it packs well. */
  readonly sparse: boolean;
}

/** The cuts of a graph. */
export interface Cuts {
  readonly model: Model;
  /** The nodes in the order that cuts count in. */
  readonly nodes: readonly Node[];
  readonly types: ReadonlyMap<string, ValueType>;
  readonly cuts: readonly Cut[];
}

/**
 * Every cut of a graph: prefixes of the topological order whose frontier is all tensors that later nodes still read.
 * Weights do not cross, nor do values computed from weights alone (both halves compute these). Positions with an equal
 * frontier are one cut. Contract: nodes that no output needs are left out; sub-graph captures cross like inputs.
 * Throws what `inferShapes` throws for an invalid graph; operators without a shape rule leave types unknown.
 */
export function cutsOf(model: Model): Cuts {
  const { graph } = model;
  const nodes = sortNodes(
    ancestorsOf(
      graph,
      graph.outputs.map(({ name }) => name),
    ),
  );
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const reads = nodes.map((node) => [...readsOf(node)]);
  const constant = constantValues(model, nodes, reads);
  const outputs = new Set(graph.outputs.map(({ name }) => name));

  const lastRead = new Map<string, number>();
  reads.forEach((names, index) => names.forEach((name) => lastRead.set(name, index)));
  const born: { readonly name: string; readonly at: number }[] = requiredInputs(graph).map(({ name }) => ({
    name,
    at: -1,
  }));
  nodes.forEach((node, at) => {
    for (const name of node.outputs) if (name !== '' && !constant.has(name)) born.push({ name, at });
  });
  const relus = sparseValues(nodes);

  const cuts: Cut[] = [];
  let previous: string | undefined;
  for (let count = 0; count <= nodes.length; count++) {
    // Born in the prefix, read behind it.
    const frontier = born
      .filter(({ name, at }) => at < count && (lastRead.get(name) ?? -1) >= count)
      .map(({ name }) => name);
    const finished = born.filter(({ name, at }) => at >= 0 && at < count && outputs.has(name)).map(({ name }) => name);
    const key = JSON.stringify([frontier, finished]);
    const cut: Cut = {
      index: key === previous ? cuts.length - 1 : cuts.length,
      nodes: count,
      frontier,
      finished,
      sparse: frontier.length > 0 && frontier.every((name) => relus.has(name)),
    };
    cuts[cut.index] = cut;
    previous = key;
  }
  return { model, nodes, types, cuts: withoutEmptyEnds(cuts) };
}

/** Where nothing is left to send, the device can as well run everything: only one such cut stays, the last. */
function withoutEmptyEnds(cuts: readonly Cut[]): readonly Cut[] {
  const kept = cuts.filter((cut, index) => cut.frontier.length > 0 || index === cuts.length - 1);
  return kept.map((cut, index) => ({ ...cut, index }));
}

/** Names of values that depend on no input: both halves hold or compute them. */
function constantValues(
  model: Model,
  nodes: readonly Node[],
  reads: readonly (readonly string[])[],
): ReadonlySet<string> {
  const { graph } = model;
  const constant = new Set([...graph.initializers.keys(), ...graph.sparseInitializers.keys()]);
  nodes.forEach((node, index) => {
    // A random operator gives other numbers in each half: its result must cross.
    const repeatable = !/^(Random|Bernoulli|Multinomial)/.test(node.op);
    const fixed = constantTensor(node) !== undefined || reads[index]!.every((name) => constant.has(name));
    if (repeatable && fixed) for (const output of node.outputs) constant.add(output);
  });
  return constant;
}

const SPARSE = new Set(['Relu', 'Clip', 'ThresholdedRelu']);
const KEEPS_SPARSITY = new Set([
  'MaxPool',
  'Reshape',
  'Flatten',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Dropout',
  'Concat',
]);

function sparseValues(nodes: readonly Node[]): ReadonlySet<string> {
  const sparse = new Set<string>();
  for (const node of nodes) {
    const inputs = node.op === 'Concat' ? node.inputs : node.inputs.slice(0, 1);
    const kept = KEEPS_SPARSITY.has(node.op) && inputs.every((name) => sparse.has(name));
    if (node.domain === '' && (SPARSE.has(node.op) || kept)) sparse.add(node.outputs[0]!);
  }
  return sparse;
}

/** The two halves of a cut network. A half with nothing to do is absent. */
export interface Halves {
  /** Inputs of the graph → frontier and finished outputs. Absent where the server does everything. */
  readonly device: Model | undefined;
  /** Frontier → the outputs that are not finished. Absent where the device does everything. */
  readonly server: Model | undefined;
}

/**
 * The halves of a cut: running the server half on what the device half gives equals running the whole. Throws CutError for
 * a number that is no cut of the graph, InvalidGraphError where a crossing tensor's type is not known.
 */
export function halvesOf({ model, cuts, types }: Cuts, index: number): Halves {
  const cut = cuts[index];
  if (cut === undefined) throw new CutError(`cut ${index} is not one of 0 to ${cuts.length - 1}`);
  const { graph } = model;
  if (cut.frontier.length === 0) return { device: model, server: undefined };
  const finished = new Set(cut.finished);
  const rest = graph.outputs.map(({ name }) => name).filter((name) => !finished.has(name));
  const inputs = new Set(requiredInputs(graph).map(({ name }) => name));
  const made = [
    ...cut.frontier.filter((name) => !inputs.has(name)),
    ...cut.finished.filter((name) => !cut.frontier.includes(name)),
  ];
  const producers = producersOf(graph);
  const outside = rest.filter((name) => !producers.has(name) && !cut.frontier.includes(name));
  if (outside.length > 0)
    throw new CutError(
      `output '${outside[0]}' is an input handed through, which no half computes`,
      'Remove this output.',
    );
  return {
    device:
      made.length === 0 ? undefined : extract(model, { inputs: readInputs(model, made), outputs: made }, { types }),
    server: extract(model, { inputs: cut.frontier, outputs: rest }, { types }),
  };
}

/** The graph inputs that some values depend on, in the graph's order. */
function readInputs(model: Model, values: readonly string[]): readonly string[] {
  const producers = producersOf(model.graph);
  const seen = new Set<string>(values);
  const queue = [...values];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const node = producers.get(name);
    if (node)
      for (const read of readsOf(node))
        if (!seen.has(read)) {
          seen.add(read);
          queue.push(read);
        }
  }
  return requiredInputs(model.graph)
    .map(({ name }) => name)
    .filter((name) => seen.has(name));
}

/**
 * Bytes that each cut sends at full precision, for these sizes of symbolic dims; NaN where a shape stays open.
 * Throws what `bindDims` throws.
 */
export function frontierBytes(cuts: Cuts, symbols: Readonly<Record<string, number>> = {}): Float64Array {
  const bound = Object.keys(symbols).length === 0 ? cuts.model : bindDims(cuts.model, symbols).model;
  const { types } = inferShapes(bound, { unknownOps: 'skip' });
  const bytes = (name: string): number => {
    const type = types.get(name);
    const dims = type?.kind === 'tensor' ? staticShape(type.shape) : undefined;
    return type?.kind === 'tensor' && dims ? byteLength(type.dtype, sizeOf(dims)) : NaN;
  };
  return Float64Array.from(cuts.cuts, ({ frontier }) => frontier.reduce((sum, name) => sum + bytes(name), 0));
}
