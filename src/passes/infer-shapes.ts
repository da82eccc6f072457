/** @file Shape inference: a walk over the operators' shape rules. */
import {
  constantTensor,
  opsetOf,
  sizeOf,
  sortNodes,
  symbolsOf,
  tensorType,
  type DataType,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueType,
} from '../ir/index.js';
import { opRecord, UnsupportedOpError, type InferContext } from '../ops/index.js';
import { functionCalls } from './inline-functions.js';
import { smallMatrix, type SmallMatrix } from './small-matrices.js';

/** Contents of up to this many elements are followed symbolically. */
const MAX_FOLLOWED_DIMS = 64;

/**
 * Longest constants whose contents are followed. Floats are the scales by which older exporters compute sizes
 * (Shape → Cast → Mul → Floor → Cast → Resize), so there are few of them.
 */
const FOLLOWED: Readonly<Partial<Record<DataType, number>>> = {
  int64: MAX_FOLLOWED_DIMS,
  int32: MAX_FOLLOWED_DIMS,
  bool: MAX_FOLLOWED_DIMS,
  float32: 8,
  float64: 8,
};

export interface InferOptions {
  /** Types that replace those of graph inputs (a concrete batch, a declared rank). */
  readonly inputTypes?: ReadonlyMap<string, ValueType>;
  /** What to do with an operator without a shape rule: refuse it (default), or leave its outputs untyped. */
  readonly unknownOps?: 'refuse' | 'skip';
}

/** Every value's type, and the known contents of small integer values. */
export interface InferredTypes {
  readonly types: ReadonlyMap<string, ValueType>;
  readonly dims: ReadonlyMap<string, readonly Dim[]>;
  /** Types inside each sub-graph (If, Loop, Scan bodies), those of the surrounding values included. */
  readonly subgraphs: ReadonlyMap<Graph, ReadonlyMap<string, ValueType>>;
  /** Known contents inside each sub-graph, likewise. */
  readonly subgraphDims: ReadonlyMap<Graph, ReadonlyMap<string, readonly Dim[]>>;
}

interface Scope {
  /** Names of the nodes around a sub-graph, each with a slash: messages show where a node stands. */
  readonly path: string;
  /** Operator sets of the model, or of the local function whose nodes are walked. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly types: Map<string, ValueType>;
  readonly dims: Map<string, readonly Dim[]>;
  readonly constants: Map<string, Tensor>;
}

/**
 * Types of all values of a model's main graph, with symbolic dims kept. Types stated in the file fill in where a rule
 * finds none. Calls of local functions are followed into them. Contract: requires single assignment; changes nothing.
 * Throws UnsupportedOpError for an operator without a rule (unless skipped), ShapeError where inputs do not fit,
 * InvalidGraphError for a function that calls itself.
 */
export function inferShapes(model: Model, options: InferOptions = {}): InferredTypes {
  const callOf = functionCalls(model);
  const fresh = freshSymbols(model.graph, options);
  const subgraphs = new Map<Graph, ReadonlyMap<string, ValueType>>();
  const subgraphDims = new Map<Graph, ReadonlyMap<string, readonly Dim[]>>();
  // Before IR version 4 every initializer had to be listed among the inputs; there that is no offer to replace it.
  const overridable = (graph: Graph): ReadonlySet<string> =>
    new Set(model.irVersion < 4 ? [] : graph.inputs.map((input) => input.name));
  const refuse = options.unknownOps !== 'skip';
  const walk = (graph: Graph, scope: Scope, given: readonly (ValueType | undefined)[] | undefined): void => {
    graph.inputs.forEach((input, index) => {
      const type = given?.[index] ?? options.inputTypes?.get(input.name) ?? input.type;
      if (type) scope.types.set(input.name, type);
    });
    const inputs = overridable(graph);
    for (const [name, tensor] of graph.initializers) {
      const type = inputs.has(name) ? options.inputTypes?.get(name) : undefined;
      setConstant(scope, name, tensor, !inputs.has(name));
      if (type) scope.types.set(name, type);
    }
    for (const [name, { values, dims }] of graph.sparseInitializers)
      scope.types.set(name, tensorType(values.dtype, dims));
    for (const node of sortNodes(graph.nodes)) inferNode(node, graph, scope);
  };

  const inferNode = (inner: Node, graph: Graph, scope: Scope): void => {
    const node = scope.path === '' ? inner : { ...inner, name: scope.path + inner.name };
    const opset = opsetOf(scope, node.domain);
    if (node.op === 'Constant' && node.domain === '') return inferConstant(node, scope);
    const call = callOf(node);
    if (call) {
      for (const each of sortNodes(call.nodes)) inferNode(each, graph, { ...scope, opsets: call.opsets });
      for (const output of node.outputs) declare(scope, graph, output, scope.types.get(output));
      return;
    }
    const rule = opRecord(node.op, node.domain).infer;
    if (rule === undefined) {
      if (refuse)
        throw new UnsupportedOpError(
          node,
          opset,
          'shape rule',
          'See docs/coverage.md for the operators that are known.',
        );
      for (const output of node.outputs) declare(scope, graph, output, undefined);
      return;
    }
    const context: InferContext = {
      node,
      opset,
      inputs: node.inputs.map((input) => scope.types.get(input)),
      constant: (i) => scope.constants.get(node.inputs[i] ?? ''),
      dims: (i) => scope.dims.get(node.inputs[i] ?? ''),
      subgraph: (subgraph, inputs) => {
        const inner: Scope = {
          path: `${node.name}/`,
          opsets: scope.opsets,
          types: new Map(scope.types),
          dims: new Map(scope.dims),
          constants: new Map(scope.constants),
        };
        walk(subgraph, inner, inputs);
        subgraphs.set(subgraph, inner.types);
        subgraphDims.set(subgraph, inner.dims);
        return subgraph.outputs.map((output) => inner.types.get(output.name) ?? output.type);
      },
      symbol: fresh,
    };
    const result = rule(context);
    node.outputs.forEach((output, index) => {
      declare(scope, graph, output, result.types[index]);
      const dims = result.dims?.[index];
      if (output !== '' && dims !== undefined && dims.length <= MAX_FOLLOWED_DIMS) scope.dims.set(output, dims);
    });
    const matrix = smallMatrix(node, result.types[0], (i) => contentsAt(scope, node.inputs[i] ?? ''));
    if (matrix) setConstant(scope, node.outputs[0]!, matrix, true);
  };

  const scope: Scope = { path: '', opsets: model.opsets, types: new Map(), dims: new Map(), constants: new Map() };
  walk(model.graph, scope, undefined);
  return { types: scope.types, dims: scope.dims, subgraphs, subgraphDims };
}

/** Records an output's type: the rule's where it knows the shape, else what the file states. */
function declare(scope: Scope, graph: Graph, name: string, inferred: ValueType | undefined): void {
  if (name === '') return;
  const stated = graph.types.get(name) ?? graph.outputs.find((output) => output.name === name)?.type;
  const type = completed(inferred, stated);
  if (type) scope.types.set(name, type);
}

/** What a rule found, with the file's own statement where it found no type, no rank, or a dim of which nothing is known. */
function completed(inferred: ValueType | undefined, stated: ValueType | undefined): ValueType | undefined {
  if (inferred === undefined || stated === undefined) return inferred ?? stated;
  if (inferred.kind !== 'tensor' || stated.kind !== 'tensor') return inferred;
  if (inferred.shape === undefined) return stated.dtype === inferred.dtype ? stated : inferred;
  if (stated.shape?.length !== inferred.shape.length || !inferred.shape.includes(null)) return inferred;
  return tensorType(
    inferred.dtype,
    inferred.shape.map((dim, axis) => dim ?? stated.shape![axis]!),
  );
}

function setConstant(scope: Scope, name: string, tensor: Tensor, fixed: boolean): void {
  scope.types.set(name, tensorType(tensor.dtype, tensor.dims));
  if (!fixed) return;
  scope.constants.set(name, tensor);
  const limit = FOLLOWED[tensor.dtype];
  if (limit !== undefined && tensor.dims.length <= 1 && sizeOf(tensor.dims) <= limit)
    scope.dims.set(name, tensor.numbers());
}

/** The known whole numbers of a small value. */
function contentsAt(scope: Scope, name: string): SmallMatrix | undefined {
  const dims = scope.dims.get(name);
  const type = scope.types.get(name);
  if (dims?.every((dim) => typeof dim === 'number') && type?.kind === 'tensor' && type.shape?.length === 1)
    return { dims: [dims.length], values: dims };
  const constant = scope.constants.get(name);
  if (constant === undefined || (constant.dtype !== 'int64' && constant.dtype !== 'int32')) return undefined;
  return constant.size <= MAX_FOLLOWED_DIMS ? { dims: constant.dims, values: constant.numbers() } : undefined;
}

function inferConstant(node: Node, scope: Scope): void {
  const output = node.outputs[0]!;
  const value = constantTensor(node);
  if (value) return setConstant(scope, output, value, true);
  const sparse = node.attributes.get('sparse_value');
  if (sparse?.type === 'sparse-tensor')
    scope.types.set(output, tensorType(sparse.value.values.dtype, sparse.value.dims));
}

/** Gives symbols that stand nowhere in the types of a graph's inputs, outputs and values. */
function freshSymbols(graph: Graph, options: InferOptions): (stem: string) => string {
  const taken = new Set<string>();
  const types = [
    ...[...graph.inputs, ...graph.outputs].map((value) => value.type),
    ...graph.types.values(),
    ...(options.inputTypes?.values() ?? []),
  ];
  for (const type of types)
    if (type?.kind === 'tensor')
      for (const dim of type.shape ?? []) for (const symbol of symbolsOf(dim)) taken.add(symbol);
  let count = 0;
  return (stem) => {
    let symbol: string;
    do symbol = `${stem}_${count++}`;
    while (taken.has(symbol));
    return symbol;
  };
}
