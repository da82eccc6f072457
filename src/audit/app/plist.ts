/** @file Property lists of iOS apps (`Info.plist`), binary and XML. */
import { ByteView } from '../byte-view.js';
import { readTextXml, type XmlElement } from './xml.js';

export type PlistValue =
  string | number | boolean | null | Uint8Array | readonly PlistValue[] | { readonly [key: string]: PlistValue };

const MAX_DEPTH = 64;
const MAX_VALUES = 500_000;

/** Reads a property list. Throws AuditError. */
export function readPlist(bytes: Uint8Array): PlistValue {
  if (new TextDecoder('latin1').decode(bytes.subarray(0, 6)) === 'bplist') return readBinary(bytes);
  const root = readTextXml(bytes);
  const first = root.name === 'plist' ? root.children[0] : root;
  return first === undefined ? null : fromXml(first, 0);
}

function fromXml(element: XmlElement, depth: number): PlistValue {
  const { name, text, children } = element;
  if (depth > MAX_DEPTH) throw new ByteView(new Uint8Array(0), 'plist').error('values are nested too deeply');
  if (name === 'true' || name === 'false') return name === 'true';
  if (name === 'integer' || name === 'real') return Number(text.trim());
  if (name === 'array') return children.map((child) => fromXml(child, depth + 1));
  if (name !== 'dict') return text;
  const entries: [string, PlistValue][] = [];
  for (let i = 0; i + 1 < children.length; i += 2)
    entries.push([children[i]!.text, fromXml(children[i + 1]!, depth + 1)]);
  return Object.fromEntries(entries);
}

/** Binary form (CFBinaryPList.c): objects by number, offsets at the end; cycles and repeated growth are refused. */
function readBinary(bytes: Uint8Array): PlistValue {
  const view = new ByteView(bytes, 'plist', false);
  const trailer = view.size - 32;
  const [offsetBytes, referenceBytes] = [view.u8(trailer + 6), view.u8(trailer + 7)];
  const [count, top, table] = [view.u64(trailer + 8), view.u64(trailer + 16), view.u64(trailer + 24)];
  view.check(table, count * offsetBytes);
  const sized = (at: number, size: number): number => {
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + view.u8(at + i);
    return value;
  };
  let values = 0;
  const read = (index: number, depth: number): PlistValue => {
    if (index >= count) throw view.error(`object ${index} is wanted of ${count}`);
    if (depth > MAX_DEPTH) throw view.error('values are nested too deeply, or in a circle');
    if (++values > MAX_VALUES) throw view.error(`there are more than ${MAX_VALUES} values`);
    const at = sized(table + index * offsetBytes, offsetBytes);
    const marker = view.u8(at);
    const [kind, low] = [marker >>> 4, marker & 15];
    if (kind === 0) return low === 8 ? false : low === 9 ? true : null;
    if (kind === 1) return sized(at + 1, Math.min(2 ** low, 16));
    if (kind === 2) return low === 2 ? view.f32(at + 1) : view.f64(at + 1);
    if (kind === 3) return new Date((view.f64(at + 1) + 978_307_200) * 1000).getTime();
    if (kind === 8) return sized(at + 1, low + 1);
    let [length, start] = [low, at + 1];
    if (low === 15) {
      const bytesOfLength = 2 ** (view.u8(at + 1) & 15);
      length = sized(at + 2, Math.min(bytesOfLength, 8));
      start = at + 2 + bytesOfLength;
    }
    if (kind === 4) return view.slice(start, length);
    if (kind === 5) return new TextDecoder('latin1').decode(view.slice(start, length));
    if (kind === 6) return new TextDecoder('utf-16be').decode(view.slice(start, 2 * length));
    if (kind !== 10 && kind !== 12 && kind !== 13) throw view.error(`object ${index} is of kind ${kind}`);
    view.check(start, length * referenceBytes * (kind === 13 ? 2 : 1));
    const reference = (i: number): PlistValue => read(sized(start + i * referenceBytes, referenceBytes), depth + 1);
    if (kind !== 13) return Array.from({ length }, (_, i) => reference(i));
    return Object.fromEntries(
      Array.from({ length }, (_, i): [string, PlistValue] => [String(reference(i) as unknown), reference(length + i)]),
    );
  };
  return read(top, 0);
}
