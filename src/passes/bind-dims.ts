/** @file Gives symbolic dims their sizes. */
import {
  CuttleError,
  graph as graphAttribute,
  substituteDim,
  symbolsOf,
  type Attribute,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type Value,
  type ValueType,
} from '../ir/index.js';

/** A size that no dim can have. */
export class DimValueError extends CuttleError {
  constructor(symbol: string, value: number) {
    super('usage', 'passes/dim-value', `dim '${symbol}' cannot have the size ${value}`, {
      hint: 'Give a whole number of at least 0.',
    });
  }
}

export interface BoundDims {
  readonly model: Model;
  readonly changed: boolean;
  /** Those of the given symbols that occur in the model's types. */
  readonly bound: readonly string[];
}

/**
 * Writes given sizes into every type of the model, those of its sub-graphs included: `[batch, 3, h, w]` under
 * `{ batch: 8 }` becomes `[8, 3, h, w]`, and expressions fold. A dim of an input that has no name goes by its place, as in
 * `costOf`: `{ 'input[1]': 512 }`. Symbols that are not given stay.
 * Contract: requires nothing; ensures that no node and no constant changes. Throws DimValueError for a negative or broken number.
 */
export function bindDims(model: Model, symbols: Readonly<Record<string, number>>): BoundDims {
  for (const [symbol, value] of Object.entries(symbols))
    if (!Number.isInteger(value) || value < 0) throw new DimValueError(symbol, value);
  const bound = new Set<string>();
  const ofDim = (dim: Dim): Dim => {
    if (typeof dim !== 'string') return dim;
    for (const symbol of [dim, ...symbolsOf(dim)]) if (Object.hasOwn(symbols, symbol)) bound.add(symbol);
    return substituteDim(dim, symbols);
  };
  const ofType = (type: ValueType): ValueType => mapDims(type, ofDim);
  const ofValue = (value: Value): Value => (value.type ? { ...value, type: ofType(value.type) } : value);
  const ofNode = (node: Node): Node => {
    if (![...node.attributes.values()].some((attribute) => attribute.type === 'graph' || attribute.type === 'graphs'))
      return node;
    const attributes = new Map<string, Attribute>();
    for (const [name, attribute] of node.attributes)
      if (attribute.type === 'graph') attributes.set(name, graphAttribute(ofGraph(attribute.value)));
      else if (attribute.type === 'graphs')
        attributes.set(name, { type: 'graphs', value: attribute.value.map(ofGraph) });
      else attributes.set(name, attribute);
    return { ...node, attributes };
  };
  const ofGraph = (graph: Graph): Graph => ({
    ...graph,
    inputs: graph.inputs.map(ofValue),
    outputs: graph.outputs.map(ofValue),
    types: new Map([...graph.types].map(([name, type]) => [name, ofType(type)])),
    nodes: graph.nodes.map(ofNode),
  });
  const unnamed = ({ name, type }: Value): Value => ({
    name,
    type:
      type &&
      mapDims(type, (dim, axis) => {
        const key = `${name}[${axis}]`;
        if (dim !== null || !Object.hasOwn(symbols, key)) return dim;
        bound.add(key);
        return symbols[key]!;
      }),
  });
  const main = ofGraph(model.graph);
  const graph = { ...main, inputs: main.inputs.map(unnamed) };
  return bound.size === 0
    ? { model, changed: false, bound: [] }
    : { model: { ...model, graph }, changed: true, bound: [...bound] };
}

/** A type whose dims are mapped, inside sequences and optionals too. */
export function mapDims(type: ValueType, map: (dim: Dim, axis: number) => Dim): ValueType {
  switch (type.kind) {
    case 'tensor':
    case 'sparse-tensor':
      return { ...type, shape: type.shape?.map(map) };
    case 'sequence':
    case 'optional':
      return { ...type, element: type.element && mapDims(type.element, map) };
    case 'map':
      return { ...type, value: type.value && mapDims(type.value, map) };
  }
}
