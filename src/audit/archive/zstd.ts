/** @file Zstandard frames (RFC 8878), block by block within a window. Dictionaries are refused; checksums are not checked. */
import { AuditError } from '../errors.js';
import type { ByteSource } from '../source.js';
import type { Budget } from './budget.js';
import {
  BackwardBits,
  broken,
  constantTable,
  readHuffmanTable,
  readStateTable,
  stateTable,
  type HuffmanTable,
  type StateTable,
} from './zstd-codes.js';

/** True where the bytes begin like a frame. */
export function isZstdHead(head: Uint8Array): boolean {
  return (
    head.length >= 6 && head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd && !(head[4]! & 8)
  );
}

const MAX_BLOCK = 1 << 17;
/** What `zstd` asks for without `--long` is 8 MiB. */
const MAX_WINDOW = 1 << 26;

/** A symbol's smallest value, and how many bits are added to it. */
type Range = readonly [base: number, bits: number];
const ranges = (small: number, first: number, rest: readonly Range[]): readonly Range[] => [
  ...Array.from({ length: small }, (_, i): Range => [first + i, 0]),
  ...rest,
];
const LITERAL_LENGTHS = ranges(16, 0, [
  [16, 1],
  [18, 1],
  [20, 1],
  [22, 1],
  [24, 2],
  [28, 2],
  [32, 3],
  [40, 3],
  [48, 4],
  [64, 6],
  ...Array.from({ length: 10 }, (_, i): Range => [128 << i, 7 + i]),
]);
const MATCH_LENGTHS = ranges(32, 3, [
  [35, 1],
  [37, 1],
  [39, 1],
  [41, 1],
  [43, 2],
  [47, 2],
  [51, 3],
  [59, 3],
  [67, 4],
  [83, 4],
  [99, 5],
  ...Array.from({ length: 10 }, (_, i): Range => [(128 << i) + 3, 7 + i]),
]);

const times = (count: number, value: number): readonly number[] => new Array<number>(count).fill(value);
/** The three codes of a sequence, as they are where a block brings none: lengths of literals, offsets, lengths of matches. */
const CODES = [
  {
    maxLog: 9,
    symbols: 36,
    standard: stateTable([4, 3, ...times(11, 2), 1, 1, 1, ...times(9, 2), 3, 2, ...times(5, 1), ...times(4, -1)], 6),
  },
  { maxLog: 8, symbols: 32, standard: stateTable([...times(6, 1), 2, 2, 2, ...times(15, 1), ...times(5, -1)], 5) },
  {
    maxLog: 9,
    symbols: 53,
    standard: stateTable([1, 4, 3, ...times(6, 2), ...times(37, 1), ...times(7, -1)], 6),
  },
] as const;

/** The unpacked bytes of all frames, counted in `budget`. Throws AuditError where the data is broken, BudgetError beyond the budget. */
export async function* readZstd(source: ByteSource, budget: Budget): AsyncGenerator<Uint8Array> {
  let at = 0;
  let total = 0;
  while (at + 8 <= source.size) {
    const head = await source.read(at, Math.min(18, source.size - at));
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    if (view.getUint32(0, true) >>> 4 === 0x184d2a5) {
      // A frame to be skipped.
      at += 8 + view.getUint32(4, true);
      continue;
    }
    if (!isZstdHead(head)) {
      // What stands behind the frames is told by nobody, as in gzip.
      if (at > 0) return;
      throw broken('there is no frame');
    }
    const frame = frameHeader(head);
    at += frame.length;
    const decoder = new FrameDecoder(frame);
    for (let last = false; !last;) {
      const [a = 0, b = 0, c = 0] = await source.read(at, 3);
      const block = a | (b << 8) | (c << 16);
      last = (block & 1) === 1;
      const [type, size] = [(block >> 1) & 3, block >> 3];
      if (type === 3 || size > MAX_BLOCK) throw broken(`a block of type ${type} and ${size} bytes`);
      const stored = type === 1 ? 1 : size;
      const bytes = await source.read(at + 3, stored);
      at += 3 + stored;
      const out = type === 2 ? decoder.compressed(bytes) : decoder.plain(bytes, size);
      total += out.length;
      budget.spend(out.length);
      if (total > budget.limits.maxEntryBytes)
        throw new AuditError('archive-limit', `the zstd data gives more than ${budget.limits.maxEntryBytes} bytes`);
      if (out.length > 0) yield out.slice();
    }
    if (frame.hasChecksum) at += 4;
  }
}

function frameHeader(head: Uint8Array): {
  readonly length: number;
  readonly window: number;
  readonly isSingle: boolean;
  readonly hasChecksum: boolean;
} {
  const flags = head[4]!;
  const isSingle = (flags & 0x20) !== 0;
  let at = 5;
  let window = 0;
  if (!isSingle) {
    const [exponent, part] = [head[at]! >> 3, head[at]! & 7];
    window = 2 ** (10 + exponent) * (1 + part / 8);
    at++;
  }
  const dictionary = [0, 1, 2, 4][flags & 3]!;
  if (head.subarray(at, at + dictionary).some((byte) => byte !== 0))
    throw new AuditError('zstd', 'the zstd data needs a dictionary', { hint: 'It stands nowhere in the data.' });
  at += dictionary;
  const sizeBytes = flags >> 6 === 0 ? (isSingle ? 1 : 0) : 1 << (flags >> 6);
  if (at + sizeBytes > head.length) throw broken('its header is cut');
  if (isSingle) {
    for (let i = sizeBytes - 1; i >= 0; i--) window = window * 256 + head[at + i]!;
    if (sizeBytes === 2) window += 256;
  }
  if (window > MAX_WINDOW) throw new AuditError('archive-limit', `the zstd data needs a window of ${window} bytes`);
  return { length: at + sizeBytes, window: Math.max(1024, window), isSingle, hasChecksum: (flags & 4) !== 0 };
}

class FrameDecoder {
  /** What was unpacked last, at least a window of it where there is that much, with room for a block. */
  readonly #out: Uint8Array;
  readonly #window: number;
  #end = 0;
  #huffman: HuffmanTable | undefined;
  readonly #tables: (StateTable | undefined)[] = [undefined, undefined, undefined];
  readonly #offsets: [number, number, number] = [1, 4, 8];

  constructor({ window, isSingle }: { readonly window: number; readonly isSingle: boolean }) {
    this.#window = window;
    // Twice a window, so that it is seldom moved; a frame of a single segment is no longer than its window.
    this.#out = new Uint8Array((isSingle ? 1 : 2) * window + 2 * MAX_BLOCK);
  }

  /** Makes room for a block; gives where it begins. */
  #begin(): number {
    if (this.#end + MAX_BLOCK > this.#out.length) {
      this.#out.copyWithin(0, this.#end - this.#window, this.#end);
      this.#end = this.#window;
    }
    return this.#end;
  }

  #room(count: number, begin: number): void {
    if (this.#end + count - begin > MAX_BLOCK) throw broken('a block grows beyond its limit');
  }

  /** A block of plain bytes, or of one byte repeated. Valid until the next. */
  plain(bytes: Uint8Array, size: number): Uint8Array {
    const begin = this.#begin();
    if (bytes.length === size) this.#out.set(bytes, begin);
    else this.#out.fill(bytes[0]!, begin, begin + size);
    this.#end += size;
    return this.#out.subarray(begin, this.#end);
  }

  compressed(bytes: Uint8Array): Uint8Array {
    const begin = this.#begin();
    const [literals, at] = this.#literals(bytes);
    const used = this.#sequences(bytes.subarray(at), literals, begin);
    const rest = literals.subarray(used);
    this.#room(rest.length, begin);
    this.#out.set(rest, this.#end);
    this.#end += rest.length;
    return this.#out.subarray(begin, this.#end);
  }

  #literals(bytes: Uint8Array): readonly [literals: Uint8Array, end: number] {
    const head = bytes[0] ?? 0;
    const [type, format] = [head & 3, (head >> 2) & 3];
    const number = (count: number): number => {
      if (count > bytes.length) throw broken('a block is cut');
      let value = 0;
      for (let i = count - 1; i >= 0; i--) value = value * 256 + bytes[i]!;
      return value;
    };
    if (type < 2) {
      const headBytes = format === 1 ? 2 : format === 3 ? 3 : 1;
      const size = Math.floor(number(headBytes) / (headBytes === 1 ? 8 : 16));
      const stored = type === 0 ? size : 1;
      if (size > MAX_BLOCK || headBytes + stored > bytes.length) throw broken('literals are cut');
      const literals =
        type === 0 ? bytes.subarray(headBytes, headBytes + size) : new Uint8Array(size).fill(bytes[headBytes]!);
      return [literals, headBytes + stored];
    }
    const width = format < 2 ? 10 : format === 2 ? 14 : 18;
    const headBytes = format < 2 ? 3 : format === 2 ? 4 : 5;
    const sizes = Math.floor(number(headBytes) / 16);
    const [size, stored] = [sizes % 2 ** width, Math.floor(sizes / 2 ** width) % 2 ** width];
    const end = headBytes + stored;
    if (size > MAX_BLOCK || end > bytes.length) throw broken('literals are cut');
    let coded = bytes.subarray(headBytes, end);
    if (type === 2) {
      const [table, tableEnd] = readHuffmanTable(coded);
      this.#huffman = table;
      coded = coded.subarray(tableEnd);
    }
    if (this.#huffman === undefined) throw broken('there is no tree to repeat');
    const literals = new Uint8Array(size);
    if (format === 0) decodeHuffman(this.#huffman, coded, literals);
    else {
      if (coded.length < 6) throw broken('literals are cut');
      const lengths = [0, 2, 4].map((at) => coded[at]! | (coded[at + 1]! << 8));
      const part = (size + 3) >> 2;
      let at = 6;
      for (let i = 0; i < 4; i++) {
        const streamEnd = i < 3 ? at + lengths[i]! : coded.length;
        if (streamEnd > coded.length || (i < 3 && (i + 1) * part > size)) throw broken('literals are cut');
        decodeHuffman(
          this.#huffman,
          coded.subarray(at, streamEnd),
          literals.subarray(i * part, i < 3 ? (i + 1) * part : size),
        );
        at = streamEnd;
      }
    }
    return [literals, end];
  }

  /** Carries out what the sequences say; gives how many literals they took. */
  #sequences(bytes: Uint8Array, literals: Uint8Array, begin: number): number {
    const [a = 0, b = 0, c = 0] = bytes;
    if (bytes.length === 0) throw broken('a block is cut');
    if (a === 0) return 0;
    const [count, headBytes] = a < 128 ? [a, 1] : a < 255 ? [((a - 128) << 8) + b, 2] : [b + (c << 8) + 0x7f00, 3];
    const modes = bytes[headBytes] ?? 0;
    let at = headBytes + 1;
    const tables = CODES.map(({ maxLog, symbols, standard }, i): StateTable => {
      const mode = (modes >> (6 - 2 * i)) & 3;
      let table: StateTable | undefined;
      if (mode === 0) table = standard;
      else if (mode === 1) {
        if (at >= bytes.length || bytes[at]! >= symbols) throw broken('a code of one symbol');
        table = constantTable(bytes[at++]!);
      } else if (mode === 2) [table, at] = readStateTable(bytes, at, maxLog, symbols);
      else table = this.#tables[i];
      if (table === undefined) throw broken('there is no code to repeat');
      this.#tables[i] = table;
      return table;
    });
    const [lengths, offsets, matches] = tables as [StateTable, StateTable, StateTable];
    const input = new BackwardBits(bytes.subarray(at));
    let [length, offset, match] = [input.take(lengths.log), input.take(offsets.log), input.take(matches.log)];
    let used = 0;
    for (let i = 0; i < count; i++) {
      const offsetBits = offsets.symbols[offset]!;
      const stated = 2 ** offsetBits + input.take(offsetBits);
      const [matchBase, matchBits] = MATCH_LENGTHS[matches.symbols[match]!]!;
      const matchLength = matchBase + input.take(matchBits);
      const [lengthBase, lengthBits] = LITERAL_LENGTHS[lengths.symbols[length]!]!;
      const literalLength = lengthBase + input.take(lengthBits);
      if (i + 1 < count) {
        length = lengths.bases[length]! + input.take(lengths.bits[length]!);
        match = matches.bases[match]! + input.take(matches.bits[match]!);
        offset = offsets.bases[offset]! + input.take(offsets.bits[offset]!);
      }
      if (input.left < 0 || used + literalLength > literals.length) throw broken('a sequence wants more than there is');
      this.#room(literalLength + matchLength, begin);
      this.#out.set(literals.subarray(used, used + literalLength), this.#end);
      used += literalLength;
      this.#end += literalLength;
      this.#copy(this.#offset(stated, literalLength), matchLength);
    }
    return used;
  }

  /** An offset, of which the first three values mean one of the last three. */
  #offset(stated: number, literalLength: number): number {
    const last = this.#offsets;
    if (stated > 3) {
      [last[0], last[1], last[2]] = [stated - 3, last[0], last[1]];
      return last[0];
    }
    const which = stated - 1 + (literalLength === 0 ? 1 : 0);
    if (which === 0) return last[0];
    const offset = which === 3 ? last[0] - 1 : last[which]!;
    if (which > 1) last[2] = last[1];
    last[1] = last[0];
    last[0] = offset;
    return offset;
  }

  #copy(offset: number, count: number): void {
    const out = this.#out;
    const from = this.#end - offset;
    if (offset < 1 || from < 0) throw broken(`a match ${offset} bytes back`);
    if (offset >= count) out.copyWithin(this.#end, from, from + count);
    else for (let i = 0; i < count; i++) out[this.#end + i] = out[from + i]!;
    this.#end += count;
  }
}

function decodeHuffman({ log, symbols, bits }: HuffmanTable, coded: Uint8Array, into: Uint8Array): void {
  const input = new BackwardBits(coded);
  for (let i = 0; i < into.length; i++) {
    const code = input.peek(log);
    into[i] = symbols[code]!;
    input.left -= bits[code]!;
  }
  if (input.left !== 0) throw broken('literals do not end with their bits');
}
