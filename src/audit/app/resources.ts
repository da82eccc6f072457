/** @file Android's compiled resources (`resources.arsc`; ResTable of androidfw's ResourceTypes.h): names and values by number. */
import { ByteView } from '../byte-view.js';
import { readValue } from './binary-xml.js';
import { StringPool } from './string-pool.js';
import { type XmlValue } from './xml.js';

const TABLE = 0x0002;
const PACKAGE = 0x0200;
const TYPE = 0x0201;
const SPARSE = 1;
const OFFSET16 = 2;
const COMPLEX = 1;
const COMPACT = 8;
const MAX_REFERENCES = 8;
/** Type chunks of one table: a type for every configuration. */
const MAX_TYPES = 200_000;

/** One value of a resource, for one configuration. */
export interface ResourceValue {
  /** Two or three letters; empty where it is for all. */
  readonly language: string;
  /** For every device: no language, density, version or else asked for. */
  readonly isDefault: boolean;
  readonly value: XmlValue;
}

export interface Resources {
  /** Package names by their number; an app's own is 0x7f. */
  readonly packages: ReadonlyMap<number, string>;
  /** The values of a resource; bags (styles, arrays) have none here. Empty where it is not defined. */
  values(id: number): readonly ResourceValue[];
  /** `@string/app_name` of a number, where it is defined. */
  name(id: number): string | undefined;
  /** The text that a number stands for, references followed: the default's, else English, else any. */
  text(id: number): string | undefined;
  /** Numbers of all resources that have a value or a bag in some configuration. */
  ids(): Iterable<number>;
}

interface TypeChunk {
  readonly at: number;
  readonly flags: number;
  readonly entryCount: number;
  readonly entriesStart: number;
  readonly offsets: number;
  readonly end: number;
  readonly language: string;
  readonly isDefault: boolean;
}

interface Package {
  readonly types: StringPool | undefined;
  readonly keys: StringPool | undefined;
  /** By type number. */
  readonly chunks: ReadonlyMap<number, readonly TypeChunk[]>;
}

/** Opens a resource table; values are read when asked for. Throws AuditError where it is broken. */
export function openResources(bytes: Uint8Array): Resources {
  const view = new ByteView(bytes, 'resources');
  if (view.u16(0) !== TABLE) throw view.error('this is no resource table');
  const end = Math.min(view.u32(4), view.size);
  let strings: StringPool | undefined;
  const found = new Map<number, Package>();
  const names = new Map<number, string>();
  let typeCount = 0;
  for (let at = view.u16(2); at + 8 <= end;) {
    const [type, size] = [view.u16(at), view.u32(at + 4)];
    if (size < 8 || at + size > end) throw view.error(`the chunk at byte ${at} has ${size} bytes`);
    if (type === 1 && strings === undefined) strings = new StringPool(view, at);
    if (type === PACKAGE) {
      const id = view.u32(at + 8) & 0xff;
      names.set(id, packageName(view, at + 12));
      const chunks = new Map<number, TypeChunk[]>();
      const header = view.u16(at + 2);
      for (let inner = at + header; inner + 8 <= at + size;) {
        const innerSize = view.u32(inner + 4);
        if (innerSize < 8 || inner + innerSize > at + size)
          throw view.error(`the chunk at byte ${inner} has ${innerSize} bytes`);
        if (view.u16(inner) === TYPE) {
          if (++typeCount > MAX_TYPES) throw view.error(`there are more than ${MAX_TYPES} types`);
          const number = view.u8(inner + 8);
          chunks.set(number, [...(chunks.get(number) ?? []), readTypeChunk(view, inner, innerSize)]);
        }
        inner += innerSize;
      }
      const [types, keys] = [view.u32(at + 268), view.u32(at + 276)];
      found.set(id, {
        types: types === 0 ? undefined : new StringPool(view, at + types),
        keys: keys === 0 ? undefined : new StringPool(view, at + keys),
        chunks,
      });
    }
    at += size;
  }
  return new Table(view, strings, found, names);
}

class Table implements Resources {
  readonly packages: ReadonlyMap<number, string>;
  readonly #view: ByteView;
  readonly #strings: StringPool | undefined;
  readonly #found: ReadonlyMap<number, Package>;

  constructor(
    view: ByteView,
    strings: StringPool | undefined,
    found: ReadonlyMap<number, Package>,
    names: ReadonlyMap<number, string>,
  ) {
    this.#view = view;
    this.#strings = strings;
    this.#found = found;
    this.packages = names;
  }

  values(id: number): readonly ResourceValue[] {
    const text = (index: number): string => this.#strings?.get(index) ?? '';
    return this.#chunks(id).flatMap((chunk): ResourceValue[] => {
      const at = entryAt(this.#view, chunk, id & 0xffff);
      if (at === undefined) return [];
      const flags = this.#view.u16(at + 2);
      const { language, isDefault } = chunk;
      if (flags & COMPACT) return [{ language, isDefault, value: compactValue(this.#view, at, flags >>> 8, text) }];
      if (flags & COMPLEX) return [];
      return [{ language, isDefault, value: readValue(this.#view, at + this.#view.u16(at), text) }];
    });
  }

  name(id: number): string | undefined {
    const pack = this.#found.get(id >>> 24);
    const at = this.#firstEntry(id);
    if (pack === undefined || at === undefined) return undefined;
    const key = this.#view.u16(at + 2) & COMPACT ? this.#view.u16(at) : this.#view.u32(at + 4);
    return `@${pack.types?.get(((id >>> 16) & 0xff) - 1) ?? ''}/${pack.keys?.get(key) ?? ''}`;
  }

  text(id: number): string | undefined {
    let wanted = id;
    for (let step = 0; step < MAX_REFERENCES; step++) {
      const values = this.values(wanted);
      const best =
        values.find(({ isDefault }) => isDefault) ?? values.find(({ language }) => language === 'en') ?? values[0];
      if (best === undefined) return undefined;
      if (best.value.kind === 'string') return best.value.value;
      if (best.value.kind === 'int') return String(best.value.value);
      if (best.value.kind !== 'reference') return undefined;
      wanted = best.value.id;
    }
    return undefined;
  }

  *ids(): Generator<number> {
    for (const [pack, { chunks }] of this.#found)
      for (const [type, list] of chunks) {
        const count = list.reduce((most, { entryCount }) => Math.max(most, Math.min(entryCount, 0x10000)), 0);
        for (let entry = 0; entry < count; entry++) {
          const id = ((pack << 24) | (type << 16) | entry) >>> 0;
          if (this.#firstEntry(id) !== undefined) yield id;
        }
      }
  }

  #chunks(id: number): readonly TypeChunk[] {
    return this.#found.get(id >>> 24)?.chunks.get((id >>> 16) & 0xff) ?? [];
  }

  #firstEntry(id: number): number | undefined {
    for (const chunk of this.#chunks(id)) {
      const at = entryAt(this.#view, chunk, id & 0xffff);
      if (at !== undefined) return at;
    }
    return undefined;
  }
}

function packageName(view: ByteView, at: number): string {
  const name = new TextDecoder('utf-16le').decode(view.slice(at, 256));
  const end = name.indexOf('\0');
  return end < 0 ? name : name.slice(0, end);
}

function readTypeChunk(view: ByteView, at: number, size: number): TypeChunk {
  const config = at + 20;
  const configBytes = view.slice(config + 4, Math.max(0, Math.min(view.u32(config), size - 20) - 4));
  return {
    at,
    flags: view.u8(at + 9),
    entryCount: view.u32(at + 12),
    entriesStart: view.u32(at + 16),
    offsets: at + view.u16(at + 2),
    end: at + size,
    language: languageOf(configBytes),
    isDefault: configBytes.every((byte) => byte === 0),
  };
}

/** Two letters, or three packed into fifteen bits. */
function languageOf(config: Uint8Array): string {
  const [first = 0, second = 0] = config.subarray(4, 6);
  if (first === 0) return '';
  if (!(first & 0x80)) return String.fromCharCode(first, second);
  const letters = [second & 0x1f, ((second & 0xe0) >> 5) | ((first & 3) << 3), (first & 0x7c) >> 2];
  return String.fromCharCode(...letters.map((letter) => letter + 97));
}

/** Where an entry stands; `undefined` where this configuration does not define it. */
function entryAt(
  view: ByteView,
  { at, flags, entryCount, entriesStart, offsets, end }: TypeChunk,
  entry: number,
): number | undefined {
  let offset: number | undefined;
  if (flags & SPARSE) {
    // Pairs of number and offset, sorted by number.
    let [low, high] = [0, entryCount - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const number = view.u16(offsets + 4 * middle);
      if (number === entry) {
        offset = 4 * view.u16(offsets + 4 * middle + 2);
        break;
      }
      if (number < entry) low = middle + 1;
      else high = middle - 1;
    }
  } else if (entry < entryCount) {
    const stated = flags & OFFSET16 ? view.u16(offsets + 2 * entry) : view.u32(offsets + 4 * entry);
    if (stated !== (flags & OFFSET16 ? 0xffff : 0xffffffff)) offset = flags & OFFSET16 ? 4 * stated : stated;
  }
  if (offset === undefined) return undefined;
  const found = at + entriesStart + offset;
  if (found + 8 > end) throw view.error(`entry ${entry} of the type at byte ${at} reaches beyond it`);
  return found;
}

/** An entry of eight bytes: key, flags with the value's type in their upper half, data. */
function compactValue(view: ByteView, at: number, type: number, text: (index: number) => string): XmlValue {
  const data = view.u32(at + 4);
  if (type === 3) return { kind: 'string', value: text(data) };
  if (type === 1) return { kind: 'reference', id: data };
  if (type === 0x12) return { kind: 'bool', value: data !== 0 };
  return type === 0x10 || type === 0x11 ? { kind: 'int', value: data | 0 } : { kind: 'other', type, data };
}
