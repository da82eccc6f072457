/** @file Removal of what no output depends on: nodes, initializers, stated types; sub-graphs included. */
import {
  ancestorsOf,
  capturesOf,
  readsOf,
  type Attribute,
  type Graph,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';

export interface DeadNodesResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the removed nodes; those of sub-graphs as `owner/name`. */
  readonly removedNodes: readonly string[];
  /** Names of the removed initializers, sub-graphs likewise. */
  readonly removedInitializers: readonly string[];
}

/**
 * Removes every node that no graph output depends on, then every initializer that nobody reads, in all graphs.
 * Contract: requires single assignment; ensures that inputs, outputs and their values are unchanged (the default of an
 * unused input stays, because without it the input would have to be fed) and that the order of nodes is kept.
 */
export function removeDeadNodes(model: Model): DeadNodesResult {
  const removedNodes: string[] = [];
  const removedInitializers: string[] = [];

  const cleanGraph = (graph: Graph, path: string): Graph => {
    const outputs = graph.outputs.map((output) => output.name);
    // Inner graphs first: a dead capture must not keep an outer node alive.
    const cleaned = { ...graph, nodes: graph.nodes.map((node) => cleanNode(node, path)) };
    const nodes = ancestorsOf(cleaned, outputs);
    const live = new Set(nodes);
    for (const node of cleaned.nodes) if (!live.has(node)) removedNodes.push(path + node.name);
    const read = new Set([...outputs, ...graph.inputs.map((input) => input.name)]);
    for (const node of nodes) for (const name of readsOf(node)) read.add(name);
    const keep = <T>(entries: ReadonlyMap<string, T>): ReadonlyMap<string, T> => {
      const kept = new Map([...entries].filter(([name]) => read.has(name)));
      for (const name of entries.keys()) if (!kept.has(name)) removedInitializers.push(path + name);
      return kept.size === entries.size ? entries : kept;
    };
    return {
      ...cleaned,
      nodes,
      initializers: keep(graph.initializers),
      sparseInitializers: keep(graph.sparseInitializers),
      types: typesOfExisting(graph, nodes),
    };
  };

  const cleanNode = (node: Node, path: string): Node => {
    if (![...node.attributes.values()].some(({ type }) => type === 'graph' || type === 'graphs')) return node;
    const inner = `${path}${node.name}/`;
    const attributes = new Map<string, Attribute>();
    for (const [name, attribute] of node.attributes)
      if (attribute.type === 'graph')
        attributes.set(name, { type: 'graph', value: cleanGraph(attribute.value, inner) });
      else if (attribute.type === 'graphs')
        attributes.set(name, { type: 'graphs', value: attribute.value.map((graph) => cleanGraph(graph, inner)) });
      else attributes.set(name, attribute);
    return { ...node, attributes };
  };

  const graph = cleanGraph(model.graph, '');
  const changed = removedNodes.length + removedInitializers.length > 0;
  return { model: changed ? { ...model, graph } : model, changed, removedNodes, removedInitializers };
}

/** Stated types without those of values that are gone. */
export function typesOfExisting(graph: Graph, nodes: readonly Node[]): ReadonlyMap<string, ValueType> {
  const exists = new Set([
    ...graph.inputs.map((input) => input.name),
    ...graph.initializers.keys(),
    ...graph.sparseInitializers.keys(),
    ...capturesOf(graph),
  ]);
  for (const node of nodes) for (const output of node.outputs) exists.add(output);
  return new Map([...graph.types].filter(([name]) => exists.has(name)));
}
