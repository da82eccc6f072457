/** @file The order in which ONNX Runtime's sequential executor runs the nodes of a graph. */
import { readsOf, type Graph, type Node } from '../ir/index.js';

/**
 * ONNX Runtime (1.30, `GraphViewer`, default order) walks depth first from the nodes that nobody reads, the last one of the file
 * first, and at every node enters the producer that stands latest in the file first; a node runs when all its producers have run.
 * So a file's order decides ties only, and what stands for itself at the end of the file runs first, together with all that
 * it needs. Contract: the graph is acyclic; every node is in the result once.
 */
export function executionOrder(graph: Graph): readonly Node[] {
  const { nodes } = graph;
  const producer = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const output of node.outputs) if (output !== '') producer.set(output, index);
  });
  const producersOf = nodes.map((node) => {
    const found = new Set<number>();
    for (const value of readsOf(node)) {
      const index = producer.get(value);
      if (index !== undefined) found.add(index);
    }
    return [...found].sort((a, b) => a - b);
  });
  const isRead = new Uint8Array(nodes.length);
  for (const indices of producersOf) for (const index of indices) isRead[index] = 1;

  const order: Node[] = [];
  const visited = new Uint8Array(nodes.length);
  // A negative entry −1 − i is the return from node i.
  const stack: number[] = [];
  nodes.forEach((_, index) => {
    if (isRead[index] === 0) stack.push(index);
  });
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    if (entry < 0) {
      order.push(nodes[-1 - entry]!);
      continue;
    }
    if (visited[entry] === 1) continue;
    visited[entry] = 1;
    stack.push(-1 - entry);
    for (const index of producersOf[entry]!) if (visited[index] === 0) stack.push(index);
  }
  return order;
}
