/** @file DEX files (Dalvik executable format 035–041): strings, types, methods, classes, and what the code calls. */
import { ByteView } from '../byte-view.js';
import { walkCode } from './dex-code.js';

/** A class that the file defines. */
export interface DexClass {
  readonly type: number;
  readonly classData: number;
}

/** What code refers to, and from which class. */
export interface DexVisitor {
  invoke(caller: number, method: number): void;
  string(caller: number, string: number): void;
}

/** Parameters and return type of a method, as types. */
export interface DexProto {
  readonly returns: string;
  readonly parameters: readonly string[];
}

const HEADER_BYTES = 0x70;

/** True where the bytes begin like a DEX file. */
export function isDex(head: Uint8Array): boolean {
  return (
    head.length >= 8 && head[0] === 0x64 && head[1] === 0x65 && head[2] === 0x78 && head[3] === 0x0a && head[7] === 0
  );
}

/** The parts of a file: one but for version 041, where several share their data. Throws AuditError. */
export function openDex(bytes: Uint8Array): readonly Dex[] {
  const view = new ByteView(bytes, 'dex');
  const parts: Dex[] = [];
  for (let at = 0; at + HEADER_BYTES <= view.size;) {
    const dex = new Dex(view, at);
    parts.push(dex);
    if (dex.version < 41) break;
    at += dex.fileSize;
    if (dex.fileSize < HEADER_BYTES || !isDex(bytes.subarray(at, at + 8))) break;
  }
  if (parts.length === 0) throw view.error(`${bytes.length} bytes are too few for a DEX file`);
  return parts;
}

/** One DEX. Lists are read where asked for; every access is checked. */
export class Dex {
  readonly version: number;
  readonly fileSize: number;
  readonly stringCount: number;
  readonly typeCount: number;
  readonly protoCount: number;
  readonly methodCount: number;
  readonly classCount: number;
  readonly #view: ByteView;
  readonly #strings: number;
  readonly #types: number;
  readonly #protos: number;
  readonly #methods: number;
  readonly #classes: number;

  constructor(view: ByteView, at: number) {
    if (!isDex(view.bytes.subarray(at, at + 8))) throw view.error('this is no DEX file');
    this.version = Number(String.fromCharCode(...view.slice(at + 4, 3)));
    if (!(this.version >= 35 && this.version <= 41)) throw view.error(`version ${this.version} is not known`);
    if (view.u32(at + 40) !== 0x12345678) throw view.error('its byte order is not known');
    this.#view = view;
    this.fileSize = view.u32(at + 32);
    [this.stringCount, this.#strings] = this.#list(at + 56, 4);
    [this.typeCount, this.#types] = this.#list(at + 64, 4);
    [this.protoCount, this.#protos] = this.#list(at + 72, 12);
    [this.methodCount, this.#methods] = this.#list(at + 88, 8);
    [this.classCount, this.#classes] = this.#list(at + 96, 32);
  }

  #list(at: number, itemBytes: number): [count: number, offset: number] {
    const [count, offset] = [this.#view.u32(at), this.#view.u32(at + 4)];
    if (count > 0) this.#view.check(offset, count * itemBytes);
    return [count, offset];
  }

  /** A string by its number. */
  string(index: number): string {
    if (index >= this.stringCount) throw this.#view.error(`string ${index} is wanted of ${this.stringCount}`);
    const [, start] = uleb128(this.#view, this.#view.u32(this.#strings + 4 * index));
    const end = this.#view.bytes.indexOf(0, start);
    if (end < 0) throw this.#view.error(`string ${index} does not end`);
    return modifiedUtf8(this.#view.bytes.subarray(start, end));
  }

  /** A type's descriptor: `Lorg/tensorflow/lite/Interpreter;`, `[I`. */
  type(index: number): string {
    if (index >= this.typeCount) throw this.#view.error(`type ${index} is wanted of ${this.typeCount}`);
    return this.string(this.#view.u32(this.#types + 4 * index));
  }

  /** The type that a method belongs to. */
  methodClass(method: number): number {
    this.#checkMethod(method);
    return this.#view.u16(this.#methods + 8 * method);
  }

  methodName(method: number): string {
    this.#checkMethod(method);
    return this.string(this.#view.u32(this.#methods + 8 * method + 4));
  }

  methodProto(method: number): DexProto {
    this.#checkMethod(method);
    const index = this.#view.u16(this.#methods + 8 * method + 2);
    if (index >= this.protoCount) throw this.#view.error(`prototype ${index} is wanted of ${this.protoCount}`);
    const at = this.#protos + 12 * index;
    const list = this.#view.u32(at + 8);
    const count = list === 0 ? 0 : this.#view.u32(list);
    if (count > 65_535) throw this.#view.error(`a prototype has ${count} parameters`);
    const parameters = Array.from({ length: count }, (_, i) => this.type(this.#view.u16(list + 4 + 2 * i)));
    return { returns: this.type(this.#view.u32(at + 4)), parameters };
  }

  #checkMethod(method: number): void {
    if (method >= this.methodCount) throw this.#view.error(`method ${method} is wanted of ${this.methodCount}`);
  }

  *classes(): Generator<DexClass> {
    for (let i = 0; i < this.classCount; i++) {
      const at = this.#classes + 32 * i;
      yield { type: this.#view.u32(at), classData: this.#view.u32(at + 24) };
    }
  }

  /** Numbers of the methods that a class defines, each with where its code is (0: abstract or native). */
  *methods({ classData }: DexClass): Generator<{ readonly method: number; readonly code: number }> {
    if (classData === 0) return;
    const view = this.#view;
    let at = classData;
    const next = (): number => {
      const [value, end] = uleb128(view, at);
      at = end;
      return value;
    };
    const [staticFields, instanceFields, direct, virtual] = [next(), next(), next(), next()];
    for (let i = 0; i < staticFields + instanceFields; i++) {
      next();
      next();
    }
    for (const count of [direct, virtual])
      for (let i = 0, method = 0; i < count; i++) {
        method += next();
        next();
        yield { method, code: next() };
      }
  }

  /**
   * Walks the code of all classes. Methods that share code, as no compiler makes them, may not be walked more than a
   * few times the file's size in all. Throws AuditError where class data or code is broken.
   */
  walk(visitor: DexVisitor): void {
    let budget = 4 * this.#view.size;
    for (const each of this.classes())
      for (const { code } of this.methods(each)) {
        if (code === 0) continue;
        budget -=
          16 +
          2 *
            walkCode(this.#view, code, {
              invoke: (method) => visitor.invoke(each.type, method),
              string: (string) => visitor.string(each.type, string),
            });
        if (budget < 0) throw this.#view.error('its methods share more code than the file holds');
      }
  }
}

function uleb128(view: ByteView, at: number): [value: number, end: number] {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = view.u8(at + i);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  throw view.error(`the number at byte ${at} does not end`);
}

const utf8 = new TextDecoder();

/** MUTF-8: zero in two bytes, and surrogates one by one in three. */
function modifiedUtf8(bytes: Uint8Array): string {
  if (!bytes.some((byte) => byte === 0xed || byte === 0xc0)) return utf8.decode(bytes);
  const units: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const [a = 0, b = 0, c = 0] = [bytes[at], bytes[at + 1], bytes[at + 2]];
    const length = a < 0x80 ? 1 : (a & 0xe0) === 0xc0 ? 2 : 3;
    if (length === 1) units.push(a);
    else if (length === 2) units.push(((a & 0x1f) << 6) | (b & 0x3f));
    else units.push(((a & 0x0f) << 12) | ((b & 0x3f) << 6) | (c & 0x3f));
    at += length;
  }
  let text = '';
  for (let at = 0; at < units.length; at += 4096) text += String.fromCharCode(...units.slice(at, at + 4096));
  return text;
}
