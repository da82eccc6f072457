/** @file Replaces operators that are differentiated by their parts by these parts. */
import { GraphBuilder, makeNode, opsetOf, sortNodes, type Model, type Node, type TensorType } from '../ir/index.js';
import { opRecord, UnsupportedGradientError, type EmitContext, type ExpandRule } from '../ops/index.js';
import { constantsOf, dependentValues } from './dependent-values.js';
import { inferShapes, type InferOptions } from './infer-shapes.js';

/** A part may be a composite itself (EmbedLayerNormalization holds a LayerNormalization); none goes deeper. */
const MAX_ROUNDS = 8;

export interface ExpandOptions extends InferOptions {
  readonly stop?: ReadonlySet<string>;
}

/**
 * The same model with every composite node that lies between `wrt` and the outputs spelled out in plainer operators
 * (Attention in MatMul and Softmax). The nodes' outputs keep their names. Nodes inside sub-graphs stay.
 * Contract: requires what the rules need to be typed; ensures equal outputs up to rounding.
 * Throws UnsupportedGradientError where a rule refuses a node.
 */
export function expandComposites(model: Model, wrt: readonly string[], options: ExpandOptions = {}): Model {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const nodes = sortNodes(model.graph.nodes);
    const dependent = dependentValues(nodes, wrt, options.stop);
    const rules = new Map<Node, ExpandRule>();
    for (const node of nodes) {
      const { expand } = opRecord(node.op, node.domain);
      if (expand !== undefined && node.inputs.some((input) => dependent.has(input))) rules.set(node, expand);
    }
    if (rules.size === 0) return model;
    model = expanded(model, nodes, rules, options);
  }
  return model;
}

function expanded(
  model: Model,
  nodes: readonly Node[],
  rules: ReadonlyMap<Node, ExpandRule>,
  options: InferOptions,
): Model {
  const { graph } = model;
  const { types } = inferShapes(model, options);
  const constants = constantsOf(graph);
  const names = GraphBuilder.beside(graph);
  const result = nodes.flatMap((node) => {
    const rule = rules.get(node);
    if (rule === undefined) return [node];
    const b = names;
    const from = b.nodes.length;
    const typeOf = (value: string): TensorType => {
      const type = types.get(value);
      if (type?.kind === 'tensor' && type.shape !== undefined) return type;
      throw new UnsupportedGradientError(node, `the shape of '${value}' is not known`);
    };
    const context: EmitContext = {
      node,
      opset: opsetOf(model),
      b,
      inputs: node.inputs.map((input) => input || undefined),
      outputs: node.outputs.map((output) => output || undefined),
      type: typeOf,
      shape: (value) => typeOf(value).shape!,
      constant: (value) => (value === undefined ? undefined : constants.get(value)),
      refuse: (why) => {
        throw new UnsupportedGradientError(node, why);
      },
    };
    const values = rule(context);
    const parts = b.nodes.slice(from);
    node.outputs.forEach((output, index) => {
      if (output === '') return;
      const value = values[index];
      if (value === undefined) return context.refuse(`its output ${index} cannot be spelled out`);
      parts.push(makeNode({ name: b.fresh(`${node.name}_out`), op: 'Identity', inputs: [value], outputs: [output] }));
    });
    return parts;
  });
  return {
    ...model,
    graph: { ...graph, nodes: result, initializers: new Map([...graph.initializers, ...names.initializers]) },
  };
}
