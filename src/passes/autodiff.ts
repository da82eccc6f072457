/** @file Reverse-mode differentiation, graph → graph: a reverse walk over the operators' gradient rules. */
import {
  consumersOf,
  CuttleError,
  EMIT_OPSET,
  GraphBuilder,
  opsetOf,
  sortNodes,
  Tensor,
  type Graph,
  type Model,
  type ValueType,
} from '../ir/index.js';
import type { ExecutionProfile } from '../ops/index.js';
import { walkBack, type ForwardChange } from './autodiff/reverse-walk.js';
import { constantsOf, dependentValues } from './dependent-values.js';
import { expandComposites } from './expand-composites.js';
import type { ChooseFormulation } from './formulations.js';
import { inferShapes, type InferOptions } from './infer-shapes.js';
import { liftConstants } from './lift-constants.js';
import { quantisedValues } from './quantised-values.js';
import { resolveBranches } from './resolve-branches.js';

export interface GradientOptions extends InferOptions {
  /** Formulation of the backward nodes; `cpu` where omitted. */
  readonly profile?: ExecutionProfile;
  /** Decides between formulations; the rules' own preferences where omitted. */
  readonly choose?: ChooseFormulation;
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
  /** Nodes of the forward graph that give further outputs for the backward nodes to read, each with the reason. */
  readonly changes: readonly ForwardChange[];
}

/**
 * Appends to a model's graph the gradients of the scalar `loss` with respect to each of `wrt` (any values of the main graph: inputs,
 * initializers, intermediate ones; also constants of sub-graphs, by name). Emits only ordinary ai.onnx operators.
 * The forward part stays as it is, apart from this: a node whose operator is differentiated by its parts stands spelled out; constants of
 * sub-graphs are initializers of the main graph; an If whose condition follows from constants and shapes is the branch taken;
 * If, Loop, Scan and recurrent nodes give further outputs (`changes`).
 * Contract: requires opset ≥ EMIT_OPSET (see the upgrade pass), local functions inlined, and every value on a path from `wrt` to `loss` typed;
 * ensures that forward values stay the same up to rounding and that nothing is emitted where no gradient is needed.
 * Throws OpsetTooOldError, UnsupportedOpError for an operator without a gradient rule on such a path, UnsupportedGradientError where a rule refuses.
 */
export function appendGradients(
  given: Model,
  loss: string,
  wrt: readonly string[],
  options: GradientOptions = {},
): Gradients {
  const version = opsetOf(given);
  if (version < EMIT_OPSET) throw new OpsetTooOldError(version);
  const flat = liftConstants(resolveBranches(given, options).model).model;
  const model = expandComposites(flat, wrt, options);
  const { graph } = model;
  const inferred = inferShapes(model, options);
  const types = new Map(inferred.types);
  const nodes = sortNodes(graph.nodes);
  const b = GraphBuilder.beside(graph);
  const constants = constantsOf(graph);
  const readers = consumersOf(graph);
  const onPath = dependentValues(nodes, wrt, options.stop);
  const seed = onPath.has(loss) ? [[loss, seedOf(b, types.get(loss))] as const] : [];
  const walked = walkBack(
    nodes,
    {
      model,
      profile: options.profile ?? 'cpu',
      choose: options.choose,
      stop: options.stop ?? new Set(),
      types,
      subgraphTypes: inferred.subgraphs,
      constants,
      onPath,
      quantised: quantisedValues(nodes, onPath, types),
      isUnshared: (value) => (readers.get(value)?.length ?? 0) <= 1 && !hasTwin(constants, value),
      path: '',
    },
    b,
    seed,
  );
  return {
    graph: {
      ...graph,
      nodes: [...walked.nodes, ...b.nodes],
      initializers: new Map([...graph.initializers, ...b.initializers]),
      types: new Map([...graph.types, ...types]),
    },
    gradients: new Map(wrt.map((value) => [value, walked.gradients.get(value)])),
    changes: walked.changes,
  };
}

/** The gradient of the loss by itself, in its own shape where that is known: a loss of shape [1] or [1, 1] is a scalar in all but rank. */
function seedOf(b: GraphBuilder, type: ValueType | undefined): string {
  const tensor = type?.kind === 'tensor' ? type : undefined;
  const dims = tensor?.shape?.every((dim) => dim === 1) ? tensor.shape.map(() => 1) : [];
  return b.constant(Tensor.of(tensor?.dtype === 'float64' ? 'float64' : 'float32', dims, [1]), 'grad_seed');
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
