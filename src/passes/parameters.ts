/** @file Which constants of a graph are parameters: weights that a node computes with, not shapes, axes or settings. */
import { constantTensor, type Graph, type Node, type Tensor } from '../ir/index.js';

/** Inputs that hold settings rather than weights, whatever their type. */
const SETTINGS: ReadonlyMap<string, readonly number[]> = new Map(
  Object.entries({
    Clip: [1, 2],
    Dropout: [1, 2],
    Pad: [1, 2, 3],
    Range: [0, 1, 2],
    Resize: [1, 2, 3],
    Upsample: [1],
    OneHot: [1, 2],
    Expand: [1],
    Tile: [1],
    TopK: [1],
  }),
);

/** Values of initializers and Constant nodes by name. */
export function constantsIn(graph: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map(graph.initializers);
  for (const [name, { values }] of graph.sparseInitializers) constants.set(name, values);
  for (const node of graph.nodes)
    if (node.op === 'Constant' && node.domain === '') {
      const value = constantTensor(node);
      if (value) constants.set(node.outputs[0]!, value);
    }
  return constants;
}

/**
 * The parameters among a node's inputs that are not in `counted` yet; they are added to it. int64, bool and string tensors (shapes,
 * axes, indices), scalars and settings are no parameters.
 */
export function weightsOf(node: Node, constants: ReadonlyMap<string, Tensor>, counted: Set<Tensor>): readonly Tensor[] {
  const found: Tensor[] = [];
  node.inputs.forEach((input, index) => {
    const tensor = constants.get(input);
    if (tensor === undefined || counted.has(tensor)) return;
    if (tensor.dtype === 'int64' || tensor.dtype === 'bool' || tensor.dtype === 'string') return;
    if (tensor.dims.length === 0 || (node.domain === '' && SETTINGS.get(node.op)?.includes(index))) return;
    counted.add(tensor);
    found.push(tensor);
  });
  return found;
}
