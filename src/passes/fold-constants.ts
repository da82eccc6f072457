/** @file Constant folding: what depends on constants alone is computed once, by an engine that the caller lends. */
import {
  constantTensor,
  makeGraph,
  readsOf,
  sizeOf,
  sortNodes,
  staticShape,
  subgraphsOf,
  Tensor,
  type Graph,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';
import { inferShapes, type InferredTypes } from './infer-shapes.js';
import { removeDeadNodes } from './dead-nodes.js';

/** Runs a model without inputs and gives its outputs by name. */
export type Evaluate = (model: Model) => Promise<Readonly<Record<string, Tensor>>>;

export interface FoldConstantsOptions {
  /** Results of more bytes are not stored, so that expanded constants do not bloat the file; 16 MiB where omitted. */
  readonly maxBytes?: number;
}

export interface FoldConstantsResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Values that became initializers. */
  readonly folded: readonly string[];
}

const DEFAULT_MAX_BYTES = 16 * 2 ** 20;

/** Operators whose result is not determined by their inputs. */
const RANDOM: ReadonlySet<string> = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Multinomial',
  'Bernoulli',
]);

/** Operators that stand for compact storage: folding them would undo it. */
const STORAGE: ReadonlySet<string> = new Set(['DequantizeLinear']);

/**
 * Computes everything in the main graph that depends on constants alone, and everything whose contents shape inference
 * knows (shapes and what is computed from them), and stores it as initializers; then drops what nobody needs any more.
 * Contract: requires that `evaluate` computes as the target engine does; ensures that outputs are unchanged, that random
 * operators and DequantizeLinear stay, and that no stored result exceeds `maxBytes`.
 */
export async function foldConstants(
  model: Model,
  evaluate: Evaluate,
  options: FoldConstantsOptions = {},
): Promise<FoldConstantsResult> {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  const inferred = inferShapes(model, { unknownOps: 'skip' });
  const shapes = knownContents(model.graph, inferred);
  let graph = withConstants(model.graph, shapes);
  let folded = [...shapes.keys()];

  const foldable = foldableNodes(graph);
  const wanted = frontierOf(graph, foldable).filter((name) => fits(inferred.types.get(name), maxBytes));
  if (wanted.length > 0) {
    const results = await evaluate(constantModel(model, graph, foldable, wanted, inferred.types));
    const stored = new Map<string, Tensor>();
    for (const name of wanted) {
      const tensor = results[name];
      if (tensor && tensor.bytes.length <= maxBytes) stored.set(name, tensor);
    }
    graph = withConstants(graph, stored);
    folded = [...folded, ...[...stored.keys()].filter((name) => graph.initializers.has(name))];
  }
  if (folded.length === 0) return { model, changed: false, folded };
  return { model: removeDeadNodes({ ...model, graph }).model, changed: true, folded };
}

/** Integer values of which shape inference knows every element, as tensors; those that are constants already not. */
function knownContents(graph: Graph, { types, dims }: InferredTypes): ReadonlyMap<string, Tensor> {
  const known = new Map<string, Tensor>();
  for (const node of graph.nodes) {
    if (node.op === 'Constant' || node.outputs.length !== 1) continue;
    const name = node.outputs[0]!;
    const type = types.get(name);
    const elements = dims.get(name);
    if (type?.kind !== 'tensor' || elements === undefined || !elements.every((dim) => typeof dim === 'number'))
      continue;
    const shape = staticShape(type.shape);
    if (shape === undefined || sizeOf(shape) !== elements.length) continue;
    if (type.dtype !== 'int64' && type.dtype !== 'int32') continue;
    known.set(name, Tensor.of(type.dtype, shape, elements));
  }
  return known;
}

/** The graph with these values as initializers instead of computed. A node goes only when all its outputs are there. */
function withConstants(graph: Graph, values: ReadonlyMap<string, Tensor>): Graph {
  if (values.size === 0) return graph;
  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.filter((node) => {
    const outputs = node.outputs.filter((output) => output !== '');
    if (!outputs.every((output) => values.has(output))) return true;
    for (const output of outputs) initializers.set(output, values.get(output)!);
    return false;
  });
  return { ...graph, nodes, initializers };
}

/** Nodes that read constants alone, in an order in which they can run; Constant nodes are leaves, not among them. */
function foldableNodes(graph: Graph): readonly Node[] {
  const constant = new Set([...graph.initializers.keys(), ...graph.sparseInitializers.keys()]);
  for (const input of graph.inputs) constant.delete(input.name);
  const foldable: Node[] = [];
  for (const node of sortNodes(graph.nodes)) {
    const isLeaf = node.op === 'Constant' && node.domain === '';
    if (!isLeaf && (node.domain !== '' || draws(node) || STORAGE.has(node.op))) continue;
    if (![...readsOf(node)].every((name) => constant.has(name))) continue;
    for (const output of node.outputs) if (output !== '') constant.add(output);
    if (!isLeaf) foldable.push(node);
  }
  return foldable;
}

/** True where a node, or one in its sub-graphs, draws random numbers or is an operator of another domain. */
function draws(node: Node): boolean {
  if (node.op === 'Dropout' && node.inputs[2]) return true;
  return (
    RANDOM.has(node.op) ||
    subgraphsOf(node).some(([, graph]) => graph.nodes.some((inner) => inner.domain !== '' || draws(inner)))
  );
}

/** Values of foldable nodes that others, or the graph's outputs, read; nodes with several outputs give all of these. */
function frontierOf(graph: Graph, foldable: readonly Node[]): readonly string[] {
  const inside = new Set(foldable);
  const read = new Set(graph.outputs.map((output) => output.name));
  for (const node of graph.nodes) if (!inside.has(node)) for (const name of readsOf(node)) read.add(name);
  return foldable
    .filter((node) => node.outputs.some((output) => read.has(output)))
    .flatMap((node) => node.outputs.filter((output) => output !== ''));
}

/** False where a value is known to be too large, or to be no tensor. */
function fits(type: ValueType | undefined, maxBytes: number): boolean {
  if (type === undefined) return true;
  if (type.kind !== 'tensor') return false;
  const dims = staticShape(type.shape);
  return dims === undefined || sizeOf(dims) <= maxBytes;
}

function constantModel(
  model: Model,
  graph: Graph,
  foldable: readonly Node[],
  outputs: readonly string[],
  types: ReadonlyMap<string, ValueType>,
): Model {
  const leaves = new Map(graph.initializers);
  for (const node of graph.nodes)
    if (node.op === 'Constant' && node.domain === '') {
      const value = constantTensor(node);
      if (value) leaves.set(node.outputs[0]!, value);
    }
  const part = makeGraph({
    name: 'constants',
    outputs: outputs.map((name) => ({ name, type: types.get(name) })),
    nodes: foldable,
    initializers: leaves,
    sparseInitializers: graph.sparseInitializers,
  });
  return removeDeadNodes({ ...model, metadata: new Map(), graph: part }).model;
}
