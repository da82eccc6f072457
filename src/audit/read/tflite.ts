/** @file TensorFlow Lite (LiteRT) models: a FlatBuffer of sub-graphs, whose tensors carry their shapes. */
import { assembleModel, type FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import { isLearned } from './learned.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditSignature, AuditTensor, AuditWeight, LayerFamily } from './model.js';
import { elementsOf, kernelMacs, matrixMacs } from './shape-rules.js';
import {
  activationField,
  builtinOperators,
  CUSTOM_OPERATOR,
  fields,
  fusedActivations,
  MORE_OPERATORS,
  subgraphOptions,
  tensorTypes,
} from './tflite-schema.js';

interface Stored {
  readonly tensor: AuditTensor;
  readonly shape: readonly number[];
  /** Constant contents, and the number of their buffer. */
  readonly bytes: Uint8Array | undefined;
  readonly buffer: number;
  readonly scales: number;
  readonly zeroPoint: number;
  /** Stored without its zeros. */
  readonly isSparse: boolean;
}

/**
 * Reads a TensorFlow Lite model. Also used for Circle, whose schema is the same in these fields.
 * Throws AuditError where the bytes are no such model or exceed a limit.
 */
export function readTflite(
  bytes: Uint8Array,
  limits: ReadLimits = defaultReadLimits,
  format: 'tflite' | 'circle' = 'tflite',
): AuditModel {
  const budget = new ReadBudget(format, limits);
  const root = new FlatBuffer(bytes, budget).root();
  const version = root.uint32(fields.model.version);
  const subgraphs = root.tables(fields.model.subgraphs);
  if (subgraphs.length === 0) throw budget.invalid('empty', 'it has no sub-graph');
  const buffers = root.tables(fields.model.buffers).map((table) => bufferBytes(table, bytes, budget));
  const operators = root.tables(fields.model.operatorCodes).map(operatorName);
  const tensors = subgraphs.map((graph) =>
    graph.tables(fields.subgraph.tensors).map((table) => storedTensor(table, buffers, budget)),
  );
  const operatorTables = subgraphs.map((graph) => graph.tables(fields.subgraph.operators));
  const used = reachable(operatorTables);
  const layers = subgraphs.flatMap((graph, index) =>
    layersOf(operatorTables[index]!, tensors[index]!, operators, {
      graph: index === 0 ? undefined : graph.string(fields.subgraph.name) || `subgraph ${index}`,
      aside: !used.has(index),
      budget,
    }),
  );
  const ends = (id: number): readonly AuditTensor[] =>
    (subgraphs[0]!.int32s(id) ?? []).flatMap((at) => tensors[0]![at]?.tensor ?? []);
  const unreached = subgraphs.length - used.size;
  return assembleModel(
    {
      format,
      name: subgraphs[0]!.string(fields.subgraph.name),
      producer: root.string(fields.model.description),
      version: String(version),
      inputs: ends(fields.subgraph.inputs),
      outputs: ends(fields.subgraph.outputs),
      layers,
      signatures: root.tables(fields.model.signatures).map((table) => signature(table, tensors)),
      metadata: metadataOf(root, buffers),
      notes:
        unreached > 0
          ? [`${unreached} sub-graphs are entries of their own; the total of MACs is that of the first`]
          : [],
    },
    budget,
  );
}

/** Contents of a buffer, inside the FlatBuffer or behind it; `undefined` where it is empty. Throws AuditError where it leaves the file. */
export function bufferBytes(table: FlatTable, file: Uint8Array, budget: ReadBudget): Uint8Array | undefined {
  const inside = table.bytes(fields.buffer.data);
  if (inside !== undefined && inside.length > 0) return inside;
  // Since schema 3c, large buffers stand behind the FlatBuffer; 0 and 1 mean that there is none.
  const offset = table.uint64(fields.buffer.offset);
  if (offset <= 1) return undefined;
  const size = table.uint64(fields.buffer.size);
  if (offset + size > file.length)
    throw budget.invalid('offset', `a buffer ends at byte ${offset + size} of ${file.length}`);
  return file.subarray(offset, offset + size);
}

/** What an operator code calls its operator: a builtin's name, or a custom one's own. */
export function operatorName(table: FlatTable): string {
  const old = table.int8(fields.operatorCode.oldBuiltin);
  const code = old === MORE_OPERATORS || old === 0 ? table.int32(fields.operatorCode.builtin, old) : old;
  if (code === CUSTOM_OPERATOR) return table.string(fields.operatorCode.custom) ?? 'CUSTOM';
  return builtinOperators[code] ?? `BUILTIN_${code}`;
}

function storedTensor(table: FlatTable, buffers: readonly (Uint8Array | undefined)[], budget: ReadBudget): Stored {
  const shape = budget.dims(table.int32s(fields.tensor.shape) ?? []);
  const buffer = table.uint32(fields.tensor.buffer);
  const type = table.int8(fields.tensor.type);
  const signatureShape = table.int32s(fields.tensor.signature);
  const open = signatureShape?.length === shape.length ? signatureShape : shape;
  const quantisation = table.table(fields.tensor.quantisation);
  return {
    tensor: {
      name: table.string(fields.tensor.name) ?? '',
      shape: shape.map((dim, i) => (open[i]! < 0 || dim < 0 ? null : dim)),
      dtype: tensorTypes[type] ?? `type ${type}`,
    },
    shape,
    bytes: table.bool(fields.tensor.isVariable) ? undefined : buffers[buffer],
    buffer,
    scales: quantisation?.bytes(fields.quantisation.scale, 4)?.length ?? 0,
    zeroPoint: firstInt64(quantisation?.bytes(fields.quantisation.zeroPoint, 8)),
    isSparse: table.table(fields.tensor.sparsity) !== undefined,
  };
}

/** Of several zero points, which go with channels, all are 0: the first stands for all. */
function firstInt64(bytes: Uint8Array | undefined): number {
  return bytes && bytes.length >= 8 ? Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigInt64(0, true)) : 0;
}

/** Sub-graphs that the first one reaches. */
function reachable(operators: readonly (readonly FlatTable[])[]): ReadonlySet<number> {
  const reached = new Set<number>();
  const visit = (index: number): void => {
    if (reached.has(index) || operators[index] === undefined) return;
    reached.add(index);
    for (const operator of operators[index]) {
      const ids = subgraphOptions.get(operator.uint8(fields.operator.optionsType));
      const options = ids && operator.table(fields.operator.options);
      if (options) for (const id of ids) visit(options.int32(id));
    }
  };
  visit(0);
  return reached;
}

interface GraphContext {
  readonly graph: string | undefined;
  readonly aside: boolean;
  readonly budget: ReadBudget;
}

function layersOf(
  operators: readonly FlatTable[],
  tensors: readonly Stored[],
  names: readonly string[],
  { graph, aside, budget }: GraphContext,
): FoundLayer[] {
  // Half-precision and sparse weights pass through an operator that unpacks them: they belong to the layer behind it.
  const unpacked = new Map<number, Stored>();
  // Between SPACE_TO_BATCH_ND and its inverse the batch is larger than the file says where the batch is open.
  const batches = new Map<number, number>();
  return operators.map((operator, position): FoundLayer => {
    const op = names[operator.uint32(fields.operator.code)];
    if (op === undefined) throw budget.invalid('operator', `operator ${position} has no code`);
    const family = familyOf(op);
    const inputs = operator.int32s(fields.operator.inputs) ?? [];
    const outputs = operator.int32s(fields.operator.outputs) ?? [];
    budget.spend(inputs.length + outputs.length);
    const at = (index: number | undefined): Stored | undefined => (index === undefined ? undefined : tensors[index]);
    const valueAt = (index: number): Stored | undefined => unpacked.get(index) ?? at(index);
    const values = inputs.map(valueAt);
    const packed = valueAt(inputs[0] ?? -1);
    if ((op === 'DEQUANTIZE' || op === 'DENSIFY') && packed?.bytes !== undefined && outputs[0] !== undefined)
      unpacked.set(outputs[0], { ...packed, shape: at(outputs[0])?.shape ?? packed.shape });
    const weights = values.flatMap((value, index): AuditWeight[] => {
      if (value?.bytes === undefined) return [];
      const dtype = value.tensor.dtype ?? 'float32';
      return [
        {
          name: value.tensor.name,
          shape: value.shape,
          dtype,
          size: elementsOf(value.shape),
          bytes: value.bytes,
          learned: isLearned(
            family,
            dtype,
            value.shape,
            op === 'TRANSPOSE_CONV' ? index : Math.max(index, op.startsWith('EMBEDDING') ? 1 : 0),
          ),
          key: `${value.buffer}`,
          ...(value.zeroPoint === 0 ? {} : { zeroPoint: value.zeroPoint }),
          ...(value.isSparse ? { sparse: true as const } : {}),
          ...layoutOf(op, index),
        },
      ];
    });
    const factor = batchFactor(op, inputs, at, batches);
    if (factor !== 1)
      for (const output of outputs) if (at(output)?.tensor.shape?.[0] === null) batches.set(output, factor);
    const macs = macsOf(op, family, values, at(outputs[0]), operator);
    const made = outputs.flatMap((index) => at(index)?.tensor ?? []);
    const activation = operator.table(fields.operator.options)?.int8(activationField[op] ?? 99) ?? 0;
    return {
      name: made[0]?.name || `${op} ${position}`,
      op,
      inputs: values.flatMap((value) => (value !== undefined && value.bytes === undefined ? value.tensor : [])),
      outputs: made,
      weights,
      macs: macs === null || !batches.has(outputs[0] ?? -1) ? macs : macs * factor,
      activated: activation !== 0,
      activation: fusedActivations[activation],
      aside,
      ...(graph === undefined ? {} : { graph }),
      perChannel: values.some((value) => value?.bytes !== undefined && value.scales > 4),
    };
  });
}

/** How many times larger the batch of a layer's results is than the file says. */
function batchFactor(
  op: string,
  inputs: readonly number[],
  at: (index: number | undefined) => Stored | undefined,
  batches: ReadonlyMap<number, number>,
): number {
  const before = batches.get(inputs[0] ?? -1) ?? 1;
  if (op !== 'SPACE_TO_BATCH_ND' && op !== 'BATCH_TO_SPACE_ND') return before;
  const block = at(inputs[1]);
  if (block?.bytes === undefined || block.bytes.length < 4 || block.bytes.length > 64) return before;
  const view = new DataView(block.bytes.buffer, block.bytes.byteOffset, block.bytes.byteLength);
  let size = 1;
  for (let i = 0; i + 4 <= block.bytes.length; i += 4) size *= Math.max(1, view.getInt32(i, true));
  if (!Number.isSafeInteger(size)) return before;
  return op === 'SPACE_TO_BATCH_ND' ? before * size : Math.max(1, before / size);
}

function layoutOf(op: string, index: number): Pick<AuditWeight, 'layout'> {
  if (index !== 1) return {};
  if (op === 'CONV_2D' || op === 'TRANSPOSE_CONV') return { layout: 'OHWI' };
  if (op === 'DEPTHWISE_CONV_2D') return { layout: '1HWC' };
  return op === 'FULLY_CONNECTED' ? { layout: 'OI' } : {};
}

/** Open dims count as one, as a batch usually is when a model runs on a device. */
const sized = (value: Stored | undefined): readonly number[] | undefined =>
  value?.shape.map((dim) => (dim < 0 ? 1 : dim));

function macsOf(
  op: string,
  family: LayerFamily,
  values: readonly (Stored | undefined)[],
  output: Stored | undefined,
  operator: FlatTable,
): number | null {
  const shapes = values.map(sized);
  const kernel = shapes[1];
  switch (family) {
    case 'convolution':
    case 'depthwise-convolution': {
      const result = sized(output);
      return kernel ? kernelMacs(elementsOf(kernel), result, result?.at(-1) ?? 0) : null;
    }
    case 'transposed-convolution':
      return kernel ? kernelMacs(elementsOf(kernel), shapes[2], shapes[2]?.at(-1) ?? 0) : null;
    case 'dense':
      return kernel ? kernelMacs(elementsOf(kernel), shapes[0], kernel.at(-1) ?? 0) : null;
    case 'matmul': {
      const [a, b] = shapes;
      if (op !== 'BATCH_MATMUL' || a === undefined || b === undefined) return null;
      const options = operator.table(fields.operator.options);
      return matrixMacs(a, b, options?.bool(0) ?? false, options?.bool(1) ?? false);
    }
    case 'recurrent': {
      const input = shapes[0];
      if (input === undefined) return null;
      let size = 0;
      for (const [index, value] of values.entries())
        if (index > 0 && value?.bytes !== undefined && value.shape.length === 2) size += elementsOf(value.shape);
      return kernelMacs(size, input, input.at(-1) ?? 0);
    }
    default:
      return 0;
  }
}

function signature(table: FlatTable, tensors: readonly (readonly Stored[])[]): AuditSignature {
  const graph = tensors[table.uint32(fields.signature.subgraph)] ?? [];
  const named = (id: number): readonly AuditTensor[] =>
    table.tables(id).flatMap((entry) => {
      const found = graph[entry.uint32(fields.namedTensor.tensor)]?.tensor;
      return found ? [{ ...found, name: entry.string(fields.namedTensor.name) ?? found.name }] : [];
    });
  return {
    name: table.string(fields.signature.key) ?? '',
    inputs: named(fields.signature.inputs),
    outputs: named(fields.signature.outputs),
  };
}

/** Names and sizes of metadata; the texts of short ones. */
function metadataOf(root: FlatTable, buffers: readonly (Uint8Array | undefined)[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of root.tables(fields.model.metadata)) {
    const bytes = buffers[entry.uint32(fields.metadata.buffer)] ?? new Uint8Array(0);
    const text = bytes.length <= 64 ? new TextDecoder().decode(bytes).replace(/\0+$/, '') : '';
    const name = entry.string(fields.metadata.name) ?? '';
    if (name !== '__proto__') found[name] = /^[\x20-\x7e]+$/.test(text) ? text : `${bytes.length} bytes`;
  }
  return found;
}
