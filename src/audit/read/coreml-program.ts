/** @file ML programs (Core ML's MIL, `MIL.proto`): operations over named values with shapes; weights in a file beside or inline. */
import type { FoundLayer } from './assemble.js';
import { bitsOf } from './assemble.js';
import { familyOf } from './families.js';
import type { ReadBudget } from './limits.js';
import type { AuditTensor, LayerFamily } from './model.js';
import type { ProtoMessage } from './protobuf.js';
import { elementsOf } from './shape-rules.js';
import { layersOfGraph, type GraphConstant, type GraphOperator } from './value-graph.js';

/** Element types by code of MIL's `DataType`. */
const types: Readonly<Record<number, string>> = {
  1: 'bool',
  2: 'string',
  10: 'float16',
  11: 'float32',
  12: 'float64',
  13: 'bfloat16',
  21: 'int8',
  22: 'int16',
  23: 'int32',
  24: 'int64',
  31: 'uint8',
  32: 'uint16',
  33: 'uint32',
  34: 'uint64',
};

/** Field numbers of the messages. */
const f = {
  program: { functions: 2 },
  function: { opset: 2, blocks: 3 },
  block: { operations: 3 },
  operation: { type: 1, inputs: 2, outputs: 3, blocks: 4, attributes: 5 },
  named: { name: 1, type: 2 },
  tensorType: { element: 1, dims: 3 },
  value: { type: 2, inline: 3, blob: 5 },
  entry: { key: 1, value: 2 },
} as const;

/** Inputs that hold what flows, in the order that they count; then what was learned. */
const DATA = ['x', 'y', 'values', 'data', 'query', 'key', 'value', 'indices'];
const LEARNED = /^(weight|bias|gamma|beta|mean|variance|alpha|initial|peephole|table)/;
/** What compressed weights are made of: the first of these that an operation has. */
const STORED = ['quantized_data', 'nonzero_data', 'indices', 'data', 'source_val'];

interface Values {
  readonly types: Map<string, AuditTensor>;
  readonly constants: Map<string, GraphConstant>;
  readonly operators: GraphOperator[];
}

/**
 * Layers of an ML program; `weights` is its `weight.bin`, without which sizes are known and numbers are not.
 * Throws AuditError where the program has no function or a limit is exceeded.
 */
export function programLayers(
  program: ProtoMessage,
  weights: Uint8Array | undefined,
  budget: ReadBudget,
): FoundLayer[] {
  const functions = entries(program, f.program.functions);
  const main = functions.get('main') ?? [...functions.values()][0];
  const blocks = main && entries(main, f.function.blocks);
  const block = blocks && (blocks.get(main.string(f.function.opset)) ?? [...blocks.values()][0]);
  if (block === undefined) throw budget.invalid('empty', 'its program has no function');
  const values: Values = { types: new Map(), constants: new Map(), operators: [] };
  for (const input of main!.messages(1)) define(input, values, budget);
  collect(block, values, { weights, budget, graph: undefined, depth: 0 });
  return layersOfGraph(
    {
      operators: values.operators,
      values: values.types,
      constants: values.constants,
      style: {
        channels: 'first',
        kernels: {
          convolution: 'OIHW',
          'depthwise-convolution': 'OIHW',
          'transposed-convolution': 'IOHW',
          dense: 'OI',
        },
      },
    },
    budget,
  );
}

/** A map field as a map; of entries under one key the last counts. */
function entries(message: ProtoMessage, field: number): ReadonlyMap<string, ProtoMessage> {
  return new Map(
    message.messages(field).flatMap((entry): [string, ProtoMessage][] => {
      const value = entry.message(f.entry.value);
      return value ? [[entry.string(f.entry.key), value]] : [];
    }),
  );
}

function define(named: ProtoMessage, values: Values, budget: ReadBudget): AuditTensor {
  const name = named.string(f.named.name);
  const { dtype, shape } = typeOf(named.message(f.named.type), budget);
  const tensor = { name, dtype, shape };
  values.types.set(name, tensor);
  return tensor;
}

function typeOf(
  type: ProtoMessage | undefined,
  budget: ReadBudget,
): { readonly dtype: string | null; readonly shape: readonly (number | null)[] | null } {
  const tensor = type?.has(1) ? type.message(1) : undefined;
  if (tensor === undefined) return { dtype: null, shape: null };
  const shape = tensor.messages(f.tensorType.dims).map((dim) => dim.message(1)?.int(1) ?? null);
  budget.dims(shape.map((dim) => dim ?? 1));
  return { dtype: types[tensor.int(f.tensorType.element)] ?? null, shape };
}

interface Place {
  readonly weights: Uint8Array | undefined;
  readonly budget: ReadBudget;
  readonly graph: string | undefined;
  readonly depth: number;
}

function collect(block: ProtoMessage, values: Values, place: Place): void {
  const { budget, depth } = place;
  if (depth > 16) throw budget.invalid('limit', 'blocks are nested more than 16 deep');
  for (const operation of block.messages(f.block.operations)) {
    budget.spend(1);
    const op = operation.string(f.operation.type);
    const outputs = operation.messages(f.operation.outputs).map((each) => define(each, values, budget));
    const first = outputs[0];
    if (op === 'const' || op.startsWith('constexpr_')) {
      if (first) values.constants.set(first.name, constantOf(operation, op, first, values, place));
      continue;
    }
    values.operators.push(operatorOf(operation, op, outputs, values, place.graph));
    operation
      .messages(f.operation.blocks)
      .forEach((inner, i) =>
        collect(inner, values, { ...place, graph: `${place.graph ?? ''}${first?.name ?? op}/${i}`, depth: depth + 1 }),
      );
  }
}

/** Names that an operation's parameters are bound to; values that stand in place get none. */
function bound(operation: ProtoMessage): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const [parameter, argument] of entries(operation, f.operation.inputs))
    found.set(
      parameter,
      argument.messages(1).flatMap((binding) => (binding.has(1) ? [binding.string(1)] : [])),
    );
  return found;
}

function operatorOf(
  operation: ProtoMessage,
  op: string,
  outputs: readonly AuditTensor[],
  values: Values,
  graph: string | undefined,
): GraphOperator {
  const parameters = bound(operation);
  const flowing = DATA.flatMap((name) => parameters.get(name) ?? []);
  const learned = [...parameters].flatMap(([name, each]) => (LEARNED.test(name) ? each : []));
  // Strides, axes and switches are constants too, and no inputs of a layer.
  const others = [...parameters].flatMap(([name, each]) =>
    DATA.includes(name) || LEARNED.test(name) ? [] : each.filter((value) => !values.constants.has(value)),
  );
  const kernel = values.constants.get(parameters.get('weight')?.[0] ?? '')?.shape;
  const channels = values.types.get(parameters.get('x')?.[0] ?? '')?.shape?.[1];
  return {
    name: outputs[0]?.name ?? op,
    op,
    family: familyIn(op, kernel, channels),
    inputs: [...flowing, ...learned, ...others],
    outputs: outputs.map(({ name }) => name),
    ...(graph === undefined ? {} : { graph, aside: true }),
  };
}

function familyIn(op: string, kernel: readonly number[] | undefined, channels: number | null | undefined): LayerFamily {
  const family = familyOf(op);
  return family === 'convolution' && kernel?.[1] === 1 && (channels ?? 1) > 1 ? 'depthwise-convolution' : family;
}

/** A constant; compressed weights have the shape of what they unpack to, and the type and bytes that are stored. */
function constantOf(
  operation: ProtoMessage,
  op: string,
  { dtype, shape }: AuditTensor,
  values: Values,
  place: Place,
): GraphConstant {
  const attributes = entries(operation, f.operation.attributes);
  const whole = (shape ?? []).map((dim) => dim ?? 1);
  if (op === 'const')
    return { shape: whole, dtype: dtype ?? 'float32', ...numbers(attributes.get('val'), whole, place) };
  const part = STORED.find((name) => attributes.has(name));
  const value = part === undefined ? undefined : attributes.get(part);
  if (value) {
    const stored = typeOf(value.message(f.value.type), place.budget);
    const found = numbers(
      value,
      (stored.shape ?? []).map((dim) => dim ?? 1),
      place,
    );
    return { shape: whole, dtype: stored.dtype ?? 'uint8', learned: true, ...found };
  }
  const parameters = bound(operation);
  const name = STORED.flatMap((each) => parameters.get(each) ?? [])[0];
  const stored = name === undefined ? undefined : values.constants.get(name);
  return { shape: whole, dtype: stored?.dtype ?? dtype ?? 'float32', learned: true, bytes: stored?.bytes };
}

/** `weight.bin`: 64 bytes in front of each blob, with this number, a type, a length and an offset. */
const SENTINEL = 0xdeadbeef;

function numbers(
  value: ProtoMessage | undefined,
  shape: readonly number[],
  { weights, budget }: Place,
): { readonly bytes?: Uint8Array } {
  const dtype = typeOf(value?.message(f.value.type), budget).dtype ?? 'float32';
  const wanted = Math.ceil((elementsOf(shape) * bitsOf(dtype)) / 8);
  const blob = value?.message(f.value.blob);
  if (blob !== undefined) {
    if (weights === undefined) return {};
    const at = blob.int(2);
    const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
    if (at < 0 || at + 64 > weights.length || view.getUint32(at, true) !== SENTINEL)
      throw budget.invalid('weights', `its weights have no blob at byte ${at}`);
    const [length, from] = [Number(view.getBigUint64(at + 8, true)), Number(view.getBigUint64(at + 16, true))];
    if (from + length > weights.length || length !== wanted)
      throw budget.invalid('weights', `a blob of ${length} bytes at ${from}, ${wanted} are wanted`);
    return { bytes: weights.subarray(from, from + length) };
  }
  const tensor = value?.message(f.value.inline)?.message(1);
  const bytes = tensor?.has(1)
    ? tensor.message(1)?.fixed(1, 4)
    : tensor?.has(7)
      ? tensor.message(7)?.bytes(1)
      : undefined;
  return bytes !== undefined && bytes.length === wanted ? { bytes } : {};
}
