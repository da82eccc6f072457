/** @file Where a model begins whose format has no signature in front, when something that stands inside it was met. */
import type { ByteSource } from '../source.js';

/** What was met: a kind of seeking, which knows how far before it such a model may begin. */
export type SeekKind = 'zip' | 'prototxt' | 'safetensors' | 'graphdef' | 'caffe' | 'paddle' | 'coreml';

/** A place and how many bytes from there belong to the model. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/**
 * What seeking in one file may cost: steps from field to field, and bytes looked at. A file made for it could lead from
 * every byte through thousands of fields.
 */
export class SeekBudget {
  #left = 400_000;

  /** Pays, and says whether there was anything left to pay with: what is large is done once. */
  spend(steps: number): boolean {
    const had = this.#left > 0;
    this.#left -= steps;
    return had;
  }

  /** Bytes that are read or parsed. */
  spendBytes(bytes: number): boolean {
    return this.spend(1 + (bytes >>> 8));
  }
}

/** Fields of a message with their wire types. */
type Fields = ReadonlyMap<number, number>;

const BYTES = 2;
const NUMBER = 0;

/** Fields of ONNX's ModelProto. */
export const onnxFields: Fields = new Map([
  [1, NUMBER],
  ...[2, 3, 4].map((field) => [field, BYTES] as const),
  [5, NUMBER],
  ...[6, 7, 8, 14].map((field) => [field, BYTES] as const),
]);

const graphDefFields: Fields = new Map([
  [1, BYTES],
  [2, BYTES],
  [3, NUMBER],
  [4, BYTES],
]);
const savedModelFields: Fields = new Map([
  [1, NUMBER],
  [2, BYTES],
]);
const netParameterFields: Fields = new Map([
  ...[1, 3, 6, 8, 100].map((field) => [field, BYTES] as const),
  ...[4, 5, 7].map((field) => [field, NUMBER] as const),
]);
const programDescFields: Fields = new Map([
  [1, BYTES],
  [4, BYTES],
  [5, BYTES],
]);
const coreMlFields: Fields = new Map([
  [1, NUMBER],
  [2, BYTES],
  [10, NUMBER],
  // The types of model, each a message.
  ...Array.from({ length: 2801 }, (_, i) => [200 + i, BYTES] as const),
]);

/** How far fields of these kinds reach from `offset`, and how many there are; a field beyond `most` is none. */
export async function fieldsFrom(
  source: ByteSource,
  offset: number,
  most: number,
  fields: Fields,
  budget: SeekBudget,
): Promise<{ readonly length: number; readonly seen: ReadonlySet<number>; readonly count: number }> {
  const seen = new Set<number>();
  let at = 0;
  let count = 0;
  for (; at < most && budget.spend(1); count++) {
    const bytes = await source.read(offset + at, Math.min(22, most - at));
    const [tag, tagBytes] = shortVarint(bytes, 0);
    const number = Math.floor(tag / 8);
    const [value, valueBytes] = shortVarint(bytes, tagBytes);
    if (tagBytes === 0 || valueBytes === 0 || fields.get(number) !== tag % 8) break;
    const next = at + tagBytes + valueBytes + (tag % 8 === BYTES ? value : 0);
    if (next > most) break;
    seen.add(number);
    at = next;
  }
  return { length: at, seen, count };
}

function shortVarint(bytes: Uint8Array, at: number): readonly [value: number, bytes: number] {
  let value = 0;
  for (let i = 0; i < 10 && at + i < bytes.length; i++) {
    value += (bytes[at + i]! & 0x7f) * 2 ** (7 * i);
    if (bytes[at + i]! < 0x80) return [value, i + 1];
  }
  return [0, 0];
}

/** Bytes before what was met in which a message without a signature may begin. */
const BACK = 1024;
/** A SavedModel names all operators that it may use before its graph. */
const FAR_BACK = 1 << 20;
const TRIES = 4;

/** Messages that cover byte `at` and go on behind it, the one that begins first in front: any other begins inside of it. */
async function messages(
  source: ByteSource,
  at: number,
  fields: Fields,
  back: number,
  begins: (bytes: Uint8Array, i: number) => boolean,
  budget: SeekBudget,
): Promise<readonly Span[]> {
  if (!budget.spendBytes(back)) return [];
  const from = Math.max(1, at - back);
  const before = await source.read(from, Math.min(at + 2 - from, source.size - from));
  const found: Span[] = [];
  for (let i = 0; i < at - from && found.length < TRIES; i++) {
    if (!begins(before, i)) continue;
    const { length, count } = await fieldsFrom(source, from + i, source.size - from - i, fields, budget);
    if (from + i + length > at && count > 1) found.push({ offset: from + i, length });
  }
  return found;
}

const beginsWith =
  (...firsts: readonly number[]) =>
  (bytes: Uint8Array, i: number): boolean =>
    firsts.includes(bytes[i]!);

/** `08`, a small version, `12`: a number, then a message. */
const beginsWithVersion = (bytes: Uint8Array, i: number): boolean =>
  bytes[i] === 0x08 && bytes[i + 1]! > 0 && bytes[i + 1]! < 16 && bytes[i + 2] === 0x12;

/** Spans in which a model of this kind may lie whose inside shows at `at`; the most likely first. */
export async function spansAround(
  source: ByteSource,
  at: number,
  kind: SeekKind,
  budget: SeekBudget,
): Promise<readonly Span[]> {
  switch (kind) {
    case 'zip':
      return zipBefore(source, at);
    case 'prototxt':
      return textAround(source, at, budget);
    case 'safetensors':
      return headerBefore(source, at, budget);
    case 'caffe':
      return messages(source, at, netParameterFields, BACK, beginsWith(0x0a, 0x1a, 0x22, 0xa2), budget);
    case 'paddle':
      return messages(source, at, programDescFields, 16, beginsWith(0x0a), budget);
    case 'coreml':
      return messages(source, at, coreMlFields, 16 * BACK, beginsWithVersion, budget);
    case 'graphdef': {
      const graphs = await messages(source, at, graphDefFields, BACK, beginsWith(0x0a), budget);
      const saved =
        graphs.length > 0 ? await messages(source, at, savedModelFields, FAR_BACK, beginsWithVersion, budget) : [];
      return [...saved, ...graphs];
    }
  }
}

/** The archive whose end record stands at `at`: the record says how far before it the archive begins. */
async function zipBefore(source: ByteSource, at: number): Promise<readonly Span[]> {
  if (at < 22 || at + 22 > source.size) return [];
  const record = viewOf(await source.read(at, 22));
  let offset = at - record.getUint32(12, true) - record.getUint32(16, true);
  if (at >= 76) {
    // With a second end record for large archives, as PyTorch always writes it, that one's place tells.
    const locator = viewOf(await source.read(at - 20, 20));
    if (locator.getUint32(0, true) === 0x07064b50) offset = at - 76 - Number(locator.getBigUint64(8, true));
  }
  const end = at + 22 + record.getUint16(20, true);
  if (offset <= 0 || offset >= at || end > source.size) return [];
  const head = await source.read(offset, 4);
  return head[0] === 0x50 && head[1] === 0x4b ? [{ offset, length: end - offset }] : [];
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const isTextByte = (byte: number): boolean => (byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10 || byte === 13;

/** Longer texts are no networks. */
const MAX_TEXT = 1 << 24;

/** How far text reaches from `offset`. */
export async function textLength(source: ByteSource, offset: number, left: number): Promise<number> {
  const most = Math.min(left, MAX_TEXT);
  for (let at = 0; at < most; at += 1 << 16) {
    const bytes = await source.read(offset + at, Math.min(1 << 16, most - at));
    const end = bytes.findIndex((byte) => !isTextByte(byte));
    if (end >= 0) return at + end;
  }
  return most;
}

/** The text that `at` stands in, from the first field of a network in it. */
async function textAround(source: ByteSource, at: number, budget: SeekBudget): Promise<readonly Span[]> {
  if (!budget.spendBytes(1 << 16)) return [];
  const from = Math.max(0, at - (1 << 16));
  const before = await source.read(from, at - from);
  let begin = before.length;
  while (begin > 0 && isTextByte(before[begin - 1]!)) begin--;
  const text = new TextDecoder('latin1').decode(before.subarray(begin));
  const first = /(name|input)\s*:\s*"/.exec(text)?.index ?? text.length;
  const offset = from + begin + first;
  if (offset <= 0) return [];
  const length = await textLength(source, offset, source.size - offset);
  budget.spendBytes(length);
  return [{ offset, length }];
}

/** The JSON header of safetensors, with its length in front, that names a type at `at`. */
async function headerBefore(source: ByteSource, at: number, budget: SeekBudget): Promise<readonly Span[]> {
  if (!budget.spendBytes(4 * BACK)) return [];
  const from = Math.max(0, at - 4 * BACK);
  const before = await source.read(from, at - from);
  const view = new DataView(before.buffer, before.byteOffset, before.byteLength);
  for (let i = 8; i + 1 < before.length; i++) {
    if (before[i] !== 0x7b || before[i + 1] !== 0x22 || view.getUint32(i - 4, true) !== 0) continue;
    const [offset, header] = [from + i - 8, view.getUint32(i - 8, true)];
    if (offset === 0 || header < 2 || from + i + header > source.size || header > 1 << 26) continue;
    if (!budget.spendBytes(header)) return [];
    // Where the last tensor ends, there it ends.
    const text = new TextDecoder('latin1').decode(await source.read(from + i, header));
    const ends = [...text.matchAll(/"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d+)/g)].map(([, end]) => Number(end));
    const length = 8 + header + ends.reduce((most, end) => Math.max(most, end), 0);
    if (ends.length > 0 && offset + length <= source.size) return [{ offset, length }];
  }
  return [];
}
