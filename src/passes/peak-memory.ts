/** @file How many bytes of activations are alive at once when a graph's nodes run one after the other. */
import { readsOf, requiredInputs, sortNodes, type Graph, type Node } from '../ir/index.js';

export interface PeakMemory {
  readonly bytes: number;
  /** Name of the node that runs at the peak; `undefined` for a graph without nodes. */
  readonly node: string | undefined;
}

/**
 * The most bytes alive at once, walking the nodes in topological order (the graph's own where it is one).
 * Counted: graph inputs from the start to their last reader, every computed value from its node to its last reader
 * (to the end for graph outputs), so a node's inputs and outputs are alive together, and, while a node with sub-graphs
 * runs, `inside(node)` bytes more. Not counted: initializers, Constant nodes, a kernel's own scratch memory. No output is assumed to
 * take its input's memory, not even that of Reshape or Identity, so a run-time that reuses buffers stays below.
 */
export function peakMemory(
  graph: Graph,
  bytesOf: (value: string) => number,
  inside: (node: Node) => number = () => 0,
): PeakMemory {
  const nodes = sortNodes(graph.nodes);
  const lastReader = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const value of readsOf(node)) lastReader.set(value, index);
  });
  for (const output of graph.outputs) lastReader.set(output.name, nodes.length);

  const alive = new Set(requiredInputs(graph).map((input) => input.name));
  let live = 0;
  for (const value of alive) live += bytesOf(value);
  let peak: PeakMemory = { bytes: live, node: nodes[0]?.name };
  nodes.forEach((node, index) => {
    const constant = node.op === 'Constant' && node.domain === '';
    const made = constant ? [] : node.outputs.filter((output) => output !== '');
    for (const value of made) {
      alive.add(value);
      live += bytesOf(value);
    }
    const now = live + inside(node);
    if (now > peak.bytes) peak = { bytes: now, node: node.name };
    for (const value of [...readsOf(node), ...made])
      if ((lastReader.get(value) ?? index) <= index && alive.delete(value)) live -= bytesOf(value);
  });
  return peak;
}
