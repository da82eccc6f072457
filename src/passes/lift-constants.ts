/** @file Moves the constants of sub-graphs to the main graph, where they can be counted, shared and trained. */
import { constantTensor, GraphBuilder, makeNode, type Graph, type Model, type Node, type Tensor } from '../ir/index.js';
import { mapSubgraphs } from './freeze.js';
import { hasSubgraphs, uniqueNames } from './unique-names.js';

export interface LiftedConstants {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the constants that are initializers of the main graph now. */
  readonly lifted: readonly string[];
}

/**
 * Makes initializers and Constant nodes of all sub-graphs initializers of the main graph; bodies capture them. Defaults of a
 * body's own inputs and sparse constants stay. Names stay, apart from those that several graphs use.
 * Contract: ensures that the interface and all outputs are unchanged.
 */
export function liftConstants(model: Model): LiftedConstants {
  if (!hasSubgraphs(model.graph)) return { model, changed: false, lifted: [] };
  const unique = uniqueNames(model);
  const { graph } = unique.model;
  const names = GraphBuilder.beside(graph);
  const lifted = new Map<string, Tensor>();

  const inGraph = (inner: Graph): Graph => {
    const inputs = new Set(inner.inputs.map((input) => input.name));
    const own = new Set<string>();
    const lift = (name: string, value: Tensor): void => {
      lifted.set(name, value);
      own.add(name);
    };
    const initializers = new Map(inner.initializers);
    for (const [name, value] of inner.initializers)
      if (!inputs.has(name)) {
        initializers.delete(name);
        lift(name, value);
      }
    const nodes: Node[] = [];
    for (const node of inner.nodes) {
      const value = node.op === 'Constant' && node.domain === '' ? constantTensor(node) : undefined;
      if (value === undefined) nodes.push(mapSubgraphs(node, inGraph));
      else lift(node.outputs[0]!, value);
    }
    // What a sub-graph gives back, one of its own nodes must make.
    const outputs = inner.outputs.map((output) => {
      if (!own.has(output.name)) return output;
      const copy = names.fresh(`${output.name}_copy`);
      nodes.push(makeNode({ name: names.fresh(copy), op: 'Identity', inputs: [output.name], outputs: [copy] }));
      return { ...output, name: copy };
    });
    return { ...inner, nodes, initializers, outputs };
  };

  const nodes = graph.nodes.map((node) => mapSubgraphs(node, inGraph));
  if (lifted.size === 0) return { model: unique.model, changed: unique.changed, lifted: [] };
  const initializers = new Map([...graph.initializers, ...lifted]);
  return {
    model: { ...unique.model, graph: { ...graph, nodes, initializers } },
    changed: true,
    lifted: [...lifted.keys()],
  };
}
