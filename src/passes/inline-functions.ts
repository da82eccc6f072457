/** @file Inlining of model-local functions (ONNX FunctionProto): every call becomes the function's nodes. */
import {
  GraphBuilder,
  InvalidGraphError,
  makeNode,
  opsetOf,
  subgraphsOf,
  type Attribute,
  type Attributes,
  type Graph,
  type Model,
  type ModelFunction,
  type Node,
} from '../ir/index.js';
import { mapSubgraphs } from './freeze.js';

export interface InlineResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Function (`domain.name`, with `:overload` where it has one) → number of calls that were inlined. */
  readonly inlined: ReadonlyMap<string, number>;
}

/** Functions that call functions multiply: what a hostile file could unfold to is bounded. */
const MAX_NODES = 1_000_000;
const MAX_CALL_DEPTH = 200;

/**
 * Replaces every call of a model-local function, in sub-graphs and inside other functions too, and drops the function
 * definitions. Attribute references take the caller's value, the function's default, or vanish where there is neither.
 * Contract: requires functions that import the model's own operator-set versions (`upgradeOpset` aligns them); ensures
 * that the interface and all values of the main graph keep their names and contents.
 * Throws InvalidGraphError where a function calls itself, a call does not fit, or the result would be too large.
 */
export function inlineFunctions(model: Model): InlineResult {
  if (model.functions.length === 0) return { model, changed: false, inlined: new Map() };
  const functions = new Map(model.functions.map((fn) => [keyOf(fn.domain, fn.name, fn.overload), fn]));
  const opsets = new Map(model.opsets);
  const names = GraphBuilder.beside(model.graph);
  const inlined = new Map<string, number>();
  checkSize(model.graph, functions);

  const inlineNodes = (nodes: readonly Node[]): readonly Node[] =>
    nodes.flatMap((node) => {
      const key = keyOf(node.domain, node.op, node.overload);
      const fn = functions.get(key);
      if (fn === undefined) return [mapSubgraphs(node, (graph) => ({ ...graph, nodes: inlineNodes(graph.nodes) }))];
      inlined.set(key, (inlined.get(key) ?? 0) + 1);
      importOpsets(fn, opsets);
      return inlineNodes(instantiate(fn, node, names));
    });

  const graph = { ...model.graph, nodes: inlineNodes(model.graph.nodes) };
  // A domain that held nothing but functions is no longer imported: engines refuse domains they do not know.
  const used = new Set<string>();
  collectDomains(graph, used);
  for (const domain of new Set(model.functions.map((fn) => fn.domain))) if (!used.has(domain)) opsets.delete(domain);
  return { model: { ...model, graph, opsets, functions: [] }, changed: true, inlined };
}

/** A call of a local function: its nodes with the call's values and attributes, and the operator sets that they speak. */
export interface FunctionCall {
  readonly nodes: readonly Node[];
  readonly opsets: ReadonlyMap<string, number>;
}

/**
 * Looks into a model's local functions, one call at a time and without changing the model; `undefined` for a node that calls
 * none. Throws InvalidGraphError where a function calls itself or the calls unfold to too many nodes.
 */
export function functionCalls(model: Model): (node: Node) => FunctionCall | undefined {
  if (model.functions.length === 0) return () => undefined;
  const functions = new Map(model.functions.map((fn) => [keyOf(fn.domain, fn.name, fn.overload), fn]));
  checkSize(model.graph, functions);
  const names = GraphBuilder.beside(model.graph);
  return (node) => {
    const fn = functions.get(keyOf(node.domain, node.op, node.overload));
    return fn && { nodes: instantiate(fn, node, names), opsets: new Map([...model.opsets, ...fn.opsets]) };
  };
}

/** Throws where a function calls itself or where inlining would unfold to too many nodes; makes none of them. */
function checkSize(graph: Graph, functions: ReadonlyMap<string, ModelFunction>): void {
  const sizes = new Map<string, number>();
  const sizeOfNodes = (nodes: readonly Node[], stack: readonly string[]): number => {
    let size = 0;
    for (const node of nodes) {
      const key = keyOf(node.domain, node.op, node.overload);
      size += functions.has(key) ? sizeOfFunction(key, stack) : 1;
      for (const [, inner] of subgraphsOf(node)) size += sizeOfNodes(inner.nodes, stack);
    }
    return size;
  };
  const sizeOfFunction = (key: string, stack: readonly string[]): number => {
    if (stack.includes(key)) throw new InvalidGraphError(`function '${key}' calls itself`);
    if (stack.length >= MAX_CALL_DEPTH)
      throw new InvalidGraphError(`the model's functions call each other more than ${MAX_CALL_DEPTH} deep`);
    const known = sizes.get(key);
    if (known !== undefined) return known;
    const size = 1 + sizeOfNodes(functions.get(key)!.nodes, [...stack, key]);
    sizes.set(key, size);
    return size;
  };
  if (sizeOfNodes(graph.nodes, []) > MAX_NODES)
    throw new InvalidGraphError(`inlining the model's functions would make more than ${MAX_NODES} nodes`);
}

function keyOf(domain: string, name: string, overload: string): string {
  return `${domain}.${name}${overload === '' ? '' : `:${overload}`}`;
}

function importOpsets(fn: ModelFunction, opsets: Map<string, number>): void {
  for (const [domain, version] of fn.opsets) {
    const known = opsetOf({ opsets }, domain);
    if (known === 0) opsets.set(domain, version);
    else if (known !== version)
      throw new InvalidGraphError(
        `function '${fn.domain}.${fn.name}' imports opset ${version} of '${domain || 'ai.onnx'}', the model ${known}`,
        { hint: 'Upgrade the model first: that brings its functions to the same opset.' },
      );
  }
}

/** The function's nodes for one call: formal names become actual or fresh ones, references the call's attributes. */
function instantiate(fn: ModelFunction, call: Node, names: GraphBuilder): readonly Node[] {
  if (call.inputs.length > fn.inputs.length || call.outputs.length > fn.outputs.length)
    throw new InvalidGraphError(
      `node '${call.name}' calls function '${fn.name}' with ${call.inputs.length} inputs and ${call.outputs.length} outputs, ` +
        `but it has ${fn.inputs.length} and ${fn.outputs.length}`,
    );
  const renamed = new Map<string, string>([['', '']]);
  fn.inputs.forEach((formal, index) => renamed.set(formal, call.inputs[index] ?? ''));
  const passedThrough: Node[] = [];
  fn.outputs.forEach((formal, index) => {
    const actual = call.outputs[index] ?? '';
    if (actual === '') return;
    const source = renamed.get(formal);
    if (source === undefined) renamed.set(formal, actual);
    // An input that is also an output, or an output that is named twice.
    else
      passedThrough.push(
        makeNode({ name: names.fresh(`${call.name}/copy`), op: 'Identity', inputs: [source], outputs: [actual] }),
      );
  });
  const rename = (formal: string): string => {
    const known = renamed.get(formal);
    if (known !== undefined) return known;
    const fresh = names.fresh(`${call.name}/${formal}`);
    renamed.set(formal, fresh);
    return fresh;
  };
  const attributes = new Map([...fn.attributeDefaults, ...call.attributes]);
  return [...fn.nodes.map((node) => rewrite(node, call.name, names, rename, attributes)), ...passedThrough];
}

function rewrite(
  node: Node,
  prefix: string,
  names: GraphBuilder,
  rename: (name: string) => string,
  given: Attributes,
): Node {
  const attributes = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    const actual = attribute.type === 'reference' ? given.get(attribute.value) : attribute;
    if (actual !== undefined) attributes.set(name, actual);
  }
  const inGraph = (graph: Graph): Graph => ({
    ...graph,
    inputs: graph.inputs.map((input) => ({ ...input, name: rename(input.name) })),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [rename(name), tensor])),
    sparseInitializers: new Map([...graph.sparseInitializers].map(([name, tensor]) => [rename(name), tensor])),
    nodes: graph.nodes.map((inner) => rewrite(inner, prefix, names, rename, given)),
    outputs: graph.outputs.map((output) => ({ ...output, name: rename(output.name) })),
    types: new Map([...graph.types].map(([name, type]) => [rename(name), type])),
  });
  // Graphs that came with the caller's attributes already speak of the caller's values.
  const own = new Set([...node.attributes].filter(([, { type }]) => type !== 'reference').map(([name]) => name));
  for (const [name, attribute] of attributes)
    if (!own.has(name)) continue;
    else if (attribute.type === 'graph') attributes.set(name, { type: 'graph', value: inGraph(attribute.value) });
    else if (attribute.type === 'graphs') attributes.set(name, { type: 'graphs', value: attribute.value.map(inGraph) });
  return {
    ...node,
    name: names.fresh(`${prefix}/${node.name}`),
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
    attributes,
  };
}

function collectDomains(graph: Graph, into: Set<string>): void {
  for (const node of graph.nodes) {
    into.add(node.domain);
    mapSubgraphs(node, (inner) => {
      collectDomains(inner, into);
      return inner;
    });
  }
}
