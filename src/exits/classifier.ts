/** @file What the exits system needs to know of a classifier: its one input, its logits, its classes, a free batch axis. */
import {
  constantTensor,
  CuttleError,
  GraphBuilder,
  intOf,
  isFloat,
  producersOf,
  requiredInputs,
  Tensor,
  tensorType,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type TensorType,
  type Value,
  type ValueType,
} from '../ir/index.js';
import { inferShapes, removeDeadNodes } from '../passes/index.js';
import { isRecurrent } from './candidates-tail.js';

/** A model that is no image classifier in the sense of the exits system. Exit code 4. */
export class NotAClassifierError extends CuttleError {
  constructor(why: string, hint?: string) {
    super('unsupported', 'exits/not-a-classifier', `this model cannot be given early exits: ${why}`, {
      hint: hint ?? 'Early exits need a model with one image input and one output of shape [batch, classes].',
    });
  }
}

/** A classifier with a symbolic batch axis, and every value's type. */
export interface Classifier {
  readonly model: Model;
  /** Name of the one input that must be fed. */
  readonly input: string;
  /** The input's dims without the batch. */
  readonly inputShape: readonly number[];
  /** The symbol of the batch axis. */
  readonly batch: string;
  /** The graph output that carries the answer: logits, or what Softmax made of them. */
  readonly output: string;
  /** The value with the logits, [batch, classes]; equals `output` unless the graph ends in Softmax. */
  readonly logits: string;
  readonly classes: number;
  readonly types: ReadonlyMap<string, ValueType>;
}

export interface ClassifierOptions {
  /** The output with one score per class, where several would do. */
  readonly output?: string;
}

/**
 * Reads a model as a classifier. A batch size fixed by an export (usually 1) is made symbolic, together with the
 * Reshape constants that repeat it.
 * Throws NotAClassifierError where there is not one input with fixed sizes, or not one output [batch, classes ≥ 2].
 */
export function readClassifier(model: Model, options: ClassifierOptions = {}): Classifier {
  const inputs = requiredInputs(model.graph);
  if (inputs.length !== 1)
    throw new NotAClassifierError(`it has ${inputs.length} inputs (${inputs.map((input) => input.name).join(', ')})`);
  const input = inputs[0]!;
  const type = input.type;
  if (type?.kind !== 'tensor' || type.shape === undefined || type.shape.length < 2)
    throw new NotAClassifierError(`its input '${input.name}' declares no shape`);
  const [first, ...rest] = type.shape;
  if (!rest.every((dim) => typeof dim === 'number'))
    throw new NotAClassifierError(
      `its input '${input.name}' has no fixed size: [${type.shape.map((dim) => dim ?? '?').join(', ')}]`,
      'Export the model with a fixed image size; only the batch may stay open.',
    );
  const batch = typeof first === 'string' ? first : 'batch';
  const freed = typeof first === 'number' ? freeBatch(model, input, first, batch) : withBatch(model, input, batch);
  const settled = nameStates(settleReshapes(freed));
  const { types } = inferShapes(settled, { unknownOps: 'skip' });
  const output = pickOutput(settled.graph, types, batch, options.output, typeof first === 'number' ? first : undefined);
  const logits = beforeSoftmax(settled.graph, output, types);
  const classes = (types.get(logits) as TensorType).shape![1] as number;
  const outputs = settled.graph.outputs.map((value) => ({ ...value, type: types.get(value.name) ?? value.type }));
  return {
    model: { ...settled, graph: { ...settled.graph, outputs } },
    input: input.name,
    inputShape: rest,
    batch,
    output,
    logits,
    classes,
    types,
  };
}

/** The model with another first dim at its input; stated types of intermediate values go, as they may contradict it. */
function withBatch(model: Model, input: Value, batch: Dim): Model {
  const type = input.type as TensorType;
  const changed = tensorType(type.dtype, [batch, ...type.shape!.slice(1)]);
  const inputs = model.graph.inputs.map((value) => (value === input ? { ...value, type: changed } : value));
  return { ...model, graph: { ...model.graph, inputs, types: new Map() } };
}

/** Opens a fixed batch axis: Reshape targets that begin with the same number copy the batch instead (0). */
function freeBatch(model: Model, input: Value, fixed: number, batch: string): Model {
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const opened = withBatch(model, input, batch).graph;
  const producers = producersOf(opened);
  const initializers = new Map(opened.initializers);
  const nodes = opened.nodes.map((node): Node => {
    if (node.op !== 'Reshape' || node.domain !== '' || intOf(node, 'allowzero', 0) !== 0) return node;
    const data = types.get(node.inputs[0]!);
    if (data?.kind !== 'tensor' || data.shape?.[0] !== fixed) return node;
    const name = node.inputs[1]!;
    const producer = producers.get(name);
    const target =
      opened.initializers.get(name) ?? (producer?.op === 'Constant' ? constantTensor(producer) : undefined);
    if (target === undefined || target.dims.length !== 1) return node;
    const dims = target.numbers();
    if (dims[0] !== fixed) return node;
    const renamed = `${node.name}/batch_free_shape`;
    initializers.set(renamed, Tensor.int64s([0, ...dims.slice(1)]));
    return { ...node, inputs: [node.inputs[0]!, renamed] };
  });
  const outputs = opened.outputs.map((value) => ({ ...value, type: undefined }));
  return { ...model, graph: { ...opened, nodes, initializers, outputs } };
}

/**
 * Reshape targets that the graph computes from sizes (`x.view(x.size(0), -1)`: Shape, Gather, Concat …) become constants
 * that copy the batch (0). Otherwise the tensor whose size is asked for would have to be kept until then.
 */
function settleReshapes(model: Model): Model {
  const { types, dims } = inferShapes(model, { unknownOps: 'skip' });
  const producers = producersOf(model.graph);
  const initializers = new Map(model.graph.initializers);
  let settled = false;
  const nodes = model.graph.nodes.map((node): Node => {
    if (node.op !== 'Reshape' || node.domain !== '' || intOf(node, 'allowzero', 0) !== 0) return node;
    const producer = producers.get(node.inputs[1]!);
    const target = dims.get(node.inputs[1]!);
    const data = types.get(node.inputs[0]!);
    if (producer === undefined || producer.op === 'Constant' || target === undefined) return node;
    const from = data?.kind === 'tensor' ? data.shape : undefined;
    const literal = target.map((dim, axis) =>
      typeof dim === 'number' ? dim : dim !== null && dim === from?.[axis] ? 0 : -1,
    );
    if (literal.filter((dim) => dim === -1).length > 1) return node;
    settled = true;
    const name = `${node.name}/settled_shape`;
    initializers.set(name, Tensor.int64s(literal));
    return { ...node, inputs: [node.inputs[0]!, name] };
  });
  return settled ? removeDeadNodes({ ...model, graph: { ...model.graph, nodes, initializers } }).model : model;
}

/** Gives every recurrent layer's last state a name, so that an exit may read it. */
function nameStates(model: Model): Model {
  const { graph } = model;
  if (!graph.nodes.some((node) => isRecurrent(node) && !node.outputs[1])) return model;
  const b = GraphBuilder.beside(graph);
  const nodes = graph.nodes.map((node): Node => {
    if (!isRecurrent(node) || node.outputs[1]) return node;
    const [states = '', , ...rest] = node.outputs;
    return { ...node, outputs: [states, b.fresh(`${node.name}/state`), ...rest] };
  });
  return { ...model, graph: { ...graph, nodes } };
}

function pickOutput(
  graph: Graph,
  types: ReadonlyMap<string, ValueType>,
  batch: string,
  wanted: string | undefined,
  fixed: number | undefined,
): string {
  const fits = (name: string): boolean => {
    const type = types.get(name);
    if (type?.kind !== 'tensor' || !isFloat(type.dtype) || type.shape?.length !== 2) return false;
    const [first, classes] = type.shape;
    return first === batch && typeof classes === 'number' && classes >= 2;
  };
  const names = graph.outputs.map((output) => output.name);
  if (wanted !== undefined) {
    if (!names.includes(wanted)) throw new NotAClassifierError(`it has no output '${wanted}' (${names.join(', ')})`);
    if (!fits(wanted)) throw new NotAClassifierError(`its output '${wanted}' is not float [batch, classes]`);
    return wanted;
  }
  const fitting = names.filter(fits);
  if (fitting.length === 1) return fitting[0]!;
  const listed = names.map((name) => {
    const type = types.get(name);
    const shape = type?.kind === 'tensor' ? type.shape : undefined;
    return `${name}${shape ? ` [${shape.map((dim) => dim ?? '?').join(', ')}]` : ''}`;
  });
  if (fitting.length > 1)
    throw new NotAClassifierError(
      `several outputs look like class scores: ${fitting.join(', ')}`,
      'Name the right one.',
    );
  throw new NotAClassifierError(
    `none of its outputs is [batch, classes]: ${listed.join('; ')}`,
    fixed === undefined ? undefined : `Its batch is fixed to ${fixed}; export it with a dynamic batch axis.`,
  );
}

/** Walks back over a closing Softmax or LogSoftmax (and what only renames its output) to the logits. */
function beforeSoftmax(graph: Graph, output: string, types: ReadonlyMap<string, ValueType>): string {
  const producers = producersOf(graph);
  let value = output;
  for (let node = producers.get(value); node !== undefined; node = producers.get(value)) {
    const source = node.inputs[0]!;
    const type = types.get(source);
    const keepsShape = type?.kind === 'tensor' && type.shape?.length === 2 && isFloat(type.dtype);
    if (node.domain !== '' || !keepsShape) return output;
    if (node.op === 'Softmax' || node.op === 'LogSoftmax') return source;
    if (node.op !== 'Identity' && node.op !== 'Dropout') return output;
    value = source;
  }
  return output;
}
