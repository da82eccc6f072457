/** @file Joins the kernels that ONNX Runtime really ran to the nodes of our graph, fused ones included. */
import { consumersOf, producersOf, readsOf, sortNodes, type Graph, type Node } from '../ir/index.js';
import type { Kernel } from './kernel-events.js';

/** Kernels attributed to one node and the nodes fused into it. */
export interface JoinedLayer {
  /** The node that the kernel is about: the Conv of Conv + BatchNormalization + Add + Relu. */
  readonly node: Node;
  /** Every node whose work the kernels did, `node` included, in graph order. */
  readonly members: readonly Node[];
  readonly ms: number;
  /** Execution providers that ran its kernels, without repetition. */
  readonly providers: readonly string[];
}

export interface JoinedKernels {
  /** In the order in which they ran. */
  readonly layers: readonly JoinedLayer[];
  /** Kernels that belong to no node. */
  readonly unmatched: readonly Kernel[];
}

/** Layout and type conversions that ONNX Runtime inserts, and which neighbour needs them. */
const INSERTED: Readonly<Record<string, 'before' | 'after'>> = {
  // Brings a tensor into the blocked layout that the next kernel wants.
  ReorderInput: 'after',
  // Brings the previous kernel's result back.
  ReorderOutput: 'before',
  Cast: 'after',
  Transpose: 'after',
  QuantizeLinear: 'before',
  DequantizeLinear: 'after',
  MemcpyFromHost: 'after',
  MemcpyToHost: 'before',
};

/**
 * Attributes kernels to nodes. ONNX Runtime names a kernel after a node, after a value (`…_nchwc`), or after a node with
 * a fusion's suffix; the rest follows from the graph:
 * 1. a kernel claims the node it is named for;
 * 2. a kernel named for a later node of its fusion (a Conv named for its Relu) takes the nodes back to the one of its own
 *    operator;
 * 3. a node without a kernel was fused into the last kernel that ran among its inputs' (Add and Relu after a Conv), or,
 *    with no such input, into the first among its readers';
 * 4. inserted conversions go to the neighbour in execution order that needs them.
 * Nodes that depend on no input were folded when the model was loaded and are members of nothing.
 */
export function joinKernels(graph: Graph, kernels: readonly Kernel[]): JoinedKernels {
  const nodes = sortNodes(graph.nodes);
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const live = dynamicNodes(graph, nodes);

  const claimOf = kernels.map((kernel) => claimedNode(kernel.name, byName, producers));
  /** Node → index of the first kernel that claims it. */
  const owner = new Map<Node, number>();
  claimOf.forEach((node, index) => {
    if (node !== undefined && !owner.has(node)) owner.set(node, index);
  });
  for (const [node, index] of [...owner]) absorbUpstream(node, kernels[index]!.op, index);
  for (const node of nodes) {
    if (owner.has(node) || !live.has(node)) continue;
    const before = inputsOf(node).map((input) => owner.get(input));
    const last = Math.max(-1, ...before.filter((index) => index !== undefined));
    if (last >= 0) owner.set(node, last);
  }
  for (let at = nodes.length - 1; at >= 0; at--) {
    const node = nodes[at]!;
    if (owner.has(node) || !live.has(node)) continue;
    const after = node.outputs
      .flatMap((output) => consumers.get(output) ?? [])
      .map((reader) => owner.get(reader))
      .filter((index) => index !== undefined);
    if (after.length > 0) owner.set(node, Math.min(...after));
  }

  const layerOf = kernels.map((_, index) => (claimOf[index] === undefined ? undefined : owner.get(claimOf[index])));
  const milliseconds = new Map<number, number>();
  const providers = new Map<number, Set<string>>();
  const unmatched: Kernel[] = [];
  kernels.forEach((kernel, index) => {
    const layer = layerOf[index] ?? neighbour(index);
    if (layer === undefined) unmatched.push(kernel);
    else {
      milliseconds.set(layer, (milliseconds.get(layer) ?? 0) + kernel.ms);
      const seen = providers.get(layer) ?? new Set();
      if (kernel.provider !== undefined) seen.add(kernel.provider);
      providers.set(layer, seen);
    }
  });

  const members = new Map<number, Node[]>();
  for (const node of nodes) {
    const index = owner.get(node);
    if (index === undefined) continue;
    const list = members.get(index);
    if (list) list.push(node);
    else members.set(index, [node]);
  }
  const layers = [...milliseconds]
    .sort(([a], [b]) => a - b)
    .map(([index, ms]): JoinedLayer => {
      const own = members.get(index)!;
      const node = own.find((candidate) => sameOperator(candidate, kernels[index]!.op)) ?? claimOf[index]!;
      return { node, members: own, ms, providers: [...providers.get(index)!] };
    });
  return { layers, unmatched };

  function inputsOf(node: Node): readonly Node[] {
    return [...readsOf(node)].map((value) => producers.get(value)).filter((input) => input !== undefined);
  }

  function absorbUpstream(start: Node, op: string, index: number): void {
    if (sameOperator(start, op)) return;
    const queue = [...inputsOf(start)];
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (owner.has(node) || !live.has(node)) continue;
      owner.set(node, index);
      if (!sameOperator(node, op)) queue.push(...inputsOf(node));
    }
  }

  function neighbour(index: number): number | undefined {
    const side = INSERTED[kernels[index]!.op];
    if (side === undefined) return undefined;
    const order = side === 'after' ? [1, -1] : [-1, 1];
    for (const step of order)
      for (let at = index + step; at >= 0 && at < kernels.length; at += step)
        if (layerOf[at] !== undefined) return layerOf[at];
    return undefined;
  }
}

/** The node that a kernel's name points to. */
function claimedNode(
  name: string,
  byName: ReadonlyMap<string, Node>,
  producers: ReadonlyMap<string, Node>,
): Node | undefined {
  const exact = byName.get(name);
  if (exact !== undefined) return exact;
  const value = name.replace(/_nchwc(?:_\d+)?$/, '');
  if (value !== name) return byName.get(value) ?? producers.get(value);
  // `MatMul_3/MatMulAddFusion`, `Add_7/LayerNormFusion/`, `Conv_2_quant`: the longest node name that it starts with.
  for (let end = name.length - 1; end > 0; end--) {
    if (name[end] !== '/' && name[end] !== '_') continue;
    const node = byName.get(name.slice(0, end));
    if (node !== undefined) return node;
  }
  return undefined;
}

/** True where a kernel's operator is the node's own or a fused form of it: FusedConv, QLinearConv, NchwcConv … */
function sameOperator(node: Node, kernelOp: string): boolean {
  return kernelOp === node.op || kernelOp.replace(/^(?:Fused|QLinear|DynamicQuantize|Nhwc|Nchwc)+/, '') === node.op;
}

/** The nodes that depend on a graph input (without a default), and so have work left after constant folding. */
function dynamicNodes(graph: Graph, sorted: readonly Node[]): ReadonlySet<Node> {
  const values = new Set(graph.inputs.map((input) => input.name));
  const found = new Set<Node>();
  for (const node of sorted)
    if ([...readsOf(node)].some((value) => values.has(value))) {
      found.add(node);
      for (const output of node.outputs) values.add(output);
    }
  return found;
}
