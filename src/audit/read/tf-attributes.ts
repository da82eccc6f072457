/** @file Nodes of TensorFlow graphs and their attributes, from protobuf (GraphDef) or from JSON (TensorFlow.js). */
import type { ReadBudget } from './limits.js';
import type { ProtoMessage } from './protobuf.js';

/** A constant of a graph. */
export interface TfTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian, where they are stored as such. */
  readonly bytes?: Uint8Array;
  /** Values of small integer tensors. */
  readonly numbers?: readonly number[];
  /** Values that are listed one by one, of any type; the last one stands for those that follow. */
  readonly listed?: () => readonly number[];
  readonly strings?: () => readonly string[];
}

/** Typed access to a node's attributes; what is absent has the given default. */
export interface TfAttributes {
  number(name: string, fallback?: number): number;
  numbers(name: string): readonly number[];
  text(name: string): string;
  texts(name: string): readonly string[];
  /** Element type, named as in ONNX. */
  type(name: string): string | undefined;
  /** `null` where the rank is not known; -1 for open dims. */
  shape(name: string): readonly number[] | null;
  tensor(name: string): TfTensor | undefined;
  /** Name of a function. */
  callee(name: string): string;
}

export interface TfNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attributes: TfAttributes;
}

/** Element types by DataType number. */
export const tfTypes: Readonly<Record<number, string>> = {
  1: 'float32',
  2: 'float64',
  3: 'int32',
  4: 'uint8',
  5: 'int16',
  6: 'int8',
  7: 'string',
  8: 'complex64',
  9: 'int64',
  10: 'bool',
  11: 'int8',
  12: 'uint8',
  13: 'int32',
  14: 'bfloat16',
  17: 'uint16',
  19: 'float16',
  20: 'resource',
  22: 'uint32',
  23: 'uint64',
};

/** A NodeDef (`tensorflow/core/framework/node_def.proto`). */
export function protoNode(node: ProtoMessage, budget: ReadBudget): TfNode {
  const entries = new Map<string, ProtoMessage>();
  for (const entry of node.messages(5)) {
    const value = entry.message(2);
    if (value) entries.set(entry.string(1), value);
  }
  const attributes: TfAttributes = {
    number: (name, fallback = 0) => {
      const value = entries.get(name);
      if (value === undefined) return fallback;
      if (value.has(4)) return value.float(4);
      return value.has(5) ? value.int(5) : value.int(3, fallback);
    },
    numbers: (name) => entries.get(name)?.message(1)?.ints(3) ?? [],
    text: (name) => entries.get(name)?.string(2) ?? '',
    texts: (name) => entries.get(name)?.message(1)?.strings(2) ?? [],
    type: (name) => tfTypes[entries.get(name)?.int(6) ?? 0],
    shape: (name) => {
      const shape = entries.get(name)?.message(7);
      return shape ? protoShape(shape) : null;
    },
    tensor: (name) => {
      const tensor = entries.get(name)?.message(8);
      return tensor && protoTensor(tensor, budget);
    },
    callee: (name) => entries.get(name)?.message(10)?.string(1) ?? '',
  };
  return { name: node.string(1), op: node.string(2), inputs: node.strings(3), attributes };
}

/** Dims of a TensorShapeProto; `null` where the rank is not known. */
export function protoShape(shape: ProtoMessage): readonly number[] | null {
  return shape.bool(3) ? null : shape.messages(2).map((dim) => dim.int(1));
}

function protoTensor(tensor: ProtoMessage, budget: ReadBudget): TfTensor {
  const dtype = tfTypes[tensor.int(1)] ?? 'unknown';
  const shape = budget.dims((tensor.message(2) && protoShape(tensor.message(2)!)) ?? []);
  const content = tensor.bytes(4);
  const listed = dtype === 'float32' ? tensor.fixed(5, 4) : undefined;
  const bytes = content && content.length > 0 ? content : listed;
  const size = shape.reduce((product, dim) => product * dim, 1);
  const numbers = dtype === 'int32' || dtype === 'int64' ? integers(tensor, dtype, content, size) : undefined;
  return {
    dtype,
    shape,
    ...(bytes ? { bytes } : {}),
    ...(numbers ? { numbers } : {}),
    listed: () => listedNumbers(tensor, dtype),
    strings: () => tensor.strings(8),
  };
}

/** Fields of TensorProto that list numbers, by element type: floats as bytes, the others as integers. */
function listedNumbers(tensor: ProtoMessage, dtype: string): readonly number[] {
  if (dtype === 'float32' || dtype === 'float64') {
    const width = dtype === 'float32' ? 4 : 8;
    const bytes = tensor.fixed(dtype === 'float32' ? 5 : 6, width);
    if (bytes === undefined) return [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.length / width }, (_, i) =>
      width === 4 ? view.getFloat32(4 * i, true) : view.getFloat64(8 * i, true),
    );
  }
  const fields: Readonly<Record<string, number>> = { int64: 10, bool: 11, float16: 13, bfloat16: 13 };
  return tensor.ints(fields[dtype] ?? 7);
}

/** Values of a small integer tensor, whose last stored one stands for those that follow. */
function integers(
  tensor: ProtoMessage,
  dtype: string,
  content: Uint8Array | undefined,
  size: number,
): number[] | undefined {
  if (size > 64) return undefined;
  const width = dtype === 'int64' ? 8 : 4;
  if (content && content.length >= size * width && content.length > 0) {
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    return Array.from({ length: size }, (_, i) =>
      width === 8 ? Number(view.getBigInt64(8 * i, true)) : view.getInt32(4 * i, true),
    );
  }
  const listed = tensor.ints(dtype === 'int64' ? 10 : 7);
  return Array.from({ length: size }, (_, i) => listed[Math.min(i, listed.length - 1)] ?? 0);
}
