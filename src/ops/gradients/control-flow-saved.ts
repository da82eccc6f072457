/** @file What the backward part of a sub-graph reads of the forward one, and how it gets there. */
import {
  byteLength,
  makeNode,
  readsOf,
  rewireNode,
  sizeOf,
  sortNodes,
  Tensor,
  tensorType,
  type Graph,
  type GraphBuilder,
  type Node,
  type Shape,
  type TensorType,
  type Value,
} from '../../ir/index.js';
import type { SubgraphGradients, VjpContext } from '../record.js';
import { expandLike, shapeValue } from './shaping.js';
import { Arith } from './arith.js';

/** A forward sub-graph, and what its backward nodes read of it. */
export interface Backward {
  /** It may have gained nodes that only the backward nodes read. */
  readonly forward: Graph;
  /** Forward values of the sub-graph that the backward nodes read. */
  readonly reads: readonly string[];
  readonly type: (value: string) => TensorType;
}

/**
 * Looks at the backward nodes that were emitted into `b` for a sub-graph. One that asks for nothing but the shape of a forward value is
 * moved from there to the forward side, so that a few numbers are kept in place of the value. `alsoRead` names values that
 * something else reads.
 */
export function backwardOf(result: SubgraphGradients, b: GraphBuilder, alsoRead: Iterable<string> = []): Backward {
  const own = namesIn(result.forward);
  const readers = new Map<string, Node[]>();
  for (const node of b.nodes)
    for (const name of readsOf(node)) if (own.has(name)) readers.set(name, [...(readers.get(name) ?? []), node]);
  for (const name of alsoRead) if (own.has(name) && !readers.has(name)) readers.set(name, []);

  const reads: string[] = [];
  const moved = new Map<string, Node>();
  for (const [name, nodes] of readers)
    if (nodes.length > 0 && nodes.every((node) => node.op === 'Shape' && node.domain === ''))
      for (const node of nodes) moved.set(node.outputs[0]!, node);
    else reads.push(name);
  if (moved.size === 0) return { forward: result.forward, reads, type: (value) => result.type(value) };
  const gone = new Set(moved.values());
  b.nodes.splice(0, b.nodes.length, ...b.nodes.filter((node) => !gone.has(node)));
  return {
    forward: { ...result.forward, nodes: [...result.forward.nodes, ...gone] },
    reads: [...reads, ...moved.keys()],
    type: (value) => {
      const node = moved.get(value);
      return node === undefined ? result.type(value) : shapeType(node, result.type(node.inputs[0]!));
    },
  };
}

/** Type of what a Shape-15 node with non-negative bounds gives. */
function shapeType(node: Node, { shape = [] }: TensorType): TensorType {
  const bound = (name: string, fallback: number): number => {
    const attribute = node.attributes.get(name);
    return attribute?.type === 'int' ? Number(attribute.value) : fallback;
  };
  return tensorType('int64', [shape.slice(bound('start', 0), bound('end', shape.length)).length]);
}

/** Names of the values that a graph itself defines. */
export function namesIn(graph: Graph): Set<string> {
  const names = new Set<string>([...graph.inputs.map((input) => input.name), ...graph.initializers.keys()]);
  for (const node of graph.nodes) for (const output of node.outputs) if (output !== '') names.add(output);
  return names;
}

/** Whether a graph holds a node that another does not. */
export function hasChanged(graph: Graph, before: Graph): boolean {
  const known = new Set(before.nodes);
  return graph.nodes.some((node) => !known.has(node));
}

/** The nodes of a builder in order, with their reads of forward values going to where these are found. */
export function rewired(b: GraphBuilder, places: ReadonlyMap<string, string>): readonly Node[] {
  return sortNodes(places.size === 0 ? b.nodes : b.nodes.map((node) => rewireNode(node, places)));
}

/** A context whose nodes go to another builder and which knows further types. */
export function inside(
  c: VjpContext,
  b: GraphBuilder,
  type: (value: string) => TensorType = (value) => c.type(value),
): VjpContext {
  return { ...c, b, type, shape: (value) => type(value).shape! };
}

/** Zeros of a type; a symbolic shape is that of the value `like` at run time. */
export function zerosOf(c: VjpContext, type: TensorType, like: string): string {
  const context = inside(c, c.b, () => type);
  if (type.dtype === 'float32' || type.dtype === 'float64')
    return c.b.op('ConstantOfShape', [shapeValue(context, like)], { value: Tensor.of(type.dtype, [1], [0]) });
  return expandLike(context, new Arith(c.b, type.dtype).scalar(0), like);
}

/** An empty tensor (a scalar for rank 0) as a Constant node: what a branch gives for a value that only the other one makes. */
export function placeholder(b: GraphBuilder, { dtype, shape = [] }: TensorType): string {
  const dims = shape.map(() => 0);
  const value = Tensor.fromBytes(dtype, dims, new Uint8Array(byteLength(dtype, sizeOf(dims))));
  return b.op('Constant', [], { value }, { name: 'nothing' });
}

/** A sub-graph output: its type with every dim that is not a number left open, because engines know no expressions. */
export function outputOf(name: string, { dtype, shape }: TensorType): Value {
  return { name, type: tensorType(dtype, shape && openDims(shape)) };
}

/** The dims with symbols left open. */
export function openDims(shape: Shape): Shape {
  return shape.map((dim) => (typeof dim === 'number' ? dim : null));
}

/** Copies a value, so that the copy is an output that one of the sub-graph's own nodes makes. */
export function copyNode(b: GraphBuilder, value: string, stem: string): Node {
  const output = b.fresh(stem);
  return makeNode({ name: b.fresh(`${stem}_copy`), op: 'Identity', inputs: [value], outputs: [output] });
}
