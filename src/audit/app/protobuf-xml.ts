/** @file The XML of app bundles: aapt2's `XmlNode` messages (Resources.proto), as in `base/manifest/AndroidManifest.xml` of an AAB. */
import { ByteView } from '../byte-view.js';
import { wireFields } from './protobuf-wire.js';
import { XmlBuilder, type XmlAttribute, type XmlElement, type XmlValue } from './xml.js';

const text = new TextDecoder();

/** Reads an `XmlNode`. Throws AuditError where the bytes are none. */
export function readProtobufXml(bytes: Uint8Array): XmlElement {
  const builder = new XmlBuilder();
  readNode(bytes, builder);
  return builder.root();
}

/** Calls the reader that stands for each field of a message. */
function each(bytes: Uint8Array, readers: Readonly<Record<number, (value: number | Uint8Array) => void>>): void {
  for (const { number, value } of wireFields(new ByteView(bytes, 'protobuf-xml'))) readers[number]?.(value);
}

const bytesOf = (value: number | Uint8Array): Uint8Array => (typeof value === 'number' ? new Uint8Array(0) : value);
const textOf = (value: number | Uint8Array): string => text.decode(bytesOf(value));
const numberOf = (value: number | Uint8Array): number => (typeof value === 'number' ? value : 0);

function readNode(bytes: Uint8Array, builder: XmlBuilder): void {
  each(bytes, { 1: (element) => readElement(bytesOf(element), builder), 2: (value) => builder.text(textOf(value)) });
}

function readElement(bytes: Uint8Array, builder: XmlBuilder): void {
  let name = '';
  const attributes: XmlAttribute[] = [];
  const children: Uint8Array[] = [];
  each(bytes, {
    3: (value) => (name = textOf(value)),
    4: (value) => attributes.push(readAttribute(bytesOf(value))),
    5: (value) => children.push(bytesOf(value)),
  });
  builder.begin(name, attributes);
  for (const child of children) readNode(child, builder);
  builder.end();
}

function readAttribute(bytes: Uint8Array): XmlAttribute {
  let [namespace, name, raw] = ['', '', ''];
  let compiled: XmlValue | undefined;
  each(bytes, {
    1: (value) => (namespace = textOf(value)),
    2: (value) => (name = textOf(value)),
    3: (value) => (raw = textOf(value)),
    6: (value) => (compiled = readItem(bytesOf(value))),
  });
  return {
    name,
    namespace: namespace === '' ? undefined : namespace,
    value: compiled ?? { kind: 'string', value: raw },
  };
}

/** `Item`: 1 reference, 2 string, 7 primitive; others are left to the text as written. */
function readItem(bytes: Uint8Array): XmlValue | undefined {
  let found: XmlValue | undefined;
  each(bytes, {
    1: (reference) => each(bytesOf(reference), { 2: (id) => (found = { kind: 'reference', id: numberOf(id) }) }),
    2: (string) => each(bytesOf(string), { 1: (value) => (found = { kind: 'string', value: textOf(value) }) }),
    // `Primitive`: 6 decimal, 7 hexadecimal, 8 boolean.
    7: (primitive) =>
      each(bytesOf(primitive), {
        6: (value) => (found = { kind: 'int', value: numberOf(value) | 0 }),
        7: (value) => (found = { kind: 'int', value: numberOf(value) | 0 }),
        8: (value) => (found = { kind: 'bool', value: numberOf(value) !== 0 }),
      }),
  });
  return found;
}
