/** @file Gives every value of a model a name of its own, sub-graphs included. */
import { GraphBuilder, subgraphsOf, type Graph, type Model } from '../ir/index.js';
import { mapSubgraphs } from './freeze.js';

export interface UniqueNames {
  readonly model: Model;
  readonly changed: boolean;
}

/**
 * Renames values of sub-graphs whose name another graph of the model uses too (two branches often repeat theirs), so
 * that values can move from one graph to another. Contract: names of the main graph stay; ensures that outputs are unchanged.
 */
export function uniqueNames(model: Model): UniqueNames {
  if (!hasSubgraphs(model.graph)) return { model, changed: false };
  const seen = definedIn(model.graph);
  const names = GraphBuilder.beside(model.graph);
  let changed = false;

  const inGraph = (graph: Graph, outer: ReadonlyMap<string, string>): Graph => {
    const renamed = new Map(outer);
    for (const name of definedIn(graph)) {
      renamed.delete(name);
      if (seen.has(name)) {
        changed = true;
        renamed.set(name, names.fresh(name));
      }
      seen.add(renamed.get(name) ?? name);
    }
    const rename = (name: string): string => renamed.get(name) ?? name;
    const renameKeys = <T>(entries: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
      new Map([...entries].map(([name, entry]) => [rename(name), entry]));
    return {
      ...graph,
      inputs: graph.inputs.map((input) => ({ ...input, name: rename(input.name) })),
      outputs: graph.outputs.map((output) => ({ ...output, name: rename(output.name) })),
      initializers: renameKeys(graph.initializers),
      sparseInitializers: renameKeys(graph.sparseInitializers),
      types: renameKeys(graph.types),
      nodes: graph.nodes.map((node) => ({
        ...mapSubgraphs(node, (inner) => inGraph(inner, renamed)),
        inputs: node.inputs.map(rename),
        outputs: node.outputs.map(rename),
      })),
    };
  };

  const nodes = model.graph.nodes.map((node) => mapSubgraphs(node, (inner) => inGraph(inner, new Map())));
  return changed ? { model: { ...model, graph: { ...model.graph, nodes } }, changed } : { model, changed };
}

/** Whether any node of a graph carries sub-graphs. */
export function hasSubgraphs(graph: Graph): boolean {
  return graph.nodes.some((node) => subgraphsOf(node).length > 0);
}

/** Names of the values that a graph itself defines: inputs, constants and what its nodes make. */
export function definedIn(graph: Graph): Set<string> {
  const names = new Set<string>([
    ...graph.inputs.map((input) => input.name),
    ...graph.initializers.keys(),
    ...graph.sparseInitializers.keys(),
  ]);
  for (const node of graph.nodes) for (const output of node.outputs) names.add(output);
  names.delete('');
  return names;
}
