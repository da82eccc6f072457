/** @file PaddlePaddle programs (`.pdmodel`, with `.pdiparams`) and Paddle Lite models (`.nb`): the same operators, in protobuf or FlatBuffers. */
import { assembleModel } from './assemble.js';
import { familyOf } from './families.js';
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditTensor, LayerFamily } from './model.js';
import { paddleParameters } from './paddle-parameters.js';
import { PaddleSettings, paddleShape, type PaddleValue } from './paddle-shapes.js';
import { paddleTypes, TENSOR } from './paddle-types.js';
import { ProtoMessage } from './protobuf.js';
import { layersOfGraph, type GraphConstant, type GraphOperator } from './value-graph.js';

/** A variable of a block. */
interface Variable {
  readonly name: string;
  readonly dtype: string | null;
  readonly shape: readonly number[] | null;
  readonly stays: boolean;
}

/** An operator with its arguments by parameter. */
interface Operation {
  readonly type: string;
  readonly inputs: ReadonlyMap<string, readonly string[]>;
  readonly outputs: ReadonlyMap<string, readonly string[]>;
  readonly settings: PaddleSettings;
}

interface Block {
  readonly variables: readonly Variable[];
  readonly operations: readonly Operation[];
}

/** Reads a program; `companion` holds its parameters. Throws AuditError where the bytes are no program or exceed a limit. */
export function readPaddle(
  bytes: Uint8Array,
  limits: ReadLimits = defaultReadLimits,
  companion?: Uint8Array,
): AuditModel {
  const budget = new ReadBudget('paddle', limits);
  const root = new ProtoMessage(bytes, budget);
  const blocks = root.messages(1).map((block) => protoBlock(block, budget));
  // The parameters stand in the order of their names.
  const names = blocks
    .flatMap(({ variables }) => variables.filter(({ stays }) => stays).map(({ name }) => name))
    .sort();
  const parameters = companion ? paddleParameters(companion, names, budget) : new Map<string, GraphConstant>();
  const version = root.message(4)?.int(1) ?? 0;
  return programModel('paddle', blocks, parameters, { version: version > 0 ? versionOf(version) : undefined }, budget);
}

/** Reads a Paddle Lite model of meta version 2 (since 2.8). Throws AuditError of kind `unsupported` for older ones. */
export function readPaddleLite(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('paddle-lite', limits);
  if (bytes.length < 26) throw budget.invalid('truncated', `it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const meta = view.getUint16(0, true);
  if (meta !== 2) throw budget.unsupported(`its header is of version ${meta}; version 2 (Paddle Lite 2.8) is read`);
  const length = Number(view.getBigUint64(18, true));
  if (length > bytes.length - 26) throw budget.invalid('truncated', `a topology of ${length} bytes`);
  const root = new FlatBuffer(bytes.subarray(26, 26 + length), budget).root();
  const blocks = root.tables(0).map((block) => flatBlock(block, budget));
  const constants = liteParameters(bytes, 26 + length, budget);
  const version = /^[\w.-]+/.exec(latin.decode(bytes.subarray(2, 18)).replace(/\0.*$/s, ''))?.[0];
  return programModel(
    'paddle-lite',
    blocks,
    constants,
    { version: String(meta), producer: version && `Paddle Lite ${version}` },
    budget,
  );
}

const latin = new TextDecoder('latin1');
const versionOf = (number: number): string =>
  `${Math.floor(number / 1e6)}.${Math.floor(number / 1e3) % 1000}.${number % 1000}`;

/** What operators do, where their names say something else elsewhere. */
const families: Readonly<Record<string, LayerFamily>> = {
  mul: 'dense',
  fc: 'dense',
  matmul: 'matmul',
  matmul_v2: 'matmul',
  lookup_table: 'embedding',
  lookup_table_v2: 'embedding',
  conv2d_fusion: 'convolution',
  sync_batch_norm: 'normalisation',
  feed: 'constant',
  fetch: 'constant',
};
/** Suffixes of later versions of an operator, and words before plain ones. */
const plainName = (type: string): string => type.replace(/_v\d$|2$/, '').replace(/^elementwise_/, '');

function familyOfType(type: string, kernel: readonly number[] | undefined, groups: boolean): LayerFamily {
  const named = families[type];
  if (named) return named;
  const family = familyOf(type) === 'other' ? familyOf(plainName(type)) : familyOf(type);
  // One input channel for each group: kernels of [outputs, 1, height, width].
  return family === 'convolution' && groups && kernel?.[1] === 1 && (kernel[0] ?? 0) > 1
    ? 'depthwise-convolution'
    : family;
}

function programModel(
  format: 'paddle' | 'paddle-lite',
  blocks: readonly Block[],
  parameters: ReadonlyMap<string, GraphConstant>,
  about: { readonly version?: string | undefined; readonly producer?: string | undefined },
  budget: ReadBudget,
): AuditModel {
  const main = blocks[0];
  if (main === undefined || main.operations.length === 0) throw budget.invalid('empty', 'it has no operators');
  const values = new Map<string, AuditTensor>();
  const constants = new Map<string, GraphConstant>();
  for (const { variables } of blocks)
    for (const { name, dtype, shape, stays } of variables) {
      if (stays && shape && dtype)
        constants.set(name, parameters.get(name) ?? { shape: shape.map((dim) => Math.max(0, dim)), dtype });
      else if (!stays) values.set(name, { name, dtype, shape: shape && shape.map((dim) => (dim < 0 ? null : dim)) });
    }
  for (const [name, constant] of parameters) if (!constants.has(name)) constants.set(name, constant);
  const operators = blocks.flatMap(({ operations }, at) => {
    const kept = operations.filter(({ type }) => type !== 'feed' && type !== 'fetch');
    const named = kept.map((each, i) => operatorOf(each, `${at === 0 ? '' : `block ${at}/`}${i}`, at, constants));
    return withOwnNames(kept, named, values, constants, budget);
  });
  const ends = (type: string, side: 'inputs' | 'outputs'): AuditTensor[] =>
    main.operations
      .filter((each) => each.type === type)
      .flatMap((each) => [...each[side].values()].flat())
      .flatMap((name) => values.get(name) ?? []);
  return assembleModel(
    {
      format,
      ...about,
      inputs: ends('feed', 'outputs'),
      outputs: ends('fetch', 'inputs'),
      layers: layersOfGraph(
        {
          operators,
          values,
          constants,
          style: {
            channels: 'first',
            kernels: {
              convolution: 'OIHW',
              'depthwise-convolution': 'OIHW',
              'transposed-convolution': 'IOHW',
              dense: 'IO',
              matmul: 'IO',
            },
          },
        },
        budget,
      ),
      notes: [],
    },
    budget,
  );
}

/**
 * Paddle Lite writes several results into one variable to save memory: what the file says of it then fits one of them only.
 * Such results get names of their own, and shapes by the rules of their operators.
 */
function withOwnNames(
  operations: readonly Operation[],
  operators: readonly GraphOperator[],
  values: Map<string, AuditTensor>,
  constants: ReadonlyMap<string, GraphConstant>,
  budget: ReadBudget,
): readonly GraphOperator[] {
  const writes = new Map<string, number>();
  for (const { outputs } of operators) for (const name of outputs) writes.set(name, (writes.get(name) ?? 0) + 1);
  if (![...writes.values()].some((count) => count > 1)) return operators;
  const now = new Map<string, string>();
  return operators.map((operator, i): GraphOperator => {
    const inputs = operator.inputs.map((name) => now.get(name) ?? name);
    const shapes = inputs.map((name) => constants.get(name)?.shape ?? values.get(name)?.shape ?? undefined);
    const outputs = operator.outputs.map((name, k) => {
      if ((writes.get(name) ?? 0) < 2) return name;
      const own = `${name}@${i}`;
      now.set(name, own);
      const shape = k === 0 ? paddleShape(operations[i]!.type, operations[i]!.settings, shapes) : undefined;
      const dtype = values.get(name)?.dtype ?? null;
      values.set(own, { name: own, dtype, shape: shape ? budget.dims(shape) : null });
      return own;
    });
    return { ...operator, inputs, outputs, name: outputs[0] ?? operator.name };
  });
}

/** Parameters that hold the data that flows, in the order that they count. */
const DATA = ['Input', 'X', 'Y', 'Ids', 'Filter', 'W'];
const RESULTS = ['Output', 'Out', 'Y'];

function operatorOf(
  { type, inputs, outputs, settings }: Operation,
  name: string,
  block: number,
  constants: ReadonlyMap<string, GraphConstant>,
): GraphOperator {
  const flat = (from: ReadonlyMap<string, readonly string[]>, first: readonly string[]): readonly string[] => [
    ...first.flatMap((key) => from.get(key) ?? []),
    ...[...from].flatMap(([key, each]) => (first.includes(key) ? [] : each)),
  ];
  const kernel = constants.get(inputs.get('Filter')?.[0] ?? '')?.shape;
  const made = flat(outputs, RESULTS);
  const activation = settings.word('act_type') || settings.word('fuse_activation') || settings.word('activation_type');
  return {
    name: made[0] || name,
    op: type,
    family: familyOfType(type, kernel, !/transpose/.test(type)),
    inputs: flat(inputs, DATA),
    // Statistics of a batch normalisation go back into its parameters.
    outputs: made.filter((each) => !constants.has(each)),
    ...(block === 0 ? {} : { graph: `block ${block}` }),
    transposed: [
      settings.number('transpose_X', settings.number('trans_x', 0)) !== 0,
      settings.number('transpose_Y', settings.number('trans_y', 0)) !== 0,
    ],
    activation,
  };
}

function protoBlock(block: ProtoMessage, budget: ReadBudget): Block {
  const listed = (message: ProtoMessage, field: number): Map<string, readonly string[]> =>
    new Map(message.messages(field).map((each) => [each.string(1), each.strings(2)]));
  return {
    variables: block.messages(3).map((variable): Variable => {
      const type = variable.message(2);
      const tensor = type?.message(3)?.message(1) ?? type?.message(2);
      return variableOf(
        {
          name: variable.string(1),
          kind: type?.int(1) ?? -1,
          dtype: tensor?.int(1),
          dims: tensor?.ints(2),
          stays: variable.bool(3),
        },
        budget,
      );
    }),
    operations: block.messages(4).map((operation): Operation => {
      const attributes = operation.messages(4);
      return {
        type: operation.string(3),
        inputs: listed(operation, 1),
        outputs: listed(operation, 2),
        settings: new PaddleSettings(attributes.map((each) => [each.string(1), protoValue(each)])),
      };
    }),
  };
}

function protoValue(attribute: ProtoMessage): PaddleValue {
  for (const id of [3, 10, 13]) if (attribute.has(id)) return attribute.int(id);
  if (attribute.has(4)) return attribute.float(4);
  if (attribute.has(5)) return attribute.string(5);
  return attribute.has(6) ? attribute.ints(6) : attribute.ints(15);
}

/** Fields that are not used may stand there too: the type says which one counts. */
function flatValue(attribute: FlatTable): PaddleValue {
  switch (attribute.int32(1)) {
    case 0:
      return attribute.int32(2);
    case 1:
      return attribute.float32(3);
    case 2:
      return attribute.string(4) ?? '';
    case 3:
      return attribute.int32s(5) ?? [];
    case 6:
      return attribute.uint8(8);
    case 9:
      return attribute.uint64(11);
    default:
      return attribute.int64s(13) ?? [];
  }
}

/** The same tables in Paddle Lite's `framework.fbs`. */
function flatBlock(block: FlatTable, budget: ReadBudget): Block {
  const listed = (table: FlatTable, id: number): Map<string, readonly string[]> =>
    new Map(table.tables(id).map((each) => [each.string(0) ?? '', each.strings(1)]));
  return {
    variables: block.tables(2).map((variable): Variable => {
      const type = variable.table(1);
      const tensor = type?.table(2)?.table(0) ?? type?.table(1);
      return variableOf(
        {
          name: variable.string(0) ?? '',
          kind: type?.int32(0) ?? -1,
          dtype: tensor?.int32(0),
          dims: tensor?.int64s(1),
          stays: variable.bool(2),
        },
        budget,
      );
    }),
    operations: block.tables(3).map((operation): Operation => {
      const attributes = operation.tables(3);
      return {
        type: operation.string(0) ?? '',
        inputs: listed(operation, 1),
        outputs: listed(operation, 2),
        settings: new PaddleSettings(attributes.map((each) => [each.string(0) ?? '', flatValue(each)])),
      };
    }),
  };
}

function variableOf(
  found: {
    readonly name: string;
    readonly kind: number;
    readonly dtype: number | undefined;
    readonly dims: readonly number[] | undefined;
    readonly stays: boolean;
  },
  budget: ReadBudget,
): Variable {
  const { name, kind, dtype, dims, stays } = found;
  return {
    name,
    dtype: dtype === undefined ? null : (paddleTypes[dtype] ?? null),
    shape: dims ? budget.dims(dims) : null,
    // Feed and fetch lists stay too, and are no parameters.
    stays: stays && (kind === TENSOR || kind === -1),
  };
}

/** Behind the topology: a header, then each parameter as a FlatBuffer with its length in front (`param.fbs`). */
function liteParameters(bytes: Uint8Array, start: number, budget: ReadBudget): ReadonlyMap<string, GraphConstant> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (at: number, length: number): void => {
    if (at + length > bytes.length) throw budget.invalid('truncated', 'it ends within its parameters');
  };
  need(start, 12);
  const [header, count] = [view.getUint16(start + 4, true), view.getUint16(start + 6, true)];
  const found = new Map<string, GraphConstant>();
  let at = start + 6 + header;
  for (let i = 0; i < count; i++) {
    need(at, 8);
    const [total, offset] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    if (total < offset || offset < 4) throw budget.invalid('parameter', `a parameter of ${total} bytes at ${at}`);
    need(at, 4 + total);
    const table = new FlatBuffer(bytes.subarray(at + 4 + offset, at + 4 + total), budget).root();
    const variable = table.table(3);
    const dtype = paddleTypes[variable?.int32(3) ?? -1];
    const shape = budget.dims(variable?.int64s(2) ?? []);
    if (dtype !== undefined)
      found.set(table.string(1) ?? '', {
        shape: shape.map((dim) => Math.max(0, dim)),
        dtype,
        bytes: variable?.bytes(4),
      });
    at += 4 + total;
  }
  return found;
}
