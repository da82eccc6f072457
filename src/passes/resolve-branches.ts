/** @file Puts the taken branch in the place of an If whose condition is known before the model runs. */
import {
  GraphBuilder,
  graphOf,
  makeNode,
  rewireNode,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type SparseTensor,
  type Tensor,
  type ValueType,
} from '../ir/index.js';
import { mapSubgraphs } from './freeze.js';
import { inferShapes, type InferOptions } from './infer-shapes.js';
import { definedIn, hasSubgraphs, uniqueNames } from './unique-names.js';

export interface ResolvedBranches {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the If nodes that are gone; those of sub-graphs as `owner/name`. */
  readonly resolved: readonly string[];
}

/**
 * Replaces every If whose condition is a constant, or follows from shapes (exporters ask for ranks and sizes of 1), by the
 * nodes of the branch that is taken; sub-graphs included. `options.inputTypes` may state sizes that the file leaves open.
 * Contract: ensures that the interface and, for feeds of the given types, all outputs are unchanged. Throws what shape inference throws.
 */
export function resolveBranches(model: Model, options: InferOptions = {}): ResolvedBranches {
  if (!hasSubgraphs(model.graph)) return { model, changed: false, resolved: [] };
  const unique = uniqueNames(model).model;
  const inferred = inferShapes(unique, options);
  const names = GraphBuilder.beside(unique.graph);
  const resolved: string[] = [];

  const inGraph = (graph: Graph, dims: ReadonlyMap<string, readonly Dim[]>, path: string): Graph => {
    const initializers = new Map<string, Tensor>(graph.initializers);
    const sparseInitializers = new Map<string, SparseTensor>(graph.sparseInitializers);
    const types = new Map<string, ValueType>(graph.types);
    const nodes = graph.nodes.flatMap((node): readonly Node[] => {
      const inner = (sub: Graph): Graph =>
        inGraph(sub, inferred.subgraphDims.get(sub) ?? new Map(), `${path}${node.name}/`);
      const condition = node.op === 'If' && node.domain === '' ? dims.get(node.inputs[0] ?? '')?.[0] : undefined;
      if (typeof condition !== 'number') return [mapSubgraphs(node, inner)];
      const taken = graphOf(node, condition === 0 ? 'else_branch' : 'then_branch');
      if (taken === undefined) return [node];
      resolved.push(path + node.name);
      const branch = inner(taken);
      for (const [name, value] of branch.initializers) initializers.set(name, value);
      for (const [name, value] of branch.sparseInitializers) sparseInitializers.set(name, value);
      for (const [name, type] of branch.types) types.set(name, type);
      return nodesOf(branch, node, names);
    });
    return { ...graph, nodes, initializers, sparseInitializers, types };
  };

  const graph = inGraph(unique.graph, inferred.dims, '');
  return resolved.length === 0
    ? { model, changed: false, resolved }
    : { model: { ...unique, graph }, changed: true, resolved };
}

/** A branch's nodes with its outputs under the names that the If gave them. */
function nodesOf(branch: Graph, node: Node, names: GraphBuilder): readonly Node[] {
  const own = definedIn(branch);
  const renamed = new Map<string, string>();
  const copies: Node[] = [];
  branch.outputs.forEach(({ name }, index) => {
    const output = node.outputs[index];
    if (!output) return;
    if (own.has(name) && !branch.initializers.has(name) && !renamed.has(name)) renamed.set(name, output);
    else
      copies.push(
        makeNode({ name: names.fresh(`${node.name}_copy`), op: 'Identity', inputs: [name], outputs: [output] }),
      );
  });
  if (renamed.size === 0) return [...branch.nodes, ...copies];
  return [...branch.nodes, ...copies].map((inner) => {
    const rewired = rewireNode(inner, renamed);
    return { ...rewired, outputs: rewired.outputs.map((output) => renamed.get(output) ?? output) };
  });
}
