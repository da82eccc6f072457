/** @file Rewrites a graph so that chosen values are computed a second time for late readers instead of being held for them. */
import {
  GraphBuilder,
  intOf,
  namesOf,
  subgraphsOf,
  Tensor,
  type Graph,
  type Node,
  type ValueType,
} from '../ir/index.js';

/** Operators that give other numbers at every call. */
const RANDOM = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

const isTrainedNorm = (node: Node): boolean =>
  node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) === 1;

/** Whether a second call of the node gives the same numbers and changes nothing else. */
export function isRepeatable(node: Node): boolean {
  if (node.domain !== '' || RANDOM.has(node.op) || node.op === 'Constant' || subgraphsOf(node).length > 0) return false;
  return true;
}

/** What the node's second call gives again: all outputs, but of a normalisation in training form only the normalised values. */
export function repeatedOutputs(node: Node): readonly string[] {
  return isTrainedNorm(node) ? node.outputs.slice(0, 1) : node.outputs.filter((output) => output !== '');
}

export interface LateRepeats {
  readonly graph: Graph;
  /** The nodes that really run again: those of the chosen ones that a late reader needs. */
  readonly repeated: readonly Node[];
  /** New value → the value whose type and contents it has. */
  readonly sources: ReadonlyMap<string, string>;
}

/**
 * The graph in which nodes outside `early` read second copies of what the nodes of `repeated` (a part of `early`) compute. A copy
 * stands right before its first reader. A copy whose inputs are all those of its original reads the first of them through a
 * Reshape to its own shape, which ONNX Runtime executes without copying: otherwise its common-subexpression elimination would
 * merge the two and undo everything. Contract: nodes are in topological order and `repeated` ones `isRepeatable`; the graph's outputs
 * are unchanged, bit for bit. `taken` are the names in use, where the caller has them already.
 */
export function repeatLate(
  graph: Graph,
  early: ReadonlySet<Node>,
  repeated: ReadonlySet<Node>,
  typeOf: (value: string) => ValueType | undefined,
  taken: ReadonlySet<string> = namesOf(graph),
): LateRepeats {
  const producer = new Map<string, Node>();
  for (const node of repeated) for (const output of repeatedOutputs(node)) producer.set(output, node);
  const b = new GraphBuilder(taken);
  const second = new Map<string, string>();
  const barriers = new Map<string, string>();
  const sources = new Map<string, string>();
  const done: Node[] = [];
  const nodes: Node[] = [];

  const behindBarrier = (value: string): string => {
    const known = barriers.get(value);
    if (known !== undefined) return known;
    const type = typeOf(value);
    const rank = type?.kind === 'tensor' ? (type.shape?.length ?? 0) : 0;
    if (rank === 0) return value;
    // −1 takes the rest and 0 copies a dim: another constant than the dims themselves.
    const shape = Tensor.int64s(Array.from({ length: rank }, (_, axis) => (axis === 0 ? -1 : 0)));
    const output = b.op('Reshape', [value, b.constant(shape, 'again_shape')], {}, { name: 'again' });
    nodes.push(b.nodes.at(-1)!);
    barriers.set(value, output);
    sources.set(output, value);
    return output;
  };
  const channelsOf = (norm: Node): number => {
    const type = typeOf(norm.inputs[0]!);
    return type?.kind === 'tensor' ? Number(type.shape?.[1]) : NaN;
  };
  const repeat = (node: Node): void => {
    for (const input of node.inputs) if (producer.has(input) && !second.has(input)) repeat(producer.get(input)!);
    const inputs = node.inputs.map((input) => second.get(input) ?? input);
    const unlike = isTrainedNorm(node) || inputs.some((input, index) => input !== node.inputs[index]);
    const first = inputs.findIndex((input) => input !== '');
    if (!unlike && first >= 0) inputs[first] = behindBarrier(inputs[first]!);
    const copy = copyOf(node, inputs, b, channelsOf);
    nodes.push(copy);
    done.push(node);
    repeatedOutputs(node).forEach((output, index) => {
      const again = copy.outputs.filter((name) => name !== '')[index]!;
      second.set(output, again);
      sources.set(again, output);
    });
  };
  for (const node of graph.nodes) {
    if (early.has(node)) {
      nodes.push(node);
      continue;
    }
    for (const input of node.inputs) if (producer.has(input) && !second.has(input)) repeat(producer.get(input)!);
    nodes.push(
      node.inputs.some((input) => second.has(input))
        ? { ...node, inputs: node.inputs.map((input) => second.get(input) ?? input) }
        : node,
    );
  }
  return {
    graph: { ...graph, nodes, initializers: new Map([...graph.initializers, ...b.initializers]) },
    repeated: done,
    sources,
  };
}

/**
 * A node that computes the same again from `inputs`, with outputs of its own. A normalisation in training form gets scratch statistics of
 * its own: its kernel writes over them, so no other node may read them, and equal constants would be merged. (The inference form
 * with the batch's statistics would do less, but rounds in another way.)
 */
function copyOf(node: Node, inputs: readonly string[], b: GraphBuilder, channelsOf: (norm: Node) => number): Node {
  const outputs = node.outputs.map((output) => output && b.fresh(`${output}.again`));
  const copy = { ...node, name: b.fresh(`${node.name}.again`), inputs, outputs };
  if (!isTrainedNorm(node)) return copy;
  const scratch = (part: number): string => {
    const contents = new Float32Array(channelsOf(node)).fill(-b.initializers.size - part / 4);
    return b.parameter(`${node.name}.again_scratch`, Tensor.floats(contents));
  };
  return { ...copy, inputs: [...inputs.slice(0, 3), scratch(1), scratch(2)] };
}
