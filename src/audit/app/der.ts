/** @file ASN.1 in DER (X.690), as far as certificates and their containers need it. */
import { ByteView } from '../byte-view.js';

export interface DerValue {
  /** Class, constructed bit and number as in the first byte. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

/** The values one after another in `bytes`. Throws AuditError where a length reaches beyond. */
export function derValues(bytes: Uint8Array): readonly DerValue[] {
  const view = new ByteView(bytes, 'der');
  const values: DerValue[] = [];
  for (let at = 0; at < view.size;) {
    const tag = view.u8(at);
    if ((tag & 0x1f) === 0x1f) throw view.error('tags of more than one byte are not read');
    let length = view.u8(at + 1);
    let start = at + 2;
    if (length > 0x80) {
      const count = length & 0x7f;
      if (count > 4) throw view.error(`a length of ${count} bytes`);
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + view.u8(start++);
    } else if (length === 0x80) throw view.error('lengths without an end are not read');
    const content = view.slice(start, length);
    values.push({ tag, content, whole: view.slice(at, start + length - at) });
    at = start + length;
  }
  return values;
}

/** An object identifier as `1.2.840.113549`. */
export function derOid(content: Uint8Array): string {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (numbers.length === 0)
      numbers.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else numbers.push(value);
    value = 0;
  }
  return numbers.join('.');
}
