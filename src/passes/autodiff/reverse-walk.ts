/** @file The reverse walk over the nodes of one graph: asks their gradient rules and sums what flows into each value. */
import {
  capturesOf,
  type GraphBuilder,
  isFloat,
  makeNode,
  opsetOf,
  sortNodes,
  subgraphsOf,
  symbolsOf,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type TensorType,
  type ValueType,
} from '../../ir/index.js';
import {
  gradientNotes,
  opKey,
  opRecord,
  UnsupportedGradientError,
  UnsupportedOpError,
  type ExecutionProfile,
  type SubgraphGradients,
  type SubgraphRequest,
  type VjpContext,
} from '../../ops/index.js';
import { dependentValues } from '../dependent-values.js';
import { carriesQuantised } from '../quantised-values.js';
import { chosenFormulation, type ChooseFormulation } from '../formulations.js';

/** What a walk knows of the graph that it walks over and of those around it. */
export interface WalkScope {
  readonly model: Pick<Model, 'opsets'>;
  readonly profile: ExecutionProfile;
  readonly choose: ChooseFormulation | undefined;
  /** Values through which no gradient flows. */
  readonly stop: ReadonlySet<string>;
  /** Types of all visible values; what forward nodes give in addition is added. */
  readonly types: Map<string, ValueType>;
  /** Types inside each sub-graph. */
  readonly subgraphTypes: ReadonlyMap<Graph, ReadonlyMap<string, ValueType>>;
  readonly constants: ReadonlyMap<string, Tensor>;
  /** Values that depend on one whose gradient is wanted. */
  readonly onPath: ReadonlySet<string>;
  /** Integers that stand for real numbers. */
  readonly quantised?: ReadonlySet<string>;
  readonly isUnshared: (value: string) => boolean;
  /** Names of the nodes around, each with a slash, for messages. */
  readonly path: string;
}

/** A forward node that was replaced, so that its backward part finds what it needs. */
export interface ForwardChange {
  readonly old: Node;
  readonly node: Node;
  readonly reason: string;
}

export interface Walked {
  /** The given nodes, replaced ones in their places. */
  readonly nodes: readonly Node[];
  readonly changes: readonly ForwardChange[];
  /** Every value to which a gradient flows, with it. */
  readonly gradients: ReadonlyMap<string, string>;
}

/**
 * Walks topologically sorted nodes from the last to the first and emits their backward nodes into `b`. `seeds` are gradients that
 * flow in from outside. Contract: nothing is emitted where no wanted value lies upstream. Throws UnsupportedOpError for an
 * operator without a rule on such a path, UnsupportedGradientError where a rule refuses.
 */
export function walkBack(
  nodes: readonly Node[],
  scope: WalkScope,
  b: GraphBuilder,
  seeds: Iterable<readonly [value: string, gradient: string]>,
): Walked {
  const parts = new Map<string, string[]>();
  const changes = new Map<Node, ForwardChange>();

  const isWanted = (value: string): boolean =>
    scope.onPath.has(value) && (isDifferentiable(scope.types.get(value)) || isQuantised(value));
  const isQuantised = (value: string): boolean => scope.quantised?.has(value) === true;
  const add = (value: string, gradient: string): void => {
    if (!isWanted(value)) return;
    const known = parts.get(value);
    if (known) known.push(gradient);
    else parts.set(value, [gradient]);
  };

  /** The sum of what every consumer contributed; formed once, when all of them have been visited. */
  const gradientOf = (value: string): string | undefined => {
    const found = parts.get(value);
    if (found === undefined) return undefined;
    if (found.length > 1) parts.set(value, [b.op(found.length === 2 ? 'Add' : 'Sum', found, {}, { name: 'grad_sum' })]);
    return parts.get(value)![0];
  };

  const visit = (node: Node): void => {
    if (!node.outputs.some((output) => parts.has(output))) return;
    const captures = subgraphsOf(node).flatMap(([, subgraph]) => [...capturesOf(subgraph)]);
    if (![...node.inputs, ...captures].some(isWanted)) return;
    const opset = opsetOf(scope.model, node.domain);
    const { vjp } = opRecord(node.op, node.domain);
    if (vjp === undefined) refuseOperator(named(node, scope), opset);
    if (node.inputs.some(isQuantised) && !carriesQuantised(node))
      throw new UnsupportedGradientError(named(node, scope), 'it works on quantised values: dequantise them before it');
    const context = contextOf(node, opset);
    vjp(context).forEach((gradient, index) => {
      const input = node.inputs[index];
      if (gradient !== undefined && input) add(input, gradient);
    });
  };

  const contextOf = (node: Node, opset: number): VjpContext => {
    const typeOf = typeIn(node, scope, scope.types);
    const current = (): Node => changes.get(node)?.node ?? node;
    const change = (changed: Node, types: ReadonlyMap<string, ValueType>, reason: string): void => {
      changes.set(node, { old: node, node: changed, reason });
      for (const [name, type] of types) scope.types.set(name, type);
    };
    return {
      node,
      opset,
      profile: scope.profile,
      b,
      inputs: node.inputs.map((input) => input || undefined),
      outputs: node.outputs.map((output) => output || undefined),
      grads: node.outputs.map((output) => (output === '' ? undefined : gradientOf(output))),
      wants: (i) => isWanted(node.inputs[i] ?? ''),
      type: typeOf,
      shape: (value) => typeOf(value).shape!,
      constant: (value) => (value === undefined ? undefined : scope.constants.get(value)),
      isUnshared: scope.isUnshared,
      choose: (what, input, candidates, preferred) =>
        chosenFormulation(scope.choose, { what, node, opset, input }, typeOf, candidates, preferred),
      output: (i, type) => {
        const known = current().outputs[i];
        if (known) return known;
        const name = b.fresh(`${node.name}_out${i}`);
        const outputs = Array.from({ length: Math.max(i + 1, current().outputs.length) }, (_, index) =>
          index === i ? name : (current().outputs[index] ?? ''),
        );
        change({ ...current(), outputs }, new Map([[name, type]]), `give output ${i}, which the backward pass reads`);
        return name;
      },
      replace: change,
      dependents: (graph, inputs) => dependentValues(sortNodes(graph.nodes), [...scope.onPath, ...inputs], scope.stop),
      differentiate: (graph, request) => differentiate(node, graph, request, scope),
      contribute: add,
      refuse: (why) => {
        throw new UnsupportedGradientError(named(node, scope), why);
      },
    };
  };

  for (const [value, gradient] of seeds) add(value, gradient);
  for (let index = nodes.length - 1; index >= 0; index--) visit(nodes[index]!);
  return {
    nodes: nodes.map((node) => changes.get(node)?.node ?? node),
    changes: [...changes.values()],
    gradients: new Map([...parts.keys()].map((value) => [value, gradientOf(value)!])),
  };
}

/** The walk over a sub-graph of `owner`. */
function differentiate(owner: Node, graph: Graph, request: SubgraphRequest, outer: WalkScope): SubgraphGradients {
  const nodes = sortNodes(graph.nodes);
  const types = new Map(outer.subgraphTypes.get(graph) ?? outer.types);
  const scope: WalkScope = {
    ...outer,
    types,
    onPath: dependentValues(nodes, [...outer.onPath, ...request.inputs], outer.stop),
    isUnshared: () => false,
    path: `${outer.path}${owner.name}/`,
  };
  const seeds = graph.outputs.flatMap(({ name }, index): (readonly [string, string])[] => {
    const seed = request.seeds[index];
    return seed === undefined ? [] : [[name, seed]];
  });
  const walked = walkBack(nodes, scope, request.b, seeds);
  const made = new Set(nodes.flatMap((node) => node.outputs));
  let outside: ReadonlySet<string> | undefined;
  return {
    forward: { ...graph, nodes: walked.nodes },
    gradients: new Map([...walked.gradients].filter(([value]) => !made.has(value))),
    type: typeIn(owner, outer, types),
    isSteady: (dim) =>
      dim !== null && symbolsOf(dim).every((symbol) => (outside ??= symbolsIn(outer.types.values())).has(symbol)),
  };
}

/** Every symbol in the dims of some types. */
function symbolsIn(types: Iterable<ValueType>): ReadonlySet<string> {
  const symbols = new Set<string>();
  for (const type of types)
    if (type.kind === 'tensor')
      for (const dim of type.shape ?? []) for (const symbol of symbolsOf(dim)) symbols.add(symbol);
  return symbols;
}

function typeIn(node: Node, scope: WalkScope, types: ReadonlyMap<string, ValueType>): (value: string) => TensorType {
  return (value) => {
    const type = types.get(value);
    if (type?.kind === 'tensor' && type.shape !== undefined) return type;
    const why =
      type === undefined || type.kind === 'tensor'
        ? `the shape of '${value}' is not known`
        : `'${value}' is a ${type.kind}`;
    throw new UnsupportedGradientError(named(node, scope), why);
  };
}

/** The node under the name that messages show: with those of the nodes around its graph. */
function named(node: Node, { path }: WalkScope): Node {
  return path === '' ? node : makeNode({ ...node, name: path + node.name });
}

/** Gradients flow through floating-point numbers, also where they stand in a sequence; what has no type yet may hold some. */
function isDifferentiable(type: ValueType | undefined): boolean {
  switch (type?.kind) {
    case undefined:
      return true;
    case 'tensor':
    case 'sparse-tensor':
      return isFloat(type.dtype);
    case 'sequence':
    case 'optional':
      return isDifferentiable(type.element);
    case 'map':
      return isDifferentiable(type.value);
  }
}

/** Refuses an operator without a rule, with the reason where one is on record. */
function refuseOperator(node: Node, opset: number): never {
  const note = gradientNotes[opKey(node.op, node.domain)];
  const advice = 'Freeze the parameters upstream of this node, or add a gradient rule (docs/extending-operators.md).';
  throw new UnsupportedOpError(node, opset, 'gradient', note === undefined ? advice : `${node.op}: ${note}. ${advice}`);
}
