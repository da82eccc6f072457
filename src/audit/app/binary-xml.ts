/** @file Android's binary XML (AXML; ResXMLTree of androidfw's ResourceTypes.h): manifests and layouts as compiled into APKs. */
import { ByteView } from '../byte-view.js';
import { StringPool, STRING_POOL } from './string-pool.js';
import { ANDROID, XmlBuilder, type XmlAttribute, type XmlElement, type XmlValue } from './xml.js';

const XML = 0x0003;
const RESOURCE_MAP = 0x0180;
const START_ELEMENT = 0x0102;
const END_ELEMENT = 0x0103;
const TEXT = 0x0104;

/** Android reads attributes by these numbers and never looks at their names, which some tools empty or falsify. */
const attributeNames: Readonly<Record<number, string>> = {
  0x01010001: 'label',
  0x01010003: 'name',
  0x01010006: 'permission',
  0x0101000c: 'hasCode',
  0x0101000f: 'debuggable',
  0x01010010: 'exported',
  0x01010011: 'process',
  0x01010018: 'authorities',
  0x01010024: 'value',
  0x01010025: 'resource',
  0x01010202: 'targetActivity',
  0x0101020c: 'minSdkVersion',
  0x0101021b: 'versionCode',
  0x0101021c: 'versionName',
  0x01010270: 'targetSdkVersion',
  0x01010271: 'maxSdkVersion',
  0x01010281: 'glEsVersion',
  0x0101028e: 'required',
  0x010103f4: 'isGame',
  0x010104ea: 'extractNativeLibs',
  0x01010545: 'appCategory',
  0x01010576: 'versionCodeMajor',
};

/** True where the bytes begin like binary XML. */
export function isBinaryXml(head: Uint8Array): boolean {
  return head.length >= 8 && head[0] === XML && head[1] === 0 && head[2] === 8 && head[3] === 0;
}

/** Reads binary XML into a tree. Unknown chunks are passed over, as Android does. Throws AuditError. */
export function readBinaryXml(bytes: Uint8Array): XmlElement {
  const view = new ByteView(bytes, 'binary-xml');
  if (view.u16(0) !== XML) throw view.error('this is no binary XML');
  const end = Math.min(view.u32(4), view.size);
  const builder = new XmlBuilder();
  let pool: StringPool | undefined;
  let map: { readonly at: number; readonly count: number } | undefined;
  const text = (index: number): string => pool?.get(index) ?? '';
  for (let at = view.u16(2); at + 8 <= end;) {
    const [type, header, size] = [view.u16(at), view.u16(at + 2), view.u32(at + 4)];
    if (size < 8 || at + size > end) throw view.error(`the chunk at byte ${at} has ${size} bytes`);
    if (type === STRING_POOL && pool === undefined) pool = new StringPool(view, at);
    else if (type === RESOURCE_MAP) map = { at: at + header, count: Math.floor(Math.max(0, size - header) / 4) };
    else if (type === START_ELEMENT) {
      const body = at + header;
      const attributes = readAttributes(view, body, at + size, text, (name) =>
        map !== undefined && name < map.count ? view.u32(map.at + 4 * name) : undefined,
      );
      builder.begin(text(view.u32(body + 4)), attributes);
    } else if (type === END_ELEMENT) builder.end();
    else if (type === TEXT) builder.text(text(view.u32(at + header)));
    at += size;
  }
  return builder.root();
}

function readAttributes(
  view: ByteView,
  body: number,
  end: number,
  text: (index: number) => string,
  resourceOf: (name: number) => number | undefined,
): readonly XmlAttribute[] {
  const [start, stride, count] = [view.u16(body + 8), view.u16(body + 10), view.u16(body + 12)];
  if (count > 0 && (stride < 20 || body + start + stride * count > end))
    throw view.error(`${count} attributes do not fit into their element`);
  const attributes: XmlAttribute[] = [];
  for (let i = 0; i < count; i++) {
    const at = body + start + stride * i;
    const nameIndex = view.u32(at + 4);
    const known = attributeNames[resourceOf(nameIndex) ?? 0];
    const space = text(view.u32(at));
    attributes.push({
      name: known ?? text(nameIndex),
      namespace: known !== undefined ? ANDROID : space === '' ? undefined : space,
      value: readValue(view, at + 12, text, view.u32(at + 8)),
    });
  }
  return attributes;
}

/** Res_value: size, zero, type, data; `raw` is the number of the text as written, where it is kept. */
export function readValue(view: ByteView, at: number, text: (index: number) => string, raw = 0xffffffff): XmlValue {
  const [type, data] = [view.u8(at + 3), view.u32(at + 4)];
  if (type === 3) return { kind: 'string', value: text(data) };
  if (type === 1 || type === 7) return { kind: 'reference', id: data };
  if (type === 0x12) return { kind: 'bool', value: data !== 0 };
  if (type === 0x10 || type === 0x11) return { kind: 'int', value: data | 0 };
  if (raw !== 0xffffffff && type === 0) return { kind: 'string', value: text(raw) };
  return { kind: 'other', type, data };
}
