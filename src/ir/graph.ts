/** @file Model, graph, node and attribute: plain read-only data, values referred to by name as in ONNX. */
import type { Tensor } from './tensor.js';
import type { ValueType } from './type.js';

/**
 * One operator call. `name` is unique within its graph (the reader invents names where the file has none).
 * An empty string among `inputs` or `outputs` is an omitted optional one.
 */
export interface Node {
  readonly name: string;
  readonly op: string;
  /** '' is ai.onnx. */
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  readonly doc: string;
}

/** ONNX AttributeProto. Integers are bigint so that INT64_MAX sentinels survive a round trip. */
export type Attribute =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: bigint }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'type'; readonly value: ValueType }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly bigint[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  | { readonly type: 'types'; readonly value: readonly ValueType[] }
  | { readonly type: 'sparse-tensor'; readonly value: SparseTensor }
  | { readonly type: 'sparse-tensors'; readonly value: readonly SparseTensor[] }
  /** Inside a local function: the attribute of the calling node with this name. `of` is the referred type. */
  | { readonly type: 'reference'; readonly value: string; readonly of: string };

export type Attributes = ReadonlyMap<string, Attribute>;

/** ONNX SparseTensorProto (COO). */
export interface SparseTensor {
  readonly values: Tensor;
  readonly indices: Tensor;
  readonly dims: readonly number[];
}

/** A graph's input or output. */
export interface Value {
  readonly name: string;
  readonly type: ValueType | undefined;
}

/** A graph in static single assignment form. Sub-graphs may also read values of the graphs around them. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** In topological order once `sorted()` has passed over it; a file may hold another order. */
  readonly nodes: readonly Node[];
  /** Constant values by name. A name that is also an input is that input's default (IR version 3 style). */
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly sparseInitializers: ReadonlyMap<string, SparseTensor>;
  /** Types of intermediate values, from the file or from shape inference. */
  readonly types: ReadonlyMap<string, ValueType>;
  readonly doc: string;
}

/** A model-local function (ONNX FunctionProto). */
export interface ModelFunction {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Names of attributes without a default, and those with one. */
  readonly attributes: readonly string[];
  readonly attributeDefaults: Attributes;
  readonly nodes: readonly Node[];
  readonly opsets: ReadonlyMap<string, number>;
  readonly doc: string;
}

export interface Model {
  readonly irVersion: number;
  /** Domain → version; '' is ai.onnx. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producer: { readonly name: string; readonly version: string };
  readonly domain: string;
  readonly modelVersion: bigint;
  readonly doc: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly graph: Graph;
  readonly functions: readonly ModelFunction[];
}

/** The opset that writers of new graphs use: old enough for every current runtime, new enough for axes as inputs. */
export const EMIT_OPSET = 18;
/** The newest opset and IR version that Cuttle ever writes into a new model (DESIGN §4). */
export const MAX_EMIT_OPSET = 21;
export const EMIT_IR_VERSION = 10;
/** The oldest opset that is read. */
export const MIN_OPSET = 7;

/** A node from its parts; omitted ones are empty. */
export function makeNode(parts: Pick<Node, 'name' | 'op' | 'inputs' | 'outputs'> & Partial<Node>): Node {
  return { domain: '', overload: '', attributes: new Map(), doc: '', ...parts };
}

/** A graph from its parts; omitted ones are empty. */
export function makeGraph(parts: Partial<Graph>): Graph {
  return {
    name: 'graph',
    inputs: [],
    outputs: [],
    nodes: [],
    initializers: new Map(),
    sparseInitializers: new Map(),
    types: new Map(),
    doc: '',
    ...parts,
  };
}

/** A model around a graph, stamped with Cuttle as producer; omitted parts take today's defaults. */
export function makeModel(graph: Graph, parts: Partial<Model> = {}): Model {
  return {
    irVersion: EMIT_IR_VERSION,
    opsets: new Map([['', EMIT_OPSET]]),
    producer: { name: 'cuttle', version: '' },
    domain: '',
    modelVersion: 0n,
    doc: '',
    metadata: new Map(),
    functions: [],
    ...parts,
    graph,
  };
}

/** The operator-set version that a domain's nodes are read under (ai.onnx when omitted); 0 where not imported. */
export function opsetOf(model: Pick<Model, 'opsets'>, domain = ''): number {
  return model.opsets.get(domain) ?? (domain === 'ai.onnx' ? opsetOf(model, '') : 0);
}

/** Inputs that a caller must feed: those that no initializer gives a default. */
export function requiredInputs(graph: Graph): readonly Value[] {
  return graph.inputs.filter((input) => !graph.initializers.has(input.name));
}
