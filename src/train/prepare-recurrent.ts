/** @file Brings recurrent layers into the layout that ONNX Runtime runs. */
import { GraphBuilder, intOf, type Graph, type Node } from '../ir/index.js';

const CELLS = new Set(['RNN', 'GRU', 'LSTM']);
/** Inputs and outputs with a batch axis, and the permutation from batch first (layout 1) to the usual layout 0. */
const INPUTS: Readonly<Record<number, readonly number[]>> = { 0: [1, 0, 2], 5: [1, 0, 2], 6: [1, 0, 2] };
const TO_BATCH_FIRST: readonly (readonly number[])[] = [
  [2, 0, 1, 3],
  [1, 0, 2],
  [1, 0, 2],
];

/**
 * Layers of layout 1 (batch first) as layers of layout 0 between transpositions: the same function, in the one layout that
 * ONNX Runtime has kernels for. Contract: the names of all values stay.
 */
export function timeFirst(graph: Graph): Graph {
  const isBatchFirst = (node: Node): boolean =>
    CELLS.has(node.op) && node.domain === '' && intOf(node, 'layout', 0) === 1;
  if (!graph.nodes.some(isBatchFirst)) return graph;
  const b = GraphBuilder.beside(graph);
  const nodes = graph.nodes.flatMap((node) => {
    if (!isBatchFirst(node)) return [node];
    const from = b.nodes.length;
    const inputs = node.inputs.map((input, i) =>
      input !== '' && INPUTS[i] ? b.op('Transpose', [input], { perm: INPUTS[i] }) : input,
    );
    const before = b.nodes.slice(from);
    const outputs = node.outputs.map((output) => output && b.fresh(`${output}_time_first`));
    const after = node.outputs.flatMap((output, i) => {
      if (output === '') return [];
      const made = b.op('Transpose', [outputs[i]!], { perm: TO_BATCH_FIRST[i]! });
      const transposed = b.nodes.at(-1)!;
      return [{ ...transposed, outputs: transposed.outputs.map((name) => (name === made ? output : name)) }];
    });
    const attributes = new Map(node.attributes);
    attributes.delete('layout');
    return [...before, { ...node, inputs, outputs, attributes }, ...after];
  });
  return { ...graph, nodes, initializers: new Map([...graph.initializers, ...b.initializers]) };
}
