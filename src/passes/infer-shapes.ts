/** @file Shape inference: a walk over the operators' shape rules. */
import {
  constantTensor,
  opsetOf,
  sizeOf,
  sortNodes,
  tensorType,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueType,
} from '../ir/index.js';
import { opRecord, UnsupportedOpError, type InferContext } from '../ops/index.js';

/** Integer tensors up to this many elements are followed symbolically. */
const MAX_FOLLOWED_DIMS = 64;

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
}

interface Scope {
  readonly types: Map<string, ValueType>;
  readonly dims: Map<string, readonly Dim[]>;
  readonly constants: Map<string, Tensor>;
}

/**
 * Types of all values of a model's main graph, with symbolic dims kept. Types stated in the file fill in where a rule
 * finds none. Contract: requires single assignment; changes nothing.
 * Throws UnsupportedOpError for an operator without a rule (unless skipped), ShapeError where inputs do not fit.
 */
export function inferShapes(model: Model, options: InferOptions = {}): InferredTypes {
  let symbols = 0;
  const refuse = options.unknownOps !== 'skip';
  // ONNX local functions are inlined by their own pass; here a call to one counts as an operator without a rule.
  const walk = (graph: Graph, scope: Scope, given: readonly (ValueType | undefined)[] | undefined): void => {
    graph.inputs.forEach((input, index) => {
      const type = given?.[index] ?? options.inputTypes?.get(input.name) ?? input.type;
      if (type) scope.types.set(input.name, type);
    });
    for (const [name, tensor] of graph.initializers)
      setConstant(scope, name, tensor, !graph.inputs.some((input) => input.name === name));
    for (const node of sortNodes(graph.nodes)) inferNode(node, graph, scope);
  };

  const inferNode = (node: Node, graph: Graph, scope: Scope): void => {
    const opset = opsetOf(model, node.domain);
    if (node.op === 'Constant' && node.domain === '') return inferConstant(node, scope);
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
          types: new Map(scope.types),
          dims: new Map(scope.dims),
          constants: new Map(scope.constants),
        };
        walk(subgraph, inner, inputs);
        return subgraph.outputs.map((output) => inner.types.get(output.name) ?? output.type);
      },
      symbol: (stem) => `${stem}_${symbols++}`,
    };
    const result = rule(context);
    node.outputs.forEach((output, index) => {
      declare(scope, graph, output, result.types[index]);
      const dims = result.dims?.[index];
      if (output !== '' && dims !== undefined && dims.length <= MAX_FOLLOWED_DIMS) scope.dims.set(output, dims);
    });
  };

  const scope: Scope = { types: new Map(), dims: new Map(), constants: new Map() };
  walk(model.graph, scope, undefined);
  return { types: scope.types, dims: scope.dims };
}

/** Records an output's type: the rule's where it knows the shape, else what the file states. */
function declare(scope: Scope, graph: Graph, name: string, inferred: ValueType | undefined): void {
  if (name === '') return;
  const stated = graph.types.get(name) ?? graph.outputs.find((output) => output.name === name)?.type;
  const vague = inferred === undefined || (inferred.kind === 'tensor' && inferred.shape === undefined);
  const type = vague && stated !== undefined ? stated : inferred;
  if (type) scope.types.set(name, type);
}

function setConstant(scope: Scope, name: string, tensor: Tensor, fixed: boolean): void {
  scope.types.set(name, tensorType(tensor.dtype, tensor.dims));
  if (!fixed) return;
  scope.constants.set(name, tensor);
  if (
    (tensor.dtype === 'int64' || tensor.dtype === 'int32') &&
    sizeOf(tensor.dims) <= MAX_FOLLOWED_DIMS &&
    tensor.dims.length <= 1
  )
    scope.dims.set(name, tensor.numbers());
}

function inferConstant(node: Node, scope: Scope): void {
  const output = node.outputs[0]!;
  const value = constantTensor(node);
  if (value) setConstant(scope, output, value, true);
}
