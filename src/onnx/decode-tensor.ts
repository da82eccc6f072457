/** @file TensorProto → tensors that share the file's bytes. */
import { byteLength, Tensor, type DataType, type SparseTensor } from '../ir/index.js';
import { joinBytes } from '../platform/index.js';
import { decodeDataType } from './decode-type.js';
import { OnnxFormatError, OnnxUnsupportedError } from './errors.js';
import { externalRange, type ExternalDataReader, type ExternalRange } from './external.js';
import { TensorProto_DataLocation, type SparseTensorProto, type TensorProto } from './gen/onnx_pb.js';
import type { OnnxLimits } from './limits.js';
import { varintsToBytes } from './packed.js';
import { decodeText } from './text.js';

/** What tensors need beside their own message. */
export interface TensorSource {
  readonly limits: OnnxLimits;
  readonly externalData: ExternalDataReader | undefined;
}

/**
 * A tensor over the bytes of its message (or of its external file). `raw_data`, `float_data` and `double_data` are
 * shared; the other lists are unpacked. Throws OnnxFormatError where the byte count does not fit the dims.
 */
export function decodeTensor(proto: TensorProto, source: TensorSource): Tensor {
  const name = proto.name;
  const dims = decodeDims(proto.dims, name, source.limits);
  const dtype = decodeDataType(proto.dataType, name);
  if (proto.segment)
    throw new OnnxUnsupportedError('segment', `tensor '${name}' is stored in segments, which is not supported`);
  const size = elementCount(dims, name);
  if (dtype === 'string') {
    if (isExternal(proto)) throw new OnnxFormatError('external-data', `tensor '${name}': strings cannot be external`);
    if (proto.stringData.length !== size)
      throw new OnnxFormatError(
        'tensor-size',
        `tensor '${name}' of shape [${dims.join(', ')}] holds ${proto.stringData.length} strings`,
      );
    return Tensor.ofStrings(dims, proto.stringData.map(decodeText));
  }
  const expected = byteLength(dtype, size);
  const bytes = isExternal(proto) ? readExternal(proto, expected, source) : storedBytes(proto, dtype);
  if (bytes.length !== expected)
    throw new OnnxFormatError(
      'tensor-size',
      `tensor '${name}' (${dtype} [${dims.join(', ')}]) needs ${expected} bytes, but the file holds ${bytes.length}`,
      { hint: 'The file is damaged or was cut: download or export the model again.' },
    );
  return Tensor.fromBytes(dtype, dims, bytes);
}

/** A sparse tensor; its name is that of its values. Throws like `decodeTensor`. */
export function decodeSparseTensor(proto: SparseTensorProto, source: TensorSource): SparseTensor {
  const name = proto.values?.name ?? '';
  if (!proto.values || !proto.indices)
    throw new OnnxFormatError('sparse', `sparse tensor '${name}' lacks its values or its indices`);
  const dims = decodeDims(proto.dims, name, source.limits);
  const values = decodeTensor(proto.values, source);
  const indices = decodeTensor(proto.indices, source);
  if (indices.dtype !== 'int64' || indices.dims[0] !== values.size)
    throw new OnnxFormatError('sparse', `sparse tensor '${name}' has ${values.size} values, but other indices`);
  return { values, indices, dims };
}

function decodeDims(dims: readonly bigint[], name: string, limits: OnnxLimits): readonly number[] {
  if (dims.length > limits.maxRank)
    throw new OnnxFormatError('limit', `tensor '${name}' has ${dims.length} dims, more than ${limits.maxRank}`);
  return dims.map((dim) => {
    if (dim < 0n || dim > BigInt(Number.MAX_SAFE_INTEGER))
      throw new OnnxFormatError('dims', `tensor '${name}' has a dim of ${dim}`);
    return Number(dim);
  });
}

function elementCount(dims: readonly number[], name: string): number {
  if (dims.includes(0)) return 0;
  let size = 1;
  for (const dim of dims) size *= dim;
  // 2^53 bits: beyond it byte counts would no longer be exact.
  if (size > 2 ** 46) throw new OnnxFormatError('dims', `tensor '${name}' claims more than 2^46 elements`);
  return size;
}

function isExternal(proto: TensorProto): boolean {
  if (proto.dataLocation === Number(TensorProto_DataLocation.EXTERNAL)) return true;
  if (proto.dataLocation === Number(TensorProto_DataLocation.DEFAULT)) return false;
  throw new OnnxUnsupportedError(
    'data-location',
    `tensor '${proto.name}' has data location ${proto.dataLocation}, which is not supported`,
  );
}

function readExternal(proto: TensorProto, expected: number, source: TensorSource): Uint8Array {
  const range = externalRange(proto.name, proto.externalData, expected);
  if (source.externalData === undefined)
    throw new OnnxFormatError(
      'external-data',
      `tensor '${proto.name}' stands in the external file '${range.location.slice(0, 200)}', which cannot be read here`,
      { hint: 'Load the model from its path, or give a reader for external data.' },
    );
  return expected === 0 ? new Uint8Array(0) : source.externalData(range);
}

/** The range of an external file that a tensor asks for, or `undefined` where its bytes stand in the model file. */
export function externalRangeOf(proto: TensorProto, limits: OnnxLimits): ExternalRange | undefined {
  if (!isExternal(proto)) return undefined;
  const size = elementCount(decodeDims(proto.dims, proto.name, limits), proto.name);
  return externalRange(proto.name, proto.externalData, byteLength(decodeDataType(proto.dataType, proto.name), size));
}

function storedBytes(proto: TensorProto, dtype: DataType): Uint8Array {
  if (proto.rawData.length > 0) return proto.rawData;
  switch (dtype) {
    case 'float32':
    case 'complex64':
      return joinBytes(proto.floatData);
    case 'float64':
    case 'complex128':
      return joinBytes(proto.doubleData);
    case 'int64':
      return varintsToBytes(dtype, joinBytes(proto.int64Data));
    case 'uint32':
    case 'uint64':
      return varintsToBytes(dtype, joinBytes(proto.uint64Data));
    default:
      return varintsToBytes(dtype, joinBytes(proto.int32Data));
  }
}
