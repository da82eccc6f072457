/** @file Which nodes of a model one kernel will compute, without running it: the fusions that ONNX Runtime does on processors. */
import { consumersOf, producersOf, readsOf, sortNodes, type Graph, type Node } from '../../ir/index.js';
import type { LayerGroup } from '../layer-work.js';

/** What becomes part of the layer before it, where nobody else reads that layer. */
const AFTER: Readonly<Record<string, ReadonlySet<string>>> = {
  Conv: new Set(['BatchNormalization', 'Relu', 'Clip', 'LeakyRelu', 'Sigmoid', 'Tanh', 'HardSigmoid', 'Add']),
  ConvTranspose: new Set(['BatchNormalization']),
  Gemm: new Set(['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh']),
  MatMul: new Set(['Add']),
};

/** What costs nothing at run time. */
const FREE = new Set(['Constant', 'Identity', 'Dropout']);

/**
 * Groups nodes as the engine will fuse them: BatchNormalization, activations and a residual Add with the convolution before, a bias
 * with its product. Nodes that depend on no input, and such that do nothing, stand in no group. It follows ONNX Runtime's
 * processor kernels at full optimisation; a profile knows exactly and is to be preferred where there is one.
 */
export function fusedLayers(graph: Graph): readonly LayerGroup[] {
  const nodes = sortNodes(graph.nodes);
  const consumers = consumersOf(graph);
  const producers = producersOf(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const open = new Set(graph.inputs.map(({ name }) => name));
  const reached = new Set(graph.inputs.map(({ name }) => name));
  const groupOf = new Map<Node, Node[]>();
  const order: Node[][] = [];
  for (const node of nodes) {
    const reads = [...readsOf(node)];
    if (!reads.some((value) => reached.has(value))) continue;
    for (const output of node.outputs) reached.add(output);
    if (FREE.has(node.op) && node.domain === '') continue;
    const into = node.domain === '' ? absorbing(node) : undefined;
    if (into !== undefined) {
      into.push(node);
      groupOf.set(node, into);
      continue;
    }
    const group = [node];
    groupOf.set(node, group);
    order.push(group);
  }
  return order.map(([first, ...more]) => ({
    ...{ name: first!.name, op: first!.op },
    ...(more.length > 0 && { members: [first!, ...more].map(({ name }) => name) }),
  }));

  /** The group whose last node this one continues: for an Add its first operand’s, where that can be. */
  function absorbing(node: Node): Node[] | undefined {
    const before = node.inputs
      .map((input) => ({ input, producer: producers.get(input) }))
      .flatMap(({ input, producer }) =>
        producer === undefined ? [] : [{ input, group: groupOf.get(producer), producer }],
      )
      .filter(({ input, group, producer }) => {
        if (group === undefined || group.at(-1) !== producer || outputs.has(input)) return false;
        if ((consumers.get(input) ?? []).length !== 1) return false;
        const [head, ...rest] = group;
        if (AFTER[head!.op]?.has(node.op) !== true) return false;
        // A weight that may be fed as an input is not multiplied with a scale beforehand.
        if (node.op === 'BatchNormalization' && open.has(head!.inputs[1] ?? '')) return false;
        // An activation ends a layer; a sum is taken in once.
        const ended = rest.some(({ op }) => op !== 'BatchNormalization' && op !== 'Add');
        return !ended && !(node.op === 'Add' && rest.some(({ op }) => op === 'Add'));
      });
    return before[0]?.group;
  }
}
