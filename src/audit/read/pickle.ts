/** @file Python pickles as plain data: nothing is imported, built or called. Only what checkpoints of tensors use. */
import type { ReadBudget } from './limits.js';

/** What a pickle holds. Names of classes and functions stay names; calls stay calls. */
export type Pickled =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Pickled[]
  | PickledMap
  | PickledName
  | PickledCall
  | PickledReference;

/** A dictionary, with its entries in order. */
export interface PickledMap {
  readonly kind: 'map';
  readonly entries: (readonly [key: Pickled, value: Pickled])[];
}
/** A class or function that is only named. */
export interface PickledName {
  readonly kind: 'name';
  readonly name: string;
}
/** A call or an object that was not made; `state` is what would have been put into it. */
export interface PickledCall {
  readonly kind: 'call';
  readonly callee: Pickled;
  readonly args: Pickled;
  state?: Pickled;
}
/** Something that stands outside of the pickle. */
export interface PickledReference {
  readonly kind: 'reference';
  readonly id: Pickled;
}

const MARK = Symbol('mark');
type Slot = Pickled | typeof MARK;
/** Lists and dictionaries grow after they are made. */
type Growing = Pickled[];

const latin = new TextDecoder('latin1');
const utf8 = new TextDecoder();

/**
 * Reads one pickle of protocol 2 to 5 from `at`; returns its value and where it ends. Throws AuditError where an operation is
 * none that such files use, the bytes end, or a limit is exceeded.
 */
export function readPickle(
  bytes: Uint8Array,
  at: number,
  budget: ReadBudget,
): { readonly value: Pickled; readonly end: number } {
  return new PickleReader(bytes, at, budget).read();
}

class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #budget: ReadBudget;
  readonly #stack: Slot[] = [];
  readonly #memo = new Map<number, Pickled>();
  #at: number;

  constructor(bytes: Uint8Array, at: number, budget: ReadBudget) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = budget;
    this.#at = at;
  }

  read(): { readonly value: Pickled; readonly end: number } {
    for (;;) {
      this.#budget.spend(1);
      const code = this.#take(1);
      if (code === 0x2e) return { value: this.#pop(), end: this.#at };
      this.#step(code);
    }
  }

  #step(code: number): void {
    switch (String.fromCharCode(code)) {
      case '\x80':
        this.#take(1);
        return;
      case '\x95':
        this.#skip(8);
        return;
      case '(':
        this.#stack.push(MARK);
        return;
      case '0':
        this.#pop();
        return;
      case 'N':
        return this.#push(null);
      case '\x88':
        return this.#push(true);
      case '\x89':
        return this.#push(false);
      case 'K':
        return this.#push(this.#take(1));
      case 'M':
        return this.#push(this.#take(2));
      case 'J':
        return this.#push(this.#take(4) | 0);
      case '\x8a':
        return this.#push(this.#long(this.#take(1)));
      case 'G':
        return this.#push(this.#view.getFloat64(this.#skip(8), false));
      case 'X':
        return this.#push(utf8.decode(this.#run(this.#take(4))));
      case '\x8c':
        return this.#push(utf8.decode(this.#run(this.#take(1))));
      case 'U':
        return this.#push(latin.decode(this.#run(this.#take(1))));
      case 'T':
        return this.#push(latin.decode(this.#run(this.#take(4))));
      case 'C':
        return this.#push(this.#run(this.#take(1)));
      case 'B':
        return this.#push(this.#run(this.#take(4)));
      case 'c': {
        const module = this.#line();
        return this.#push({ kind: 'name', name: `${module}.${this.#line()}` });
      }
      case '\x93': {
        const [name, module] = [this.#pop(), this.#pop()];
        return this.#push({ kind: 'name', name: `${wordOf(module)}.${wordOf(name)}` });
      }
      case ')':
        return this.#push([]);
      case ']':
        return this.#push([] as Growing);
      case '}':
        return this.#push({ kind: 'map', entries: [] });
      case 't':
        return this.#push(this.#popToMark());
      case 'l':
        return this.#push(this.#popToMark());
      case '\x85':
      case '\x86':
      case '\x87': {
        const items: Pickled[] = [];
        for (let i = code - 0x84; i > 0; i--) items.unshift(this.#pop());
        return this.#push(items);
      }
      case 'a': {
        const item = this.#pop();
        this.#list().push(item);
        return;
      }
      case 'e': {
        const items = this.#popToMark();
        const list = this.#list();
        for (const item of items) list.push(item);
        return;
      }
      case 's': {
        const [value, key] = [this.#pop(), this.#pop()];
        this.#entries().push([key, value]);
        return;
      }
      case 'u': {
        const items = this.#popToMark();
        const entries = this.#entries();
        for (let i = 0; i + 1 < items.length; i += 2) entries.push([items[i]!, items[i + 1]!]);
        return;
      }
      case 'q':
        this.#memo.set(this.#take(1), this.#top());
        return;
      case 'r':
        this.#memo.set(this.#take(4), this.#top());
        return;
      case '\x94':
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 'h':
        return this.#push(this.#remembered(this.#take(1)));
      case 'j':
        return this.#push(this.#remembered(this.#take(4)));
      case 'Q':
        return this.#push({ kind: 'reference', id: this.#pop() });
      case 'R':
      case '\x81': {
        const [args, callee] = [this.#pop(), this.#pop()];
        // The one class that is a container by itself.
        return this.#push(
          isName(callee) && callee.name === 'collections.OrderedDict'
            ? { kind: 'map', entries: [] }
            : { kind: 'call', callee, args },
        );
      }
      case 'b': {
        const state = this.#pop();
        const object = this.#top();
        if (isCall(object)) object.state = state;
        return;
      }
      default:
        throw this.#budget.invalid(
          'pickle',
          `operation 0x${code.toString(16)} at ${this.#at - 1} is none that checkpoints use`,
        );
    }
  }

  #push(value: Pickled): void {
    if (this.#stack.length >= MOST_STACKED) throw this.#budget.invalid('limit', 'a pickle stacks too much');
    this.#stack.push(value);
  }

  #pop(): Pickled {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK)
      throw this.#budget.invalid('pickle', `nothing is stacked at ${this.#at}`);
    return value;
  }

  #top(): Pickled {
    const value = this.#pop();
    this.#stack.push(value);
    return value;
  }

  #popToMark(): Pickled[] {
    const at = this.#stack.lastIndexOf(MARK);
    if (at < 0) throw this.#budget.invalid('pickle', `no mark is stacked at ${this.#at}`);
    const items = this.#stack.splice(at) as (Pickled | typeof MARK)[];
    return items.slice(1) as Pickled[];
  }

  #list(): Growing {
    const list = this.#top();
    if (!Array.isArray(list)) throw this.#budget.invalid('pickle', `an item is added to no list at ${this.#at}`);
    return list as Growing;
  }

  #entries(): PickledMap['entries'] {
    const map = this.#top();
    if (isMap(map)) return map.entries;
    // Items of an object that is not made go nowhere.
    if (isCall(map)) return [];
    throw this.#budget.invalid('pickle', `an entry is added to no dictionary at ${this.#at}`);
  }

  #remembered(index: number): Pickled {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#budget.invalid('pickle', `nothing is remembered as ${index}`);
    return value;
  }

  #long(length: number): number {
    const run = this.#run(length);
    let value = 0n;
    for (let i = run.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(run[i]!);
    return Number(length === 0 ? 0n : BigInt.asIntN(8 * length, value));
  }

  /** A little-endian number of 1, 2 or 4 bytes. */
  #take(width: 1 | 2 | 4): number {
    const at = this.#skip(width);
    return width === 1
      ? this.#bytes[at]!
      : width === 2
        ? this.#view.getUint16(at, true)
        : this.#view.getUint32(at, true);
  }

  #run(length: number): Uint8Array {
    const at = this.#skip(length);
    return this.#bytes.subarray(at, at + length);
  }

  #skip(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw this.#budget.invalid('truncated', 'it ends within a pickle');
    this.#at += length;
    return at;
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0 || end - this.#at > this.#budget.limits.maxNameLength)
      throw this.#budget.invalid('pickle', 'a name without an end');
    const text = latin.decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }
}

const MOST_STACKED = 4_000_000;

/** A key or part of a name as text; empty where it is neither text nor a number. */
export const wordOf = (value: Pickled | undefined): string =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
const hasKind = (value: Pickled | undefined, kind: string): boolean =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
export const isMap = (value: Pickled | undefined): value is PickledMap => hasKind(value, 'map');
export const isCall = (value: Pickled | undefined): value is PickledCall => hasKind(value, 'call');
export const isName = (value: Pickled | undefined): value is PickledName => hasKind(value, 'name');
export const isReference = (value: Pickled | undefined): value is PickledReference => hasKind(value, 'reference');
