/** @file Which values of a graph depend on given ones, and which are constants. */
import { constantTensor, readsOf, type Graph, type Node, type Tensor } from '../ir/index.js';

/** Every value that depends on one of `sources`, the sources included, sub-graph captures followed, not through a value of `stop`. */
export function dependentValues(
  nodes: readonly Node[],
  sources: readonly string[],
  stop: ReadonlySet<string> = new Set(),
): ReadonlySet<string> {
  const dependent = new Set(sources);
  for (const node of nodes)
    if ([...readsOf(node)].some((input) => dependent.has(input)))
      for (const output of node.outputs) if (output !== '' && !stop.has(output)) dependent.add(output);
  return dependent;
}

/** Initializers (those that are not inputs) and Constant nodes by value name. */
export function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map(graph.initializers);
  for (const input of graph.inputs) constants.delete(input.name);
  for (const node of graph.nodes)
    if (node.op === 'Constant' && node.domain === '') {
      const tensor = constantTensor(node);
      if (tensor) constants.set(node.outputs[0]!, tensor);
    }
  return constants;
}
