/** @file Reverse-mode differentiation, graph → graph: a reverse walk over the operators' gradient rules. */
import {
  capturesOf,
  constantTensor,
  consumersOf,
  CuttleError,
  EMIT_OPSET,
  GraphBuilder,
  isFloat,
  opsetOf,
  readsOf,
  sortNodes,
  subgraphsOf,
  Tensor,
  type Graph,
  type Model,
  type Node,
  type TensorType,
} from '../ir/index.js';
import {
  gradientNotes,
  opRecord,
  UnsupportedGradientError,
  UnsupportedOpError,
  type ExecutionProfile,
  type VjpContext,
} from '../ops/index.js';
import { inferShapes, type InferOptions } from './infer-shapes.js';

export interface GradientOptions extends InferOptions {
  /** Formulation of the backward nodes; `cpu` where omitted. */
  readonly profile?: ExecutionProfile;
  /** Values that count as constants: no gradient flows into what they are computed from. */
  readonly stop?: ReadonlySet<string>;
}

/** A model of an opset older than the one that gradient rules read and write. Exit code 4. */
export class OpsetTooOldError extends CuttleError {
  constructor(version: number) {
    super(
      'unsupported',
      'passes/opset',
      `gradients need opset ${EMIT_OPSET} or newer, but the model has opset ${version}`,
      {
        hint: 'Upgrade the model first (upgradeOpset).',
      },
    );
  }
}

export interface Gradients {
  /** The forward graph with the backward nodes appended; inputs and outputs are as before. */
  readonly graph: Graph;
  /** For each requested value, the value that holds its gradient; `undefined` where the loss does not depend on it. */
  readonly gradients: ReadonlyMap<string, string | undefined>;
}

/**
 * Appends to a model's graph the gradients of the scalar `loss` with respect to each of `wrt` (any values: inputs,
 * initializers, intermediate ones). Emits only ordinary ai.onnx operators.
 * Contract: requires opset ≥ EMIT_OPSET (see the upgrade pass) and every value on a path from `wrt` to `loss` typed;
 * ensures that no forward value changes and that nothing is emitted where no gradient is needed.
 * Throws OpsetTooOldError, UnsupportedOpError for an operator without a gradient rule on such a path, UnsupportedGradientError where a rule refuses.
 */
export function appendGradients(
  model: Model,
  loss: string,
  wrt: readonly string[],
  options: GradientOptions = {},
): Gradients {
  const version = opsetOf(model);
  if (version < EMIT_OPSET) throw new OpsetTooOldError(version);
  const { types } = inferShapes(model, options);
  const nodes = sortNodes(model.graph.nodes);
  const onPath = dependentValues(nodes, wrt, options.stop);
  const b = GraphBuilder.beside(model.graph);
  const constants = constantsOf(model.graph);
  const readers = consumersOf(model.graph);
  const parts = new Map<string, string[]>();

  /** The sum of what every consumer contributed; formed once, when all of them have been visited. */
  const gradientOf = (value: string): string | undefined => {
    const found = parts.get(value);
    if (found === undefined) return undefined;
    if (found.length > 1)
      parts.set(value, [
        found.length === 2
          ? b.op('Add', found, {}, { name: 'grad_sum' })
          : b.op('Sum', found, {}, { name: 'grad_sum' }),
      ]);
    return parts.get(value)![0];
  };

  const visit = (node: Node): void => {
    if (!node.outputs.some((output) => parts.has(output))) return;
    const wants = node.inputs.map((input) => onPath.has(input) && isDifferentiable(input));
    for (const [, subgraph] of subgraphsOf(node))
      for (const name of capturesOf(subgraph))
        if (onPath.has(name) && isDifferentiable(name)) refuseOperator(node, opsetOf(model, node.domain));
    if (!wants.includes(true)) return;
    const opset = opsetOf(model, node.domain);
    const { vjp } = opRecord(node.op, node.domain);
    if (vjp === undefined) refuseOperator(node, opset);
    const typeOf = (value: string): TensorType => {
      const type = types.get(value);
      if (type?.kind === 'tensor' && type.shape !== undefined) return type;
      throw new UnsupportedGradientError(node, `the shape of '${value}' is not known`);
    };
    const context: VjpContext = {
      node,
      opset,
      profile: options.profile ?? 'cpu',
      b,
      inputs: node.inputs.map((input) => input || undefined),
      outputs: node.outputs.map((output) => output || undefined),
      grads: node.outputs.map((output) => (output === '' ? undefined : gradientOf(output))),
      wants: (i) => wants[i] ?? false,
      type: typeOf,
      shape: (value) => typeOf(value).shape!,
      constant: (value) => (value === undefined ? undefined : constants.get(value)),
      isUnshared: (value) => (readers.get(value)?.length ?? 0) <= 1 && !hasTwin(constants, value),
      refuse: (why) => {
        throw new UnsupportedGradientError(node, why);
      },
    };
    vjp(context).forEach((gradient, index) => {
      const input = node.inputs[index];
      if (gradient === undefined || !input || !wants[index]) return;
      const known = parts.get(input);
      if (known) known.push(gradient);
      else parts.set(input, [gradient]);
    });
  };

  const isDifferentiable = (value: string): boolean => {
    const type = types.get(value);
    return type === undefined || (type.kind === 'tensor' && isFloat(type.dtype));
  };

  const lossType = types.get(loss);
  const lossDtype = lossType?.kind === 'tensor' && lossType.dtype === 'float64' ? 'float64' : 'float32';
  // The seed has the loss's own shape where it is known: a loss of shape [1] or [1, 1] is a scalar in all but rank.
  const seedDims =
    lossType?.kind === 'tensor' && lossType.shape?.every((dim) => dim === 1) ? lossType.shape.map(() => 1) : [];
  if (onPath.has(loss)) parts.set(loss, [b.constant(Tensor.of(lossDtype, seedDims, [1]), 'grad_seed')]);
  for (let index = nodes.length - 1; index >= 0; index--) visit(nodes[index]!);

  const gradients = new Map(wrt.map((value) => [value, gradientOf(value)]));
  return {
    graph: {
      ...model.graph,
      nodes: [...nodes, ...b.nodes],
      initializers: new Map([...model.graph.initializers, ...b.initializers]),
      types: new Map([...model.graph.types, ...types]),
    },
    gradients,
  };
}

/** Refuses an operator without a rule, with the reason where one is on record. */
function refuseOperator(node: Node, opset: number): never {
  const note = node.domain === '' ? gradientNotes[node.op] : undefined;
  const advice = 'Freeze the parameters upstream of this node, or add a gradient rule (docs/extending-operators.md).';
  throw new UnsupportedOpError(node, opset, 'gradient', note === undefined ? advice : `${node.op}: ${note}. ${advice}`);
}

/** Every value that depends on one of `sources`, the sources included, sub-graph captures followed, not through a value of `stop`. */
function dependentValues(
  nodes: readonly Node[],
  sources: readonly string[],
  stop: ReadonlySet<string> = new Set(),
): ReadonlySet<string> {
  const dependent = new Set(sources);
  for (const node of nodes)
    if ([...readsOf(node)].some((input) => dependent.has(input)))
      for (const output of node.outputs) if (output !== '' && !stop.has(output)) dependent.add(output);
  return dependent;
}

/** Whether another constant has the same type, dims and bytes as the constant `value`. */
function hasTwin(constants: ReadonlyMap<string, Tensor>, value: string): boolean {
  const own = constants.get(value);
  if (own === undefined) return false;
  for (const [name, other] of constants)
    if (
      name !== value &&
      other.dtype === own.dtype &&
      other.dims.join() === own.dims.join() &&
      other.bytes.every((byte, i) => byte === own.bytes[i])
    )
      return true;
  return false;
}

/** Initializers (those that are not inputs) and Constant nodes by value name. */
function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map(graph.initializers);
  for (const input of graph.inputs) constants.delete(input.name);
  for (const node of graph.nodes)
    if (node.op === 'Constant' && node.domain === '') {
      const tensor = constantTensor(node);
      if (tensor) constants.set(node.outputs[0]!, tensor);
    }
  return constants;
}
