/** @file The XML of apps as one tree, whatever it was written as; and a reader of plain text XML without entities of its own. */
import { AuditError } from '../errors.js';

export type XmlValue =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  /** A resource of the app or of Android, by number. */
  | { readonly kind: 'reference'; readonly id: number }
  /** Colours, dimensions, fractions and what else an attribute may hold. */
  | { readonly kind: 'other'; readonly type: number; readonly data: number };

export interface XmlAttribute {
  /** Without its namespace. */
  readonly name: string;
  readonly namespace: string | undefined;
  readonly value: XmlValue;
}

export interface XmlElement {
  readonly name: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  readonly text: string;
}

/** An element while its children still come. */
export interface OpenElement {
  readonly name: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: XmlElement[];
  text: string;
}

/** What any XML may hold. */
export const XML_LIMITS = { maxElements: 500_000, maxDepth: 256, maxAttributes: 2_000_000 } as const;

/** Collects elements from begin and end marks, in whatever encoding these come. */
export class XmlBuilder {
  readonly #open: OpenElement[] = [];
  #root: XmlElement | undefined;
  #elements = 0;
  #attributes = 0;

  begin(name: string, attributes: readonly XmlAttribute[]): void {
    this.#attributes += attributes.length;
    if (++this.#elements > XML_LIMITS.maxElements || this.#attributes > XML_LIMITS.maxAttributes)
      throw new AuditError('xml', 'the document has too many elements or attributes');
    if (this.#open.length >= XML_LIMITS.maxDepth)
      throw new AuditError('xml', `elements are nested more than ${XML_LIMITS.maxDepth} deep`);
    const element: OpenElement = { name, attributes, children: [], text: '' };
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.children.push(element);
    else this.#root ??= element;
    this.#open.push(element);
  }

  text(value: string): void {
    const element = this.#open.at(-1);
    if (element !== undefined) element.text += value;
  }

  end(): void {
    if (this.#open.pop() === undefined) throw new AuditError('xml', 'an element ends that never began');
  }

  /** The name of the innermost open element. */
  get current(): string | undefined {
    return this.#open.at(-1)?.name;
  }

  /** The first root element. Throws AuditError where there is none. */
  root(): XmlElement {
    if (this.#root === undefined) throw new AuditError('xml', 'the document has no element');
    return this.#root;
  }
}

/** Android's own namespace of attributes. */
export const ANDROID = 'http://schemas.android.com/apk/res/android';

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Attribute values and text with the five named entities and numbered ones replaced; others stay as they are, never expanded. */
function unescape(text: string): string {
  return text.includes('&')
    ? text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|\w{1,8});/gi, (whole, name: string) => {
        if (name[0] !== '#') return named[name] ?? whole;
        const code = name[1] === 'x' || name[1] === 'X' ? parseInt(name.slice(2), 16) : Number(name.slice(1));
        return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : whole;
      })
    : text;
}

/**
 * Reads text XML: elements, attributes, text, CDATA. Document types are passed over, so no entity can grow.
 * Prefixes are cut off; attributes of the prefix `android` get Android's namespace. Throws AuditError.
 */
export function readTextXml(bytes: Uint8Array): XmlElement {
  const text = decodeText(bytes);
  const builder = new XmlBuilder();
  let at = 0;
  const until = (mark: string, from: number, what: string): number => {
    const end = text.indexOf(mark, from);
    if (end < 0) throw new AuditError('xml', `${what} at character ${from} does not end`);
    return end;
  };
  while (at < text.length) {
    const open = text.indexOf('<', at);
    builder.text(unescape(text.slice(at, open < 0 ? undefined : open)));
    if (open < 0) break;
    if (text.startsWith('<!--', open)) at = until('-->', open, 'a comment') + 3;
    else if (text.startsWith('<![CDATA[', open)) {
      const end = until(']]>', open, 'CDATA');
      builder.text(text.slice(open + 9, end));
      at = end + 3;
    } else if (text.startsWith('<?', open)) at = until('?>', open, 'an instruction') + 2;
    else if (text.startsWith('<!', open)) at = skipDeclaration(text, open);
    else if (text[open + 1] === '/') {
      const end = until('>', open, 'a tag');
      const name = local(text.slice(open + 2, end).trim());
      if (builder.current !== name) throw new AuditError('xml', `<${builder.current}> is closed by </${name}>`);
      builder.end();
      at = end + 1;
    } else at = readTag(text, open, builder);
  }
  if (builder.current !== undefined) throw new AuditError('xml', `<${builder.current}> does not end`);
  return builder.root();
}

const local = (name: string): string => name.slice(name.indexOf(':') + 1);
const NAME = /[^\s=<>/'"]+/y;
const SPACE = /\s*/y;

function readTag(text: string, open: number, builder: XmlBuilder): number {
  const match = (pattern: RegExp, at: number): string => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0] ?? '';
  };
  const name = match(NAME, open + 1);
  if (name === '') throw new AuditError('xml', `no name follows '<' at character ${open}`);
  const attributes: XmlAttribute[] = [];
  let at = open + 1 + name.length;
  for (;;) {
    at += match(SPACE, at).length;
    if (text[at] === '>' || text.startsWith('/>', at)) break;
    const key = match(NAME, at);
    at += key.length;
    at += match(SPACE, at).length;
    if (key === '' || text[at] !== '=') throw new AuditError('xml', `<${name}> is broken at character ${at}`);
    at += 1 + match(SPACE, at + 1).length;
    const quote = text[at];
    const end = quote === '"' || quote === "'" ? text.indexOf(quote, at + 1) : -1;
    if (end < 0) throw new AuditError('xml', `attribute '${key}' of <${name}> has no closed value`);
    const value = { kind: 'string', value: unescape(text.slice(at + 1, end)) } as const;
    attributes.push({ name: local(key), namespace: key.startsWith('android:') ? ANDROID : undefined, value });
    at = end + 1;
  }
  builder.begin(local(name), attributes);
  if (text[at] === '>') return at + 1;
  builder.end();
  return at + 2;
}

/** A document type with its own declarations in brackets. */
function skipDeclaration(text: string, open: number): number {
  const end = text.indexOf('>', open);
  const bracket = text.indexOf('[', open);
  if (end < 0) throw new AuditError('xml', 'a declaration does not end');
  if (bracket < 0 || bracket > end) return end + 1;
  const close = text.indexOf(']', bracket);
  const after = close < 0 ? -1 : text.indexOf('>', close);
  if (after < 0) throw new AuditError('xml', 'a declaration does not end');
  return after + 1;
}

function decodeText(bytes: Uint8Array): string {
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  return new TextDecoder(encoding).decode(bytes);
}

/** The first attribute of a name, Android's before others of that name. */
export function attribute(element: XmlElement, name: string): XmlValue | undefined {
  const found = element.attributes.filter((each) => each.name === name);
  return (found.find(({ namespace }) => namespace === ANDROID) ?? found[0])?.value;
}

/** All elements of a name below `element`, at any depth. */
export function* descendants(element: XmlElement, name: string): Generator<XmlElement> {
  for (const child of element.children) {
    if (child.name === name) yield child;
    yield* descendants(child, name);
  }
}
