/** @file TensorFlow GraphDef and SavedModel → ONNX: one walk over the nodes that the outputs need, functions included. */
import { GraphBuilder, Tensor, tensorType, type DataType, type Dim } from '../../../ir/index.js';
import { AuditError } from '../../errors.js';
import { defaultReadLimits, ReadBudget } from '../../read/limits.js';
import { ProtoMessage } from '../../read/protobuf.js';
import { graphParts } from '../../read/tensorflow.js';
import type { TfNode, TfTensor } from '../../read/tf-attributes.js';
import { tfRules, type TfValue } from '../../read/tf-rules.js';
import { orderedNodes, parsedInput, type TfFunction } from '../../read/tf-walk.js';
import { CannotConvert, Emitter, refusing, unsupportedOperators } from '../emitter.js';
import { finished } from '../finish.js';
import { arranged, type Flow, type Layout, type Stated } from '../flow.js';
import type { Converted, ConvertOptions } from '../tflite/convert.js';
import { TfCall } from './call.js';
import { readCheckpoint, type Checkpoint } from './checkpoint.js';
import { readEntries, type TfEntry } from './entries.js';
import { restoredVariables } from './restored.js';
import { tensorflowRules } from './rules.js';

export type { Checkpoint } from './checkpoint.js';

/** A converted value with what the shape rules know of it. */
interface Known {
  readonly flow: Flow;
  readonly value: TfValue;
}

const CALLS: ReadonlySet<string> = new Set(['PartitionedCall', 'StatefulPartitionedCall']);
/** Nodes that give values of their own accord. */
const SOURCES: ReadonlySet<string> = new Set([
  'Const',
  'Placeholder',
  'VarHandleOp',
  'VariableV2',
  'NoOp',
  'IdentityN',
]);
/** Operators that want channels first, and those that do not care. */
const SPATIAL =
  /^(_Fused)?(Conv2D|DepthwiseConv2dNative|AvgPool|MaxPool|ResizeBilinear|ResizeNearestNeighbor|DepthToSpace|SpaceToDepth|LRN|FusedBatchNorm(V[23])?)$/;
const LAYOUT_BLIND =
  /^(Identity|Add(V2)?|Sub|Mul|Div|RealDiv|Relu6?|Pad(V2)?|Cast|Sigmoid|Tanh|ConcatV2|StridedSlice|StatefulPartitionedCall|PartitionedCall)$/;

/** Converts a frozen graph, or a SavedModel with its variables. Throws as `convertTflite`. */
export function convertTensorflow(
  format: 'graphdef' | 'savedmodel',
  bytes: Uint8Array,
  options: ConvertOptions & { readonly checkpoint?: Checkpoint } = {},
): Converted {
  const budget = new ReadBudget(format, options.limits ?? defaultReadLimits);
  const root = new ProtoMessage(bytes, budget);
  const meta = format === 'savedmodel' ? root.messages(2)[0] : undefined;
  const graph = format === 'savedmodel' ? meta?.message(2) : root;
  if (graph === undefined) throw budget.invalid('empty', 'it holds no graph');
  const { nodes, functions } = graphParts(graph, budget);
  const { entry, names } = readEntries(meta, nodes, options.signature);
  const stored = options.checkpoint ? readCheckpoint(options.checkpoint, budget) : new Map<string, Tensor>();
  const variables = restoredVariables(nodes, functions, stored);
  return refusing(format, () =>
    new TensorflowWalk(format, nodes, functions, variables, options, budget).convert(entry, names),
  );
}

class TensorflowWalk {
  readonly #e = new Emitter(new GraphBuilder());
  readonly #operators = new Map<string, number>();
  readonly #refused = new Map<string, string>();
  readonly #channelsFirst: string[] = [];
  readonly #inputs = new Map<string, Flow>();
  readonly #wanting: ReadonlySet<string>;

  constructor(
    private readonly format: 'graphdef' | 'savedmodel',
    private readonly nodes: readonly TfNode[],
    private readonly functions: ReadonlyMap<string, TfFunction>,
    private readonly variables: ReadonlyMap<string, Tensor>,
    private readonly options: ConvertOptions,
    private readonly budget: ReadBudget,
  ) {
    this.#wanting = options.inputLayout === 'stated' ? new Set() : wantingChannelsFirst(nodes, functions);
  }

  convert(entry: TfEntry, signatures: readonly string[]): Converted {
    const e = this.#e;
    for (const { name, node } of entry.inputs) this.#inputs.set(node, this.#input(name, node));
    const made = this.#graph(
      this.nodes,
      new Map(),
      entry.outputs.map(({ value }) => value),
      0,
      '',
    );
    if (this.#refused.size > 0) throw unsupportedOperators(this.format, this.#refused);
    const endings = entry.outputs.map(({ name }, i) => ({ name, flow: made[i]!.flow }));
    const metadata = new Map([
      [
        'cuttle.converted',
        JSON.stringify({ from: this.format, signature: entry.name, channelsFirst: this.#channelsFirst }),
      ],
    ]);
    return {
      model: finished(e, entry.name ?? 'main', endings, this.options.ends ?? 'stored', metadata),
      format: this.format,
      signature: entry.name,
      signatures,
      operators: this.#operators,
      channelsFirst: this.#channelsFirst,
    };
  }

  /** A placeholder as a graph input. */
  #input(name: string, nodeName: string): Flow {
    const node = this.nodes.find((each) => each.name === nodeName);
    if (node === undefined) throw this.budget.invalid('input', `it has no node '${nodeName}'`);
    const type = (node.attributes.type('dtype') ?? 'float32') as DataType;
    const stated = node.attributes.shape('shape');
    // A placeholder of no dims is one whose rank nobody stated, in old graphs.
    const shape =
      stated === null || stated.length === 0
        ? undefined
        : stated.map((dim, axis): Dim => (dim >= 0 ? dim : axis === 0 ? 'batch' : null));
    const layout: Layout = this.#wanting.has(nodeName) && (shape?.length ?? 0) >= 3 ? 'channelsFirst' : 'stated';
    if (layout === 'channelsFirst') this.#channelsFirst.push(name);
    const own = this.#e.builder.fresh(name);
    const named = shape?.map((dim, axis) => (dim === null ? `${name}_${axis}` : dim));
    this.#e.builder.inputs.push({ name: own, type: tensorType(type, named && arranged(layout, named)) });
    return { name: own, type, shape, stored: { [layout]: own }, real: {} };
  }

  #graph(
    nodes: readonly TfNode[],
    args: ReadonlyMap<string, readonly Known[]>,
    results: readonly string[],
    depth: number,
    prefix: string,
  ): readonly Known[] {
    if (depth > 16) throw this.budget.invalid('limit', 'functions call one another more than 16 deep');
    const values = new Map(args);
    const readers = new Map<string, number>();
    for (const input of [...nodes.flatMap((node) => node.inputs), ...results]) {
      const { name } = parsedInput(input);
      readers.set(name, (readers.get(name) ?? 0) + 1);
    }
    const valueOf = (input: string): Known => {
      const { name, output } = placeOf(input);
      const found = values.get(name)?.[output];
      if (found === undefined) throw new CannotConvert(`'${input}' is read before it is made`);
      return found;
    };
    for (const node of orderedNodes(needed(nodes, results))) {
      if (values.has(node.name)) continue;
      this.budget.spend(1 + node.inputs.length);
      const inputs = node.inputs.filter((input) => !input.startsWith('^'));
      const sole = inputs[0] !== undefined && readers.get(parsedInput(inputs[0]).name) === 1;
      values.set(node.name, this.#made(node, inputs, valueOf, sole, depth, prefix));
    }
    return results.map(valueOf);
  }

  #made(
    node: TfNode,
    inputs: readonly string[],
    valueOf: (input: string) => Known,
    soleReader: boolean,
    depth: number,
    prefix: string,
  ): readonly Known[] {
    const called = CALLS.has(node.op) ? this.functions.get(node.attributes.callee('f')) : undefined;
    if (called) {
      const inner = new Map(called.args.map((name, i) => [name, inputs[i] === undefined ? [] : [valueOf(inputs[i])]]));
      return this.#graph(called.nodes, inner, called.results, depth + 1, `${prefix}${node.name}/`);
    }
    if (node.op === 'IdentityN') return inputs.map(valueOf);
    if (SOURCES.has(node.op)) return this.#source(node, prefix);
    this.#operators.set(node.op, (this.#operators.get(node.op) ?? 0) + 1);
    const given = inputs.map(valueOf);
    const shaped =
      tfRules.get(node.op)?.(
        node,
        given.map(({ value }) => value),
      ) ?? [];
    const count = Math.max(
      1,
      shaped.length,
      node.attributes.number('num_split', 0),
      node.op === 'Unpack' ? node.attributes.number('num') : 0,
    );
    const flows = given.map(({ flow }) => flow);
    const outputs = Array.from({ length: Math.min(count, 1024) }, (_, i) =>
      this.#stated(node, prefix, flows, shaped[i]),
    );
    this.#e.stem = `${prefix}${node.name}`;
    try {
      const rule = tensorflowRules.get(node.op);
      if (rule === undefined) throw new CannotConvert('');
      const made = rule(this.#e, new TfCall(node.op, flows, outputs, node.attributes, soleReader));
      return made.map((flow, i) => ({ flow, value: shaped[i] ?? valueFrom(flow) }));
    } catch (error) {
      if (!(error instanceof CannotConvert)) throw error;
      if (!this.#refused.has(node.op)) this.#refused.set(node.op, error.message);
      const any = { stated: '?', channelsFirst: '?' };
      return outputs.map((out, i) => ({ flow: { ...out, stored: any, real: { ...any } }, value: shaped[i] ?? {} }));
    }
  }

  #source(node: TfNode, prefix: string): readonly Known[] {
    const name = prefix + node.name;
    const known = this.#inputs.get(node.name);
    if (node.op === 'Placeholder') {
      const flow = known ?? this.#input(node.name, node.name);
      this.#inputs.set(node.name, flow);
      // The shape rules count open sizes as one.
      return [
        { flow, value: { shape: flow.shape?.map((dim) => (typeof dim === 'number' ? dim : 1)), dtype: flow.type } },
      ];
    }
    if (node.op === 'NoOp') return [];
    const tensor = node.op === 'Const' ? constantOf(node.attributes.tensor('value')) : this.variables.get(node.name);
    if (tensor === undefined && node.op !== 'Const')
      throw new AuditError('no-variables', `variable '${name}' has no contents: the model's variables are missing`, {
        hint: 'Keep saved_model.pb beside its folder variables.',
      });
    if (tensor === undefined) {
      // Strings and resources: fine as long as no rule asks for their contents.
      const stated: Stated = { name, type: 'int32', shape: undefined };
      return [{ flow: { ...stated, stored: {}, real: {} }, value: {} }];
    }
    const flow: Flow = { name, type: tensor.dtype, shape: tensor.dims, constant: tensor, stored: {}, real: {} };
    return [{ flow, value: valueFrom(flow) }];
  }

  /** What is known of a result: its shape by the rules, its batch and open sizes by its inputs. */
  #stated(node: TfNode, prefix: string, inputs: readonly Flow[], value: TfValue | undefined): Stated {
    const data = inputs.filter((flow) => flow.constant === undefined);
    const boolean = /^(Equal|NotEqual|Greater(Equal)?|Less(Equal)?|Logical(And|Or|Not))$/.test(node.op);
    const stated =
      node.attributes.type('DstT') ??
      node.attributes.type('out_type') ??
      node.attributes.type('output_type') ??
      node.attributes.type('T');
    const type = boolean
      ? 'bool'
      : ((/^(Shape|Size|Rank)$/.test(node.op) ? (node.attributes.type('out_type') ?? 'int32') : stated) ??
        value?.dtype ??
        inputs[0]?.type ??
        'float32');
    const open = data.some(({ shape }) => shape?.slice(1).some((dim) => typeof dim !== 'number'));
    const batch = data.some(({ shape }) => shape?.[0] === 'batch');
    const shape = value?.shape?.map((dim, axis, all): Dim => {
      if (axis === 0 && batch && dim === 1) return 'batch';
      return open && axis > 0 && axis < all.length - 1 ? null : dim;
    });
    return { name: prefix + node.name, type: type as DataType, shape: shape ?? likeInput(node, inputs) };
  }
}

/** Operators without a shape rule keep their input's shape where they work on each element. */
function likeInput(node: TfNode, inputs: readonly Flow[]): Stated['shape'] {
  const first = inputs[0]?.shape;
  if (
    /^(Pack|Unpack|Shape|Size|Rank|Range|Fill|Slice|StridedSlice|Gather|Reshape|Arg|TopK|Tile|Broadcast|OneHot|Einsum|Split)/.test(
      node.op,
    )
  )
    return undefined;
  return first;
}

function valueFrom(flow: Flow): TfValue {
  const { constant } = flow;
  const shape = flow.shape?.map((dim) => (typeof dim === 'number' ? dim : 1));
  const small = constant && constant.size <= 64 && /^u?int/.test(constant.dtype);
  return { shape, dtype: flow.type, ...(small ? { numbers: constant.numbers() } : {}) };
}

/** Outputs of operators that have several under names of their own, inside functions. */
function placeOf(input: string): { readonly name: string; readonly output: number } {
  if (/:(indices|idx):0$/.test(input)) return { name: parsedInput(input).name, output: 1 };
  return parsedInput(input);
}

/** Nodes that results depend on. */
function needed(nodes: readonly TfNode[], results: readonly string[]): readonly TfNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const reached = new Set<string>();
  const waiting = results.map((result) => parsedInput(result).name);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    for (const input of byName.get(name)?.inputs ?? [])
      if (!input.startsWith('^')) waiting.push(parsedInput(input).name);
  }
  return nodes.filter(({ name }) => reached.has(name));
}

/** A constant's contents; the last listed value stands for those that follow. */
function constantOf(tensor: TfTensor | undefined): Tensor | undefined {
  if (tensor === undefined || tensor.dtype === 'string' || tensor.dtype === 'unknown') return undefined;
  const size = tensor.shape.reduce((product, dim) => product * dim, 1);
  const type = tensor.dtype as DataType;
  try {
    const whole = Tensor.fromBytes(type, tensor.shape, tensor.bytes ?? new Uint8Array());
    return whole;
  } catch {
    const listed = tensor.listed?.() ?? [];
    const values = Array.from({ length: size }, (_, i) => listed[Math.min(i, listed.length - 1)] ?? 0);
    return Tensor.of(type as 'float32', tensor.shape, values);
  }
}

/** Placeholders that pictures' operators read, if need be through operators that do not care, or functions. */
function wantingChannelsFirst(
  nodes: readonly TfNode[],
  functions: ReadonlyMap<string, TfFunction>,
): ReadonlySet<string> {
  const argsOf = (fn: TfFunction, depth: number): ReadonlySet<number> => {
    const wanted = wantedIn(fn.nodes, depth);
    return new Set(fn.args.flatMap((arg, i) => (wanted.has(arg) ? [i] : [])));
  };
  const wantedIn = (list: readonly TfNode[], depth: number): Set<string> => {
    const wanted = new Set<string>();
    if (depth > 8) return wanted;
    for (const node of [...orderedNodes(list)].reverse()) {
      const first = node.attributes.text('data_format').startsWith('NC');
      if (SPATIAL.test(node.op) && !first && node.inputs[0] !== undefined) wanted.add(parsedInput(node.inputs[0]).name);
      const fn = CALLS.has(node.op) ? functions.get(node.attributes.callee('f')) : undefined;
      if (fn)
        for (const i of argsOf(fn, depth + 1))
          if (node.inputs[i] !== undefined) wanted.add(parsedInput(node.inputs[i]).name);
      if (LAYOUT_BLIND.test(node.op) && !fn && wanted.has(node.name))
        for (const input of node.inputs) wanted.add(parsedInput(input).name);
    }
    return wanted;
  };
  return wantedIn(nodes, 0);
}
