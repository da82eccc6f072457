/** @file Any model that can be converted: its format by content, and the converter for it. */
import { FlatBuffer } from '../read/flatbuffer.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from '../read/limits.js';
import { ProtoMessage } from '../read/protobuf.js';
import { protobufKind } from '../find/protobuf-kinds.js';
import { AuditError } from '../errors.js';
import { decodeOrtModel } from '../read/ort-model.js';
import { noSignature } from './emitter.js';
import { convertTensorflow, type Checkpoint } from './tensorflow/convert.js';
import { convertTflite, type Converted, type ConvertOptions } from './tflite/convert.js';

/** Formats that become ONNX. */
export type ConvertibleFormat = 'tflite' | 'graphdef' | 'savedmodel' | 'ort';

/** Bytes of a file's start that `mayBeConvertible` wants. */
export const HEAD_BYTES = 64;

/**
 * Whether a file that starts like this can be one of these formats, so that it is worth reading whole. ONNX files are not, but for some
 * without a producer.
 */
export function mayBeConvertible(head: Uint8Array): boolean {
  if (/^(TFL3|ORTM)$/.test(String.fromCharCode(...head.subarray(4, 8)))) return true;
  // A GraphDef starts with a node; a SavedModel with its version and a long message, where ONNX has a short name.
  if (head[0] === 0x0a) return true;
  if (head[0] !== 0x08 || head[2] !== 0x12) return false;
  return (head[3]! & 0x80) !== 0 && head[4]! >= 8;
}

/** What a file is, by content; `undefined` where it is none of these formats. */
export function convertibleFormat(
  bytes: Uint8Array,
  limits: ReadLimits = defaultReadLimits,
): ConvertibleFormat | undefined {
  const identifier = String.fromCharCode(...bytes.subarray(4, 8));
  if (identifier === 'TFL3') return 'tflite';
  if (identifier === 'ORTM') return 'ort';
  try {
    const format = protobufKind(new ProtoMessage(bytes, new ReadBudget('protobuf', limits)))?.format;
    return format === 'graphdef' || format === 'savedmodel' ? format : oldTflite(bytes, limits);
  } catch (error) {
    if (error instanceof AuditError) return oldTflite(bytes, limits);
    throw error;
  }
}

/** Files from before the identifier: version 3 and at least one sub-graph. */
function oldTflite(bytes: Uint8Array, limits: ReadLimits): 'tflite' | undefined {
  try {
    const root = new FlatBuffer(bytes, new ReadBudget('tflite', limits)).root();
    return root.uint32(0) === 3 && root.tables(2).length > 0 ? 'tflite' : undefined;
  } catch (error) {
    if (error instanceof AuditError) return undefined;
    throw error;
  }
}

/** Converts a model of a known format. `checkpoint` holds a SavedModel's variables. Throws as `convertTflite`. */
export function convertModel(
  format: ConvertibleFormat,
  bytes: Uint8Array,
  options: ConvertOptions & { readonly checkpoint?: Checkpoint } = {},
): Converted {
  if (format === 'tflite') return convertTflite(bytes, options);
  return format === 'ort' ? fromOrt(bytes, options) : convertTensorflow(format, bytes, options);
}

/** A model in ONNX Runtime's own format is the same graph: only its container changes. */
function fromOrt(bytes: Uint8Array, { limits, signature }: ConvertOptions): Converted {
  if (signature !== undefined) throw noSignature(signature, []);
  const { model } = decodeOrtModel(bytes, new ReadBudget('ort', limits ?? defaultReadLimits));
  const operators = new Map<string, number>();
  for (const { op, domain } of model.graph.nodes) {
    const name = domain === '' ? op : `${domain}.${op}`;
    operators.set(name, (operators.get(name) ?? 0) + 1);
  }
  return { model, format: 'ort', signature: undefined, signatures: [], operators, channelsFirst: [] };
}
