/** @file Described changes to a graph: what goes, what comes, what is rewired, and why. */
import { graph as graphAttribute } from './attribute.js';
import { InvalidGraphError } from './error.js';
import type { Attribute, Graph, Node, Value } from './graph.js';
import type { Tensor } from './tensor.js';
import { sortNodes } from './topology.js';
import type { ValueType } from './type.js';

/**
 * A change to one graph. Steps happen in this order: nodes are removed, uses are rewired (the mapped value replaces the
 * old one in every remaining node, sub-graph and graph output), nodes and initializers are added.
 */
export interface Patch {
  /** Why, in words: shown to people and kept in journals. */
  readonly reason: string;
  /** Names of nodes to remove. */
  readonly remove?: Iterable<string>;
  /** Old value → value to read instead. Graph outputs keep their public name only where it is not rewired. */
  readonly rewire?: ReadonlyMap<string, string>;
  readonly insert?: readonly Node[];
  readonly initializers?: ReadonlyMap<string, Tensor>;
  /** Names of initializers to drop. */
  readonly dropInitializers?: Iterable<string>;
  readonly types?: ReadonlyMap<string, ValueType>;
  /** The graph's interface after the change; unchanged where omitted. */
  readonly inputs?: readonly Value[];
  readonly outputs?: readonly Value[];
}

/**
 * The graph after a patch, nodes in topological order. The given graph is untouched and shares all tensors.
 * Throws InvalidGraphError where the patch removes what is not there, adds what already is, or leaves a cycle.
 */
export function applyPatch(graph: Graph, patch: Patch): Graph {
  const fail = (what: string): never => {
    throw new InvalidGraphError(`cannot apply patch '${patch.reason}': ${what}`);
  };
  const remove = new Set(patch.remove);
  const kept = graph.nodes.filter((node) => !remove.delete(node.name));
  for (const missing of remove) fail(`there is no node '${missing}'`);

  const rewire = patch.rewire ?? new Map<string, string>();
  const rewired = rewire.size === 0 ? kept : kept.map((node) => rewireNode(node, rewire));
  const inserted = patch.insert ?? [];
  const names = new Set(rewired.map((node) => node.name));
  for (const node of inserted) {
    if (names.has(node.name)) fail(`node '${node.name}' already exists`);
    names.add(node.name);
  }

  const initializers = new Map(graph.initializers);
  for (const name of patch.dropInitializers ?? [])
    if (!initializers.delete(name)) fail(`there is no initializer '${name}'`);
  for (const [name, tensor] of patch.initializers ?? []) {
    if (initializers.has(name)) fail(`initializer '${name}' already exists`);
    initializers.set(name, tensor);
  }

  const outputs =
    patch.outputs ?? graph.outputs.map((output) => ({ ...output, name: rewire.get(output.name) ?? output.name }));
  return {
    ...graph,
    nodes: sortNodes([...rewired, ...inserted]),
    initializers,
    types: patch.types ? new Map([...graph.types, ...patch.types]) : graph.types,
    inputs: patch.inputs ?? graph.inputs,
    outputs,
  };
}

/** A node whose reads, sub-graph captures included, go to the mapped values. */
export function rewireNode(node: Node, rewire: ReadonlyMap<string, string>): Node {
  const attributes = new Map<string, Attribute>();
  let touched = false;
  for (const [name, attribute] of node.attributes) {
    let value = attribute;
    if (attribute.type === 'graph') value = graphAttribute(rewireGraph(attribute.value, rewire));
    else if (attribute.type === 'graphs')
      value = { type: 'graphs', value: attribute.value.map((graph) => rewireGraph(graph, rewire)) };
    touched ||= value !== attribute;
    attributes.set(name, value);
  }
  if (!touched && !node.inputs.some((input) => rewire.has(input))) return node;
  return { ...node, inputs: node.inputs.map((input) => rewire.get(input) ?? input), attributes };
}

/** A sub-graph whose captures go to the mapped values; names that it defines itself shadow the mapping. */
function rewireGraph(graph: Graph, rewire: ReadonlyMap<string, string>): Graph {
  const visible = new Map(rewire);
  for (const input of graph.inputs) visible.delete(input.name);
  for (const name of graph.initializers.keys()) visible.delete(name);
  for (const node of graph.nodes) for (const output of node.outputs) visible.delete(output);
  return {
    ...graph,
    nodes: graph.nodes.map((node) => rewireNode(node, visible)),
    outputs: graph.outputs.map((output) => ({ ...output, name: visible.get(output.name) ?? output.name })),
  };
}
