/** @file The protobuf wire format, field by field: enough to read what app bundles hold without their schemas' code. */
import { type ByteView } from '../byte-view.js';

export interface WireField {
  readonly number: number;
  /** A number for varints and fixed fields (beyond 2⁵³ rounded); bytes for length-delimited ones. */
  readonly value: number | Uint8Array;
}

/** The fields of one message. Throws AuditError where the bytes are no protobuf. Groups are refused: nothing here has them. */
export function* wireFields(view: ByteView): Generator<WireField> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = view.u8(at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw view.error(`the number before byte ${at} does not end`);
  };
  while (at < view.size) {
    const tag = varint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (number === 0) throw view.error(`field 0 at byte ${at}`);
    if (type === 0) yield { number, value: varint() };
    else if (type === 1) {
      yield { number, value: view.u32(at) + view.u32(at + 4) * 2 ** 32 };
      at += 8;
    } else if (type === 5) {
      yield { number, value: view.u32(at) };
      at += 4;
    } else if (type === 2) {
      const length = varint();
      yield { number, value: view.slice(at, length) };
      at += length;
    } else throw view.error(`wire type ${type} before byte ${at}`);
  }
}
