/** @file The IDX format of MNIST and its relatives: big-endian header, then elements. */
import { DataError } from './errors.js';

/** Element types by IDX code; only those that image sets use are read. */
const UNSIGNED_BYTE = 0x08;
const SIGNED_INT = 0x0c;
const MAX_RANK = 4;
/** A file that declares more than this is refused before anything is allocated. */
const MAX_ELEMENTS = 2 ** 31;

export interface IdxArray {
  readonly dims: readonly number[];
  /** Bytes for unsigned byte files (shared with the input), numbers for int32 files. */
  readonly data: Uint8Array | Int32Array;
}

/**
 * Reads an IDX file (http://yann.lecun.com/exdb/mnist, "The IDX file format"): two zero bytes, element type, rank,
 * the dims as big-endian uint32, then the elements. Throws DataError naming the file where anything does not fit.
 */
export function parseIdx(bytes: Uint8Array, name: string): IdxArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0)
    throw new DataError(
      'idx-magic',
      `${name} is no IDX file: it does not begin with two zero bytes, a type and a rank`,
    );
  const type = bytes[2]!;
  const rank = bytes[3]!;
  if (type !== UNSIGNED_BYTE && type !== SIGNED_INT)
    throw new DataError(
      'idx-type',
      `${name}: IDX element type 0x${type.toString(16).padStart(2, '0')} is not read; 0x08 (byte) and 0x0c (int32) are`,
      {
        kind: 'unsupported',
      },
    );
  if (rank < 1 || rank > MAX_RANK)
    throw new DataError('idx-rank', `${name}: an IDX file of rank ${rank}; 1 to ${MAX_RANK} are read`);
  const header = 4 + 4 * rank;
  if (bytes.length < header) throw new DataError('idx-truncated', `${name} ends within its IDX header`);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const elements = dims.reduce((product, dim) => product * dim, 1);
  if (elements > MAX_ELEMENTS)
    throw new DataError('idx-size', `${name} declares ${dims.join('×')} elements, above the limit of ${MAX_ELEMENTS}`);
  const expected = header + elements * (type === SIGNED_INT ? 4 : 1);
  if (bytes.length < expected)
    throw new DataError(
      'idx-truncated',
      `${name} is truncated: ${dims.join('×')} elements need ${expected} bytes, but there are ${bytes.length}`,
    );
  if (bytes.length > expected)
    throw new DataError(
      'idx-size',
      `${name} holds ${bytes.length - expected} bytes more than its ${dims.join('×')} elements need`,
    );
  if (type === UNSIGNED_BYTE) return { dims, data: bytes.subarray(header) };
  const data = new Int32Array(elements);
  for (let i = 0; i < elements; i++) data[i] = view.getInt32(header + 4 * i);
  return { dims, data };
}
