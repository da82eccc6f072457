/** @file Who makes a value, who reads it, in which order nodes can run. Sub-graph captures count as reads. */
import { subgraphsOf } from './attribute.js';
import { InvalidGraphError } from './error.js';
import type { Graph, Node } from './graph.js';

/** Value name → the node that computes it. Graph inputs and initializers have no producer. */
export function producersOf(graph: Graph): ReadonlyMap<string, Node> {
  const producers = new Map<string, Node>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output !== '') producers.set(output, node);
  return producers;
}

/** Value name → the nodes that read it, directly or from inside a sub-graph, each once. */
export function consumersOf(graph: Graph): ReadonlyMap<string, readonly Node[]> {
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const input of readsOf(node)) {
      const readers = consumers.get(input);
      if (readers) readers.push(node);
      else consumers.set(input, [node]);
    }
  return consumers;
}

/** Every value of the surrounding graph that a node reads: its inputs and what its sub-graphs capture. */
export function readsOf(node: Node): ReadonlySet<string> {
  const reads = new Set(node.inputs);
  for (const [, subgraph] of subgraphsOf(node)) for (const name of capturesOf(subgraph)) reads.add(name);
  reads.delete('');
  return reads;
}

/** The values that a sub-graph takes from the graphs around it. */
export function capturesOf(graph: Graph): ReadonlySet<string> {
  const own = new Set<string>([...graph.inputs.map((input) => input.name), ...graph.initializers.keys()]);
  for (const name of graph.sparseInitializers.keys()) own.add(name);
  for (const node of graph.nodes) for (const output of node.outputs) own.add(output);
  const captures = new Set<string>();
  for (const node of graph.nodes) for (const name of readsOf(node)) if (!own.has(name)) captures.add(name);
  for (const output of graph.outputs) if (!own.has(output.name)) captures.add(output.name);
  return captures;
}

/**
 * The nodes in an order in which each comes after what it reads; nodes already in order keep their order.
 * Throws InvalidGraphError on a cycle or where one value has two producers.
 */
export function sortNodes(nodes: readonly Node[]): readonly Node[] {
  const producers = new Map<string, Node>();
  for (const node of nodes)
    for (const output of node.outputs) {
      if (output === '') continue;
      if (producers.has(output)) throw new InvalidGraphError(`value '${output}' is computed by two nodes`);
      producers.set(output, node);
    }

  const sorted: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  // An explicit stack: graphs of many thousand nodes in a chain would overflow the call stack.
  for (const root of nodes) {
    const stack: { node: Node; pending: Iterator<string> }[] = [];
    const enter = (node: Node): void => {
      state.set(node, 'open');
      stack.push({ node, pending: readsOf(node).values() });
    };
    if (!state.has(root)) enter(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const next = top.pending.next();
      if (next.done) {
        state.set(top.node, 'done');
        sorted.push(top.node);
        stack.pop();
        continue;
      }
      const producer = producers.get(next.value);
      if (producer === undefined || state.get(producer) === 'done') continue;
      if (state.get(producer) === 'open')
        throw new InvalidGraphError(`the graph has a cycle through node '${producer.name}' (${producer.op})`);
      enter(producer);
    }
  }
  return sorted;
}

/** The nodes on which any of `values` depends, in the graph's own order; the walk stops at `boundary` values. */
export function ancestorsOf(
  graph: Graph,
  values: Iterable<string>,
  boundary: ReadonlySet<string> = new Set(),
): readonly Node[] {
  const producers = producersOf(graph);
  const needed = new Set<Node>();
  const queue = [...values];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (boundary.has(name)) continue;
    const node = producers.get(name);
    if (node === undefined || needed.has(node)) continue;
    needed.add(node);
    queue.push(...readsOf(node));
  }
  return graph.nodes.filter((node) => needed.has(node));
}
