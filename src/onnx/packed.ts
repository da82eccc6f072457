/** @file The packed number lists of TensorProto, turned into the raw little-endian bytes that tensors are made of. */
import { dataTypes, type DataType } from '../ir/index.js';
import { OnnxFormatError } from './errors.js';

/** How many varints a packed list holds. Throws OnnxFormatError where the last one is unfinished. */
function countVarints(packed: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < packed.length; i++) if (packed[i]! < 0x80) count++;
  if (packed.length > 0 && packed[packed.length - 1]! >= 0x80)
    throw new OnnxFormatError('truncated', 'a packed list of numbers ends within a number', {
      hint: 'The file is damaged: download or export the model again.',
    });
  return count;
}

/**
 * Varints (int32_data, int64_data, uint64_data) as raw bytes of `dtype`: each value cut to the type's width, bit
 * patterns for 16-bit and 8-bit floats, one byte per pair of 4-bit elements, as ONNX defines these lists.
 * Throws OnnxFormatError where the list is cut.
 */
export function varintsToBytes(dtype: DataType, packed: Uint8Array): Uint8Array {
  const width = Math.max(8, dataTypes[dtype].bits) / 8;
  const out = new Uint8Array(countVarints(packed) * width);
  const view = new DataView(out.buffer);
  let pos = 0;
  for (let offset = 0; offset < out.length; offset += width) {
    let low = 0;
    let high = 0;
    for (let shift = 0; pos < packed.length; shift += 7) {
      const byte = packed[pos++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else if (shift < 64) high |= bits << (shift - 32);
      if (byte < 0x80) break;
    }
    switch (width) {
      case 1:
        out[offset] = low;
        break;
      case 2:
        view.setUint16(offset, low & 0xffff, true);
        break;
      case 4:
        view.setUint32(offset, low >>> 0, true);
        break;
      default:
        view.setUint32(offset, low >>> 0, true);
        view.setUint32(offset + 4, high >>> 0, true);
    }
  }
  return out;
}
