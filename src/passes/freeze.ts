/** @file Where weights stand: initializers, inputs with a default, or Constant nodes; and the ways between them. */
import {
  constantTensor,
  GraphBuilder,
  InvalidGraphError,
  makeNode,
  tensor as tensorAttribute,
  tensorType,
  type Attribute,
  type Graph,
  type Model,
  type Node,
  type Tensor,
} from '../ir/index.js';

export interface FreezeResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the values whose place changed. */
  readonly moved: readonly string[];
}

/**
 * Turns inputs with a default value into plain constants: those named, or all. Files of IR version 3 list every
 * weight as such an input, which keeps engines from folding them.
 * Contract: ensures that outputs for unchanged feeds are unchanged. Throws InvalidGraphError for a name without default.
 */
export function freeze(model: Model, names?: Iterable<string>): FreezeResult {
  const { graph } = model;
  const moved = names === undefined ? defaultedInputs(graph) : [...names];
  for (const name of moved)
    if (!graph.initializers.has(name) || !graph.inputs.some((input) => input.name === name))
      throw new InvalidGraphError(`cannot freeze '${name}': it is no input with a default value`);
  const gone = new Set(moved);
  return result(model, moved, { ...graph, inputs: graph.inputs.filter((input) => !gone.has(input.name)) });
}

/**
 * Makes initializers feedable: each named one also becomes an input, with its value as default.
 * Contract: ensures that outputs without new feeds are unchanged. Throws InvalidGraphError for a name that is no
 * initializer or already an input.
 */
export function unfreeze(model: Model, names: Iterable<string>): FreezeResult {
  const { graph } = model;
  const moved = [...names];
  const inputs = moved.map((name) => {
    const value = graph.initializers.get(name);
    if (value === undefined) throw new InvalidGraphError(`cannot unfreeze '${name}': it is no initializer`);
    if (graph.inputs.some((input) => input.name === name))
      throw new InvalidGraphError(`cannot unfreeze '${name}': it is an input already`);
    return { name, type: tensorType(value.dtype, value.dims) };
  });
  // A default for an input that need not be fed exists since IR version 4; before it, every initializer is an input.
  return result(model, moved, { ...graph, inputs: [...graph.inputs, ...inputs] });
}

/**
 * Turns Constant nodes into initializers, in sub-graphs too, so that weights that stand in Constant nodes are counted
 * and trained like others. Contract: ensures that value names and outputs are unchanged. A Constant that is itself a
 * graph output, or sparse, stays.
 */
export function constantsToInitializers(model: Model): FreezeResult {
  const moved: string[] = [];
  const lift = (graph: Graph): Graph => {
    const outputs = new Set(graph.outputs.map((output) => output.name));
    const initializers = new Map(graph.initializers);
    const nodes: Node[] = [];
    for (const node of graph.nodes) {
      const name = node.outputs[0] ?? '';
      const value = isConstant(node) && !outputs.has(name) ? constantTensor(node) : undefined;
      if (value === undefined || name === '') nodes.push(mapSubgraphs(node, lift));
      else {
        initializers.set(name, value);
        moved.push(name);
      }
    }
    return { ...graph, nodes, initializers };
  };
  return result(model, moved, lift(model.graph));
}

/**
 * Turns initializers of the main graph into Constant nodes at its start: those named, or all that are no inputs.
 * Contract: ensures that value names and outputs are unchanged. Throws InvalidGraphError for a name that is no
 * initializer or is an input.
 */
export function initializersToConstants(model: Model, names?: Iterable<string>): FreezeResult {
  const { graph } = model;
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const moved = names === undefined ? [...graph.initializers.keys()].filter((name) => !inputs.has(name)) : [...names];
  const fresh = GraphBuilder.beside(graph);
  const initializers = new Map(graph.initializers);
  const nodes = moved.map((name): Node => {
    const value: Tensor | undefined = initializers.get(name);
    if (value === undefined || inputs.has(name))
      throw new InvalidGraphError(`cannot turn '${name}' into a Constant node: it is no plain initializer`);
    initializers.delete(name);
    const attributes = new Map<string, Attribute>([['value', tensorAttribute(value)]]);
    return makeNode({ name: fresh.fresh(`${name}_constant`), op: 'Constant', inputs: [], outputs: [name], attributes });
  });
  return result(model, moved, { ...graph, nodes: [...nodes, ...graph.nodes], initializers });
}

/** Every weight of the main graph, wherever it stands: initializers (defaults of inputs included) and Constant nodes. */
export function weightsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const weights = new Map(graph.initializers);
  for (const node of graph.nodes) {
    const value = isConstant(node) ? constantTensor(node) : undefined;
    if (value && node.outputs[0]) weights.set(node.outputs[0], value);
  }
  return weights;
}

/** A node with each of its sub-graphs replaced by what `map` makes of it. */
export function mapSubgraphs(node: Node, map: (graph: Graph) => Graph): Node {
  let touched = false;
  const attributes = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes)
    if (attribute.type === 'graph') {
      touched = true;
      attributes.set(name, { type: 'graph', value: map(attribute.value) });
    } else if (attribute.type === 'graphs') {
      touched = true;
      attributes.set(name, { type: 'graphs', value: attribute.value.map(map) });
    } else attributes.set(name, attribute);
  return touched ? { ...node, attributes } : node;
}

const isConstant = (node: Node): boolean => node.op === 'Constant' && node.domain === '';

function defaultedInputs(graph: Graph): readonly string[] {
  return graph.inputs.map((input) => input.name).filter((name) => graph.initializers.has(name));
}

function result(model: Model, moved: readonly string[], graph: Graph): FreezeResult {
  return moved.length === 0 ? { model, changed: false, moved } : { model: { ...model, graph }, changed: true, moved };
}
