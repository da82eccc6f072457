/** @file The part of HDF5 (format specification 3.0) that Keras writes: groups by symbol tables, attributes, contiguous data sets. */
import type { ReadBudget } from './limits.js';

const NO_ADDRESS = 0xffffffffffffffffn;
const utf8 = new TextDecoder();

/** A data set: element type, dims and, where they lie in one piece, its bytes. */
export interface Hdf5Data {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes?: Uint8Array;
}

/** A group or data set with its attributes. */
export interface Hdf5Object {
  readonly attributes: ReadonlyMap<string, string>;
  readonly data?: Hdf5Data;
  readonly children: ReadonlyMap<string, number>;
}

interface Type {
  readonly dtype: string;
  readonly size: number;
  readonly kind: 'number' | 'text' | 'variable' | 'other';
}

/** A file in memory. Objects are read by address when they are asked for. */
export class Hdf5File {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #budget: ReadBudget;
  readonly root: number;

  /** Throws AuditError where the signature or superblock is none that Keras writes. */
  constructor(bytes: Uint8Array, budget: ReadBudget) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = budget;
    this.#need(0, 96);
    if (this.#view.getUint32(0) !== 0x89484446) throw budget.invalid('signature', 'no HDF5 signature');
    const version = bytes[8]!;
    if (version > 1) throw budget.invalid('version', `a superblock of version ${version}`);
    if (bytes[13] !== 8 || bytes[14] !== 8) throw budget.invalid('version', `offsets of ${bytes[13]} bytes`);
    // Version 1 has four more bytes before the addresses; the root's symbol table entry ends the superblock.
    this.root = this.#address((version === 1 ? 28 : 24) + 4 * 8 + 8);
  }

  #need(at: number, length: number): void {
    if (!(at >= 0 && length >= 0 && at + length <= this.#bytes.length))
      throw this.#budget.invalid('offset', `bytes ${at} to ${at + length} are wanted of ${this.#bytes.length}`);
  }

  #u16(at: number): number {
    this.#need(at, 2);
    return this.#view.getUint16(at, true);
  }

  #u32(at: number): number {
    this.#need(at, 4);
    return this.#view.getUint32(at, true);
  }

  #address(at: number): number {
    this.#need(at, 8);
    const value = this.#view.getBigUint64(at, true);
    return value > BigInt(Number.MAX_SAFE_INTEGER) && value !== NO_ADDRESS ? -1 : Number(value);
  }

  #word(at: number, text: string): void {
    this.#need(at, 4);
    if (String.fromCharCode(...this.#bytes.subarray(at, at + 4)) !== text)
      throw this.#budget.invalid('block', `no ${text} at byte ${at}`);
  }

  /** The object whose header stands at `address`. Throws AuditError where it is broken. */
  object(address: number): Hdf5Object {
    const attributes = new Map<string, string>();
    const children = new Map<string, number>();
    let shape: readonly number[] = [];
    let type: Type | undefined;
    let place: { readonly at: number; readonly size: number } | undefined;
    for (const { kind, at, size } of this.#messages(address)) {
      if (kind === 0x01) shape = this.#space(at);
      else if (kind === 0x03) type = this.#type(at);
      else if (kind === 0x08) place = this.#layout(at);
      else if (kind === 0x0c) this.#attribute(at, size, attributes);
      else if (kind === 0x11) this.#group(this.#address(at), this.#address(at + 8), children);
    }
    if (type === undefined) return { attributes, children };
    const bytes = place && place.size > 0 ? this.#slice(place.at, place.size) : undefined;
    return { attributes, children, data: { dtype: type.dtype, shape, ...(bytes ? { bytes } : {}) } };
  }

  #slice(at: number, size: number): Uint8Array {
    this.#need(at, size);
    return this.#bytes.subarray(at, at + size);
  }

  /** Messages of an object header (version 1), continuations included. */
  #messages(address: number): readonly { readonly kind: number; readonly at: number; readonly size: number }[] {
    this.#need(address, 16);
    if (this.#bytes[address] !== 1)
      throw this.#budget.invalid('version', `an object header of version ${this.#bytes[address]}`);
    const count = this.#u16(address + 2);
    const blocks: [at: number, size: number][] = [[address + 16, this.#u32(address + 8)]];
    const found: { kind: number; at: number; size: number }[] = [];
    for (let block = 0; block < blocks.length && blocks.length < 1024; block++) {
      const [start, size] = blocks[block]!;
      this.#need(start, size);
      for (let at = start; at + 8 <= start + size && found.length < count;) {
        this.#budget.spend(1);
        const message = { kind: this.#u16(at), at: at + 8, size: this.#u16(at + 2) };
        this.#need(message.at, message.size);
        found.push(message);
        if (message.kind === 0x10) blocks.push([this.#address(message.at), this.#address(message.at + 8)]);
        at += 8 + message.size;
      }
    }
    return found;
  }

  #space(at: number): readonly number[] {
    this.#need(at, 8);
    const [version, rank] = [this.#bytes[at]!, this.#bytes[at + 1]!];
    const start = at + (version === 1 ? 8 : 4);
    return this.#budget.dims(Array.from({ length: rank }, (_, i) => this.#address(start + 8 * i)));
  }

  #type(at: number): Type {
    this.#need(at, 8);
    const kind = this.#bytes[at]! & 0x0f;
    const size = this.#u32(at + 4);
    const signed = (this.#bytes[at + 1]! & 8) !== 0;
    if (kind === 0) return { dtype: `${signed ? '' : 'u'}int${8 * size}`, size, kind: 'number' };
    if (kind === 1) return { dtype: `float${8 * size}`, size, kind: 'number' };
    if (kind === 3) return { dtype: 'string', size, kind: 'text' };
    if (kind === 9) return { dtype: 'string', size, kind: (this.#bytes[at + 1]! & 0x0f) === 1 ? 'variable' : 'other' };
    return { dtype: 'unknown', size, kind: 'other' };
  }

  #layout(at: number): { readonly at: number; readonly size: number } | undefined {
    this.#need(at, 2);
    // Version 3, class 1: one piece. Chunks and compact data keep their shape, and no bytes.
    if (this.#bytes[at] !== 3 || this.#bytes[at + 1] !== 1) return undefined;
    const place = this.#address(at + 2);
    return place === Number(NO_ADDRESS) ? undefined : { at: place, size: this.#address(at + 10) };
  }

  #attribute(at: number, size: number, into: Map<string, string>): void {
    this.#need(at, 8);
    const version = this.#bytes[at]!;
    const [nameSize, typeSize, spaceSize] = [this.#u16(at + 2), this.#u16(at + 4), this.#u16(at + 6)];
    // Version 1 pads each part to eight bytes.
    const padded = (length: number): number => (version === 1 ? (length + 7) & ~7 : length);
    const nameAt = at + (version === 3 ? 9 : 8);
    const typeAt = nameAt + padded(nameSize);
    const spaceAt = typeAt + padded(typeSize);
    const dataAt = spaceAt + padded(spaceSize);
    if (nameSize === 0 || dataAt > at + size) return;
    const name = utf8.decode(this.#slice(nameAt, nameSize - 1));
    const type = this.#type(typeAt);
    // Only single texts matter: the configuration and versions.
    if (this.#space(spaceAt).length > 0) return;
    if (type.kind === 'text')
      into.set(name, utf8.decode(this.#slice(dataAt, Math.min(type.size, at + size - dataAt))).replace(/\0+$/, ''));
    else if (type.kind === 'variable')
      into.set(
        name,
        utf8.decode(this.#heapObject(this.#address(dataAt + 4), this.#u32(dataAt + 12))).replace(/\0+$/, ''),
      );
  }

  /** An object of a global heap. */
  #heapObject(heap: number, index: number): Uint8Array {
    this.#word(heap, 'GCOL');
    const end = heap + this.#address(heap + 8);
    for (let at = heap + 16; at + 16 <= end;) {
      this.#budget.spend(1);
      const [each, size] = [this.#u16(at), this.#address(at + 8)];
      if (each === index) return this.#slice(at + 16, size);
      if (each === 0 || size < 0) break;
      at += 16 + ((size + 7) & ~7);
    }
    throw this.#budget.invalid('heap', `no object ${index} in a heap`);
  }

  /** Entries of a group: a B-tree of symbol tables, names in a local heap. */
  #group(tree: number, heap: number, into: Map<string, number>): void {
    this.#word(heap, 'HEAP');
    const names = this.#address(heap + 24);
    const visit = (at: number, depth: number): void => {
      if (depth > 16) throw this.#budget.invalid('limit', 'a group is nested too deep');
      this.#budget.spend(1);
      this.#need(at, 24);
      const sign = String.fromCharCode(...this.#bytes.subarray(at, at + 4));
      if (sign === 'SNOD') {
        const count = this.#u16(at + 6);
        for (let i = 0; i < count; i++) {
          this.#budget.spend(1);
          const entry = at + 8 + 40 * i;
          into.set(this.#text(names + this.#address(entry)), this.#address(entry + 8));
        }
        return;
      }
      this.#word(at, 'TREE');
      const count = this.#u16(at + 6);
      // Keys and children in turn, behind the addresses of both neighbours.
      for (let i = 0; i < count; i++) visit(this.#address(at + 24 + 8 + 16 * i), depth + 1);
    };
    visit(tree, 0);
  }

  #text(at: number): string {
    this.#need(at, 1);
    const end = this.#bytes.indexOf(0, at);
    if (end < 0 || end - at > this.#budget.limits.maxNameLength)
      throw this.#budget.invalid('name', 'a name does not end');
    return utf8.decode(this.#bytes.subarray(at, end));
  }
}
