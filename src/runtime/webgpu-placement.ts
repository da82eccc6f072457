/** @file What ONNX Runtime's WebGPU provider takes on and then cannot compute: these nodes are left to the processor. */
import { floatOf, intOf, stringOf, subgraphsOf, type Graph, type Model, type Node } from '../ir/index.js';

/**
 * Per operator, whether the provider (ONNX Runtime 1.30) accepts a node when the model is loaded and fails when it runs.
 * Everything that it refuses when the model is loaded goes to the processor without our help.
 */
const FAILS: Readonly<Record<string, (node: Node) => boolean>> = {
  MaxPool: (node) => Boolean(node.outputs[1]) || intOf(node, 'storage_order', 0) === 1,
  LSTM: (node) => recurrentFails(node) || intOf(node, 'input_forget', 0) === 1,
  GRU: (node) => recurrentFails(node),
  Einsum: (node) => stringOf(node, 'equation', '').includes('...'),
};

function recurrentFails(node: Node): boolean {
  return floatOf(node, 'clip', undefined) !== undefined || intOf(node, 'layout', 0) === 1;
}

/** Names of the nodes, sub-graphs included, that must run on the processor beside the GPU. */
export function processorNodes(model: Model): readonly string[] {
  const walk = (graph: Graph): readonly string[] =>
    graph.nodes.flatMap((node) => [
      ...(node.domain === '' && FAILS[node.op]?.(node) ? [node.name] : []),
      ...subgraphsOf(node).flatMap(([, inner]) => walk(inner)),
    ]);
  return walk(model.graph);
}
