/** @file The codes of Zstandard (RFC 8878, section 4): bits read from the end, tables of finite-state entropy, Huffman trees. */
import { AuditError } from '../errors.js';

export const broken = (what: string): AuditError => new AuditError('zstd', `the zstd data is broken: ${what}`);

export const highBit = (value: number): number => 31 - Math.clz32(value);

/** Bits from the last to the first; beyond the first one there are zeros, as many as are asked for. */
export class BackwardBits {
  readonly #bytes: Uint8Array;
  /** Bits that are left; negative where more were taken. */
  left: number;

  constructor(bytes: Uint8Array) {
    const last = bytes.at(-1) ?? 0;
    // The highest bit only marks the end.
    if (last === 0) throw broken('a stream of bits has no end');
    this.#bytes = bytes;
    this.left = 8 * (bytes.length - 1) + highBit(last);
  }

  /** The next `count` bits, at most 24, without taking them. */
  peek(count: number): number {
    if (count === 0) return 0;
    const from = this.left - count;
    if (from >= 0) return this.#at(from, count);
    return from + count <= 0 ? 0 : this.#at(0, from + count) << -from;
  }

  take(count: number): number {
    // More than 24 bits do not fit beside an offset within a byte.
    if (count > 24) {
      const high = this.take(count - 16);
      return high * 65_536 + this.take(16);
    }
    const value = this.peek(count);
    this.left -= count;
    return value;
  }

  #at(bit: number, count: number): number {
    const at = bit >> 3;
    const bytes = this.#bytes;
    const word =
      (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    return (word >>> (bit & 7)) & ((1 << count) - 1);
  }
}

/** States of an entropy code: the symbol of each, and where bits lead from it. */
export interface StateTable {
  readonly log: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

/** The table of one symbol that takes no bits. */
export const constantTable = (symbol: number): StateTable => ({
  log: 0,
  symbols: Uint8Array.of(symbol),
  bits: new Uint8Array(1),
  bases: new Uint16Array(1),
});

/** The table of how often each symbol comes; -1 is less than once. */
export function stateTable(counts: readonly number[], log: number): StateTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const next = new Uint16Array(counts.length);
  let rare = size;
  counts.forEach((count, symbol) => {
    if (count === -1) symbols[--rare] = symbol;
    next[symbol] = Math.abs(count);
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at >= rare);
    }
  });
  if (at !== 0) throw broken('a table of states has gaps');
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  for (let state = 0; state < size; state++) {
    const count = next[symbols[state]!]!++;
    bits[state] = log - highBit(count);
    bases[state] = (count << bits[state]!) - size;
  }
  return { log, symbols, bits, bases };
}

/** A table as it is written at byte `at`, and where it ends. */
export function readStateTable(
  bytes: Uint8Array,
  at: number,
  maxLog: number,
  maxSymbols: number,
): readonly [table: StateTable, end: number] {
  let bit = 8 * at;
  const take = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++, bit++) {
      const byte = bytes[bit >> 3];
      if (byte === undefined) throw broken('a table of states is cut');
      value |= ((byte >> (bit & 7)) & 1) << i;
    }
    return value;
  };
  const log = take(4) + 5;
  if (log > maxLog) throw broken(`a table of 2^${log} states`);
  const counts: number[] = [];
  let remaining = 1 << log;
  while (remaining > 0 && counts.length < maxSymbols) {
    const width = highBit(remaining + 1) + 1;
    let value = take(width);
    const low = (1 << (width - 1)) - 1;
    const threshold = (1 << width) - 1 - (remaining + 1);
    if ((value & low) < threshold) {
      // A small value takes one bit less.
      value &= low;
      bit--;
    } else if (value > low) value -= threshold;
    const count = value - 1;
    remaining -= Math.abs(count);
    counts.push(count);
    if (count !== 0) continue;
    for (let more = 3; more === 3;) {
      more = take(2);
      for (let i = 0; i < more; i++) counts.push(0);
    }
  }
  if (remaining !== 0 || counts.length > maxSymbols) throw broken('the counts of a table do not add up');
  return [stateTable(counts, log), (bit + 7) >> 3];
}

/** A Huffman code: for every value of `log` bits the symbol and how many of the bits it takes. */
export interface HuffmanTable {
  readonly log: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
}

/** A Huffman tree as it is written at the beginning of `bytes`, and where it ends. */
export function readHuffmanTable(bytes: Uint8Array): readonly [table: HuffmanTable, end: number] {
  const head = bytes[0];
  if (head === undefined) throw broken('a tree is missing');
  const end = 1 + (head < 128 ? head : (head - 126) >> 1);
  if (end > bytes.length) throw broken('a tree is cut');
  const weights =
    head < 128
      ? packedWeights(bytes.subarray(1, end))
      : Array.from({ length: head - 127 }, (_, i) => (bytes[1 + (i >> 1)]! >> (i & 1 ? 0 : 4)) & 15);
  return [huffmanTable(weights), end];
}

/** Weights by two states in turn, until the bits are spent. */
function packedWeights(bytes: Uint8Array): number[] {
  const [table, at] = readStateTable(bytes, 0, 6, 256);
  const input = new BackwardBits(bytes.subarray(at));
  const states = [input.take(table.log), input.take(table.log)];
  const weights: number[] = [];
  for (let turn = 0; weights.length < 255; turn ^= 1) {
    const state = states[turn]!;
    weights.push(table.symbols[state]!);
    states[turn] = table.bases[state]! + input.take(table.bits[state]!);
    if (input.left < 0) {
      weights.push(table.symbols[states[turn ^ 1]!]!);
      return weights;
    }
  }
  throw broken('a tree has too many symbols');
}

function huffmanTable(weights: number[]): HuffmanTable {
  const sum = weights.reduce((total, weight) => total + (weight > 0 ? 1 << (weight - 1) : 0), 0);
  const log = sum === 0 ? 0 : highBit(sum) + 1;
  const left = (1 << log) - sum;
  // What the last symbol has is what is left over.
  if (log < 1 || log > 11 || (left & (left - 1)) !== 0 || weights.length > 255) throw broken('the weights of a tree');
  weights.push(highBit(left) + 1);
  const symbols = new Uint8Array(1 << log);
  const bits = new Uint8Array(1 << log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++)
    weights.forEach((each, symbol) => {
      if (each !== weight) return;
      const end = at + (1 << (weight - 1));
      symbols.fill(symbol, at, end);
      bits.fill(log + 1 - weight, at, end);
      at = end;
    });
  return { log, symbols, bits };
}
