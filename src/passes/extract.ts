/** @file Extraction of the part of a model between two frontiers as a model of its own. */
import {
  ancestorsOf,
  GraphBuilder,
  InvalidGraphError,
  makeGraph,
  producersOf,
  readsOf,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type Value,
  type ValueType,
} from '../ir/index.js';
import { inferShapes } from './infer-shapes.js';

/** Names of values: where the part begins and where it ends. */
export interface Frontiers {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface ExtractOptions {
  /** Types of all values, where the caller has inferred them already (many cuts of one model). */
  readonly types?: ReadonlyMap<string, ValueType>;
}

/**
 * The sub-model that computes `outputs` from `inputs`. Values may be any of the graph: inputs, initializers (which then
 * become inputs) or intermediate ones. Contract: requires single assignment; ensures that value and node names are
 * those of the given model, that the part's inputs and outputs stand in the given order with their inferred types, that
 * initializers and local functions are carried along (tensors shared), and that nothing unneeded is kept. Metadata is
 * not carried: it describes the whole. Throws InvalidGraphError where a name is unknown, where an output depends on a
 * graph input that is not among `inputs`, and where the type of an input cannot be inferred.
 */
export function extract(model: Model, frontiers: Frontiers, options: ExtractOptions = {}): Model {
  const { graph } = model;
  checkNames(graph, frontiers);
  const boundary = new Set(frontiers.inputs);
  const needed = ancestorsOf(graph, frontiers.outputs, boundary);
  const types = options.types ?? inferShapes(model, { unknownOps: 'skip' }).types;
  const given = new Set(graph.inputs.map((input) => input.name));

  const reads = new Set(frontiers.outputs);
  for (const node of needed) for (const name of readsOf(node)) reads.add(name);
  for (const name of reads)
    if (given.has(name) && !boundary.has(name) && !graph.initializers.has(name))
      throw new InvalidGraphError(
        `cannot extract: ${quoted(frontiers.outputs)} depends on graph input '${name}', which is not among the inputs`,
        { hint: 'A cut must name every tensor that crosses it.' },
      );
  const carried = <T>(entries: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
    new Map([...entries].filter(([name]) => reads.has(name) && !boundary.has(name)));

  const nodes = withoutConflicts(graph, needed, boundary);
  const typeOf = (name: string): ValueType | undefined => types.get(name) ?? statedType(graph, name);
  return {
    ...model,
    metadata: new Map(),
    graph: makeGraph({
      name: graph.name,
      inputs: frontiers.inputs.map((name) => ({ name, type: typeOf(name) ?? untyped(name) })),
      outputs: frontiers.outputs.map((name): Value => ({ name, type: typeOf(name) })),
      nodes,
      initializers: carried<Tensor>(graph.initializers),
      sparseInitializers: carried(graph.sparseInitializers),
      types: typesWithin(nodes, frontiers, typeOf),
      doc: graph.doc,
    }),
  };
}

function checkNames(graph: Graph, { inputs, outputs }: Frontiers): void {
  const known = new Set([
    ...graph.inputs.map((input) => input.name),
    ...graph.initializers.keys(),
    ...graph.sparseInitializers.keys(),
    ...producersOf(graph).keys(),
  ]);
  for (const [names, what] of [
    [inputs, 'input'],
    [outputs, 'output'],
  ] as const) {
    const seen = new Set<string>();
    for (const name of names) {
      if (!known.has(name)) throw new InvalidGraphError(`cannot extract: the graph has no value '${name}'`);
      if (seen.has(name)) throw new InvalidGraphError(`cannot extract: ${what} '${name}' is named twice`);
      seen.add(name);
    }
  }
  if (outputs.length === 0) throw new InvalidGraphError('cannot extract: no output is named');
}

/**
 * A node with several outputs may be needed for one while another is fed: what it computes for the fed one gets another
 * name, so that no value has two sources.
 */
function withoutConflicts(graph: Graph, needed: readonly Node[], boundary: ReadonlySet<string>): readonly Node[] {
  if (!needed.some((node) => node.outputs.some((output) => boundary.has(output)))) return needed;
  const names = GraphBuilder.beside(graph);
  return needed.map((node) =>
    node.outputs.some((output) => boundary.has(output))
      ? {
          ...node,
          outputs: node.outputs.map((output) => (boundary.has(output) ? names.fresh(`${output}_unused`) : output)),
        }
      : node,
  );
}

function typesWithin(
  nodes: readonly Node[],
  { inputs, outputs }: Frontiers,
  typeOf: (name: string) => ValueType | undefined,
): ReadonlyMap<string, ValueType> {
  const interfaceNames = new Set([...inputs, ...outputs]);
  const types = new Map<string, ValueType>();
  for (const node of nodes)
    for (const output of node.outputs) {
      const type = output === '' || interfaceNames.has(output) ? undefined : typeOf(output);
      if (type) types.set(output, type);
    }
  return types;
}

function statedType(graph: Graph, name: string): ValueType | undefined {
  return graph.types.get(name) ?? [...graph.inputs, ...graph.outputs].find((value) => value.name === name)?.type;
}

function untyped(name: string): never {
  throw new InvalidGraphError(`cannot extract: the type of '${name}' is not known`, {
    hint: 'An operator before it has no shape rule (docs/coverage.md); cut at another value.',
  });
}

const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ');
