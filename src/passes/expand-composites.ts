/** @file Replaces operators that are differentiated by their parts by these parts. */
import {
  GraphBuilder,
  makeNode,
  opsetOf,
  readsOf,
  sortNodes,
  subgraphsOf,
  type Graph,
  type Model,
  type Node,
  type TensorType,
  type ValueType,
} from '../ir/index.js';
import { opRecord, UnsupportedGradientError, type ExpandRule } from '../ops/index.js';
import { constantsOf, dependentValues } from './dependent-values.js';
import { mapSubgraphs } from './freeze.js';
import { inferShapes, type InferOptions } from './infer-shapes.js';

/** A part may be a composite itself (EmbedLayerNormalization holds a LayerNormalization); none goes deeper. */
const MAX_ROUNDS = 8;

export interface ExpandOptions extends InferOptions {
  readonly stop?: ReadonlySet<string>;
}

/**
 * The same model with every composite node that lies between `wrt` and the outputs spelled out in plainer operators
 * (Attention in MatMul and Softmax), in sub-graphs too. The nodes' outputs keep their names.
 * Contract: requires what the rules need to be typed, and constants of sub-graphs lifted; ensures equal outputs up to rounding.
 * Throws UnsupportedGradientError where a rule refuses a node.
 */
export function expandComposites(model: Model, wrt: readonly string[], options: ExpandOptions = {}): Model {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const rules = new Map<Node, ExpandRule>();
    findComposites(model.graph, wrt, options.stop, rules);
    if (rules.size === 0) return model;
    model = expanded(model, rules, options);
  }
  return model;
}

/** Collects composite nodes that depend on `sources`. What flows into a body from outside counts as depending on them. */
function findComposites(
  graph: Graph,
  sources: readonly string[],
  stop: ReadonlySet<string> | undefined,
  found: Map<Node, ExpandRule>,
): void {
  const nodes = sortNodes(graph.nodes);
  const dependent = dependentValues(nodes, sources, stop);
  for (const node of nodes) {
    const { expand } = opRecord(node.op, node.domain);
    if (expand !== undefined && node.inputs.some((input) => dependent.has(input))) found.set(node, expand);
    for (const [, inner] of subgraphsOf(node))
      if ([...readsOf(node)].some((input) => dependent.has(input)))
        findComposites(inner, [...dependent, ...inner.inputs.map(({ name }) => name)], stop, found);
  }
}

function expanded(model: Model, rules: ReadonlyMap<Node, ExpandRule>, options: InferOptions): Model {
  const inferred = inferShapes(model, options);
  const constants = constantsOf(model.graph);
  const b = GraphBuilder.beside(model.graph);

  const inGraph = (graph: Graph, types: ReadonlyMap<string, ValueType>, path: string): Graph => ({
    ...graph,
    nodes: sortNodes(graph.nodes).flatMap((node) => {
      const rule = rules.get(node);
      if (rule !== undefined) return partsOf(node, rule, types, path);
      return [
        mapSubgraphs(node, (inner) => inGraph(inner, inferred.subgraphs.get(inner) ?? types, `${path}${node.name}/`)),
      ];
    }),
  });

  const partsOf = (
    node: Node,
    rule: ExpandRule,
    types: ReadonlyMap<string, ValueType>,
    path: string,
  ): readonly Node[] => {
    const from = b.nodes.length;
    const refuse = (why: string): never => {
      throw new UnsupportedGradientError({ ...node, name: path + node.name }, why);
    };
    const typeOf = (value: string): TensorType => {
      const type = types.get(value);
      if (type?.kind === 'tensor' && type.shape !== undefined) return type;
      return refuse(`the shape of '${value}' is not known`);
    };
    const values = rule({
      node,
      opset: opsetOf(model),
      b,
      inputs: node.inputs.map((input) => input || undefined),
      outputs: node.outputs.map((output) => output || undefined),
      type: typeOf,
      shape: (value) => typeOf(value).shape!,
      constant: (value) => (value === undefined ? undefined : constants.get(value)),
      refuse,
    });
    const parts = b.nodes.slice(from);
    node.outputs.forEach((output, index) => {
      if (output === '') return;
      const value = values[index];
      if (value === undefined) return refuse(`its output ${index} cannot be spelled out`);
      parts.push(makeNode({ name: b.fresh(`${node.name}_out`), op: 'Identity', inputs: [value], outputs: [output] }));
    });
    return parts;
  };

  const graph = inGraph(model.graph, inferred.types, '');
  return { ...model, graph: { ...graph, initializers: new Map([...graph.initializers, ...b.initializers]) } };
}
