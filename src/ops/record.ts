/** @file What Cuttle knows of an operator: its shape rule, its cost and its gradient, each one function. */
import type { Dim, Graph, GraphBuilder, Node, Shape, Tensor, TensorType, ValueType } from '../ir/index.js';

/** What a shape rule sees. Inputs are in the node's order; an omitted or unknown one is `undefined`. */
export interface InferContext {
  readonly node: Node;
  /** Version of the node's domain. */
  readonly opset: number;
  readonly inputs: readonly (ValueType | undefined)[];
  /** Input `i` as a constant, where it is one. */
  constant(i: number): Tensor | undefined;
  /**
   * Input `i` as a list of dims, where it is a small integer tensor whose elements are known or symbolic:
   * how `Shape → Gather → Concat → Reshape` keeps its symbols. A scalar is a list of one.
   */
  dims(this: void, i: number): readonly Dim[] | undefined;
  /** Types of a sub-graph's outputs, given the types of its inputs; it sees the surrounding values. */
  subgraph(this: void, graph: Graph, inputs: readonly (ValueType | undefined)[]): readonly (ValueType | undefined)[];
  /** A symbol that no other value of the graph bears, for data-dependent dims (NonZero, Loop counts). */
  symbol(this: void, stem: string): string;
}

/** Types of the outputs in order, and the contents of integer outputs that later shape rules may want to read. */
export interface InferResult {
  readonly types: readonly (ValueType | undefined)[];
  readonly dims?: readonly (readonly Dim[] | undefined)[];
}

export type InferRule = (context: InferContext) => InferResult;

/** What a cost rule sees: all dims are numbers here. */
export interface CostContext {
  readonly node: Node;
  readonly opset: number;
  readonly inputs: readonly (StaticTensorType | undefined)[];
  readonly outputs: readonly (StaticTensorType | undefined)[];
}

export interface StaticTensorType extends TensorType {
  readonly shape: readonly number[];
}

/** Arithmetic work of one execution. */
export interface Cost {
  /** Multiply–accumulates of the convolution / matrix-product kind: what papers call MACs. */
  readonly macs: number;
  /** Other floating-point operations (additions, comparisons, exponentials), one each. */
  readonly flops: number;
}

export type CostRule = (context: CostContext) => Cost;

/** Which formulation of a gradient is fastest differs per execution provider. */
export type ExecutionProfile = 'cpu' | 'wasm' | 'webgpu';

/** What every rule that emits nodes sees. */
export interface EmitContext {
  readonly node: Node;
  readonly opset: number;
  /** Emits nodes. */
  readonly b: GraphBuilder;
  /** Names of the node's inputs and outputs; `undefined` where omitted. */
  readonly inputs: readonly (string | undefined)[];
  readonly outputs: readonly (string | undefined)[];
  /** Type of any forward value. Throws UnsupportedGradientError where shape inference found none. */
  type(value: string): TensorType;
  /** Shape of any forward value; throws like `type`. */
  shape(value: string): Shape;
  /** A forward value's constant content, where it has one. */
  constant(value: string | undefined): Tensor | undefined;
  /** Refuses this node by name. `why` completes "the gradient of … cannot be formed: ". */
  refuse(why: string): never;
}

/** What a gradient rule (vector–Jacobian product) sees; anything it emits must be an ordinary operator of ai.onnx. */
export interface VjpContext extends EmitContext {
  readonly profile: ExecutionProfile;
  /** Gradients of the loss with respect to the outputs; `undefined` where none flows back. */
  readonly grads: readonly (string | undefined)[];
  /** Whether anybody needs the gradient of input `i`; a rule skips the work where not. */
  wants(i: number): boolean;
  /**
   * Whether nothing else reads a value, and, where it is a constant, no other constant has the same content: ORT merges
   * equal constants, and some kernels write over their inputs.
   */
  isUnshared(value: string): boolean;
  /**
   * Which of several formulations of the gradient of input `i` to emit: a tuner's choice where one measured them on the
   * device, otherwise `preferred`. `what` names the decision.
   */
  choose<Name extends string>(what: string, i: number, candidates: readonly Name[], preferred: Name): Name;
  /**
   * The name of output `i` of the forward node, for a rule that needs what the model omits: an unnamed output gets a name,
   * and the forward node gives it from then on. `type` is that of the output.
   */
  output(i: number, type: TensorType): string;
  /**
   * Replaces the forward node by one with the same first outputs and the same function; `types` are those of further outputs.
   * `reason` says why, in words.
   */
  replace(node: Node, types: ReadonlyMap<string, TensorType>, reason: string): void;
  /** For nodes with sub-graphs: the values of a sub-graph that depend on wanted values around it or on its `inputs`. */
  dependents(graph: Graph, inputs: Iterable<string>): ReadonlySet<string>;
  /** Differentiates a sub-graph of this node. */
  differentiate(graph: Graph, request: SubgraphRequest): SubgraphGradients;
  /** Adds to the gradient of a value that is no input of the node but captured by a sub-graph. */
  contribute(value: string, gradient: string): void;
}

/** What is to be differentiated of a sub-graph. */
export interface SubgraphRequest {
  /** Takes the backward nodes: a builder nested in the rule's own. They read forward values of the sub-graph by name. */
  readonly b: GraphBuilder;
  /** Gradients of the sub-graph's outputs, by position. */
  readonly seeds: readonly (string | undefined)[];
  /** Inputs of the sub-graph whose gradient is wanted, besides captured values. */
  readonly inputs: Iterable<string>;
}

/** Gradients of one sub-graph. */
export interface SubgraphGradients {
  /** The sub-graph as it was, apart from nodes inside that now give further outputs. */
  readonly forward: Graph;
  /** Of the requested inputs and of wanted captured values, those to which a gradient flows. */
  readonly gradients: ReadonlyMap<string, string>;
  /** Type of a value of the sub-graph; throws like the context's. */
  type(value: string): TensorType;
  /** Whether a dim inside the sub-graph is the same whenever that runs: known from outside. */
  isSteady(this: void, dim: Dim): boolean;
}

/** Gradients for the inputs in order; `undefined` where not wanted or zero everywhere (integers, indices). */
export type VjpRule = (context: VjpContext) => readonly (string | undefined)[];

/**
 * The same function spelled out in plainer operators, for operators whose gradient is that of their parts. Gives the
 * values that equal the node's outputs in order; an output that the node does not name may be left out.
 */
export type ExpandRule = (context: EmitContext) => readonly (string | undefined)[];

export interface OpRecord {
  readonly op: string;
  /** '' is ai.onnx. */
  readonly domain: string;
  readonly infer: InferRule | undefined;
  readonly cost: CostRule | undefined;
  readonly vjp: VjpRule | undefined;
  /** Differentiation replaces the node by this; an operator has either this or `vjp`. */
  readonly expand: ExpandRule | undefined;
}
