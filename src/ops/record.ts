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

/** What a gradient rule (vector–Jacobian product) sees and may emit. */
export interface VjpContext {
  readonly node: Node;
  readonly opset: number;
  readonly profile: ExecutionProfile;
  /** Emits the backward nodes; anything it emits must be an ordinary operator of ai.onnx. */
  readonly b: GraphBuilder;
  /** Names of the node's inputs and outputs; `undefined` where omitted. */
  readonly inputs: readonly (string | undefined)[];
  readonly outputs: readonly (string | undefined)[];
  /** Gradients of the loss with respect to the outputs; `undefined` where none flows back. */
  readonly grads: readonly (string | undefined)[];
  /** Whether anybody needs the gradient of input `i`; a rule skips the work where not. */
  wants(i: number): boolean;
  /** Type of any forward value. Throws UnsupportedGradientError where shape inference found none. */
  type(value: string): TensorType;
  /** Shape of any forward value; throws like `type`. */
  shape(value: string): Shape;
  /** A forward value's constant content, where it has one. */
  constant(value: string | undefined): Tensor | undefined;
  /**
   * Whether nothing else reads a value, and, where it is a constant, no other constant has the same content: ORT merges
   * equal constants, and some kernels write over their inputs.
   */
  isUnshared(value: string): boolean;
  /** Refuses this node by name. `why` completes "the gradient of … cannot be formed: ". */
  refuse(why: string): never;
}

/** Gradients for the inputs in order; `undefined` where not wanted or zero everywhere (integers, indices). */
export type VjpRule = (context: VjpContext) => readonly (string | undefined)[];

export interface OpRecord {
  readonly op: string;
  /** '' is ai.onnx. */
  readonly domain: string;
  readonly infer: InferRule | undefined;
  readonly cost: CostRule | undefined;
  readonly vjp: VjpRule | undefined;
}
