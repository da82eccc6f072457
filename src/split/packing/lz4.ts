/**
 * @file LZ4 blocks (LZ4 Block Format 1.6) in plain TypeScript: the fast compressor, and a decoder that checks every length.
 * For browsers, and for Node where the native codec is not installed; both write the same format.
 */
import { FrameError } from './errors.js';

const HASH_BITS = 13;
const MIN_MATCH = 4;
/** The last five bytes of a block are literals, and no match begins in its last twelve. */
const LAST_LITERALS = 5;
const MATCH_LIMIT = 12;
const MAX_OFFSET = 65535;
/** After 2^6 fruitless positions the search takes larger steps: data that does not compress passes quickly. */
const SKIP_TRIGGER = 6;

/** Where each hash was seen last, plus one; 0 where never. Cleared for every block. */
const seen = new Int32Array(1 << HASH_BITS);

/** Most bytes that a block of `size` bytes can take. */
export function lz4Bound(size: number): number {
  return size + Math.ceil(size / 255) + 16;
}

/** Compresses bytes into one block. The result may be longer than the source (at most `lz4Bound`). */
export function compressLz4(source: Uint8Array): Uint8Array {
  const target = new Uint8Array(lz4Bound(source.length));
  const searchEnd = source.length - MATCH_LIMIT;
  const matchEnd = source.length - LAST_LITERALS;
  seen.fill(0);
  let at = 0;
  let anchor = 0;
  let to = 0;
  let attempts = 1 << SKIP_TRIGGER;
  while (at <= searchEnd) {
    const word = source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
    let match = seen[hash]! - 1;
    seen[hash] = at + 1;
    if (
      match < 0 ||
      at - match > MAX_OFFSET ||
      source[match] !== source[at] ||
      source[match + 1] !== source[at + 1] ||
      source[match + 2] !== source[at + 2] ||
      source[match + 3] !== source[at + 3]
    ) {
      at += attempts++ >> SKIP_TRIGGER;
      continue;
    }
    attempts = 1 << SKIP_TRIGGER;
    while (at > anchor && match > 0 && source[at - 1] === source[match - 1]) {
      at--;
      match--;
    }
    const offset = at - match;
    let end = at + MIN_MATCH;
    while (end < matchEnd && source[end] === source[end - offset]) end++;
    const length = end - at - MIN_MATCH;
    to = writeLiterals(source, anchor, at, target, to, length < 15 ? length : 15);
    target[to++] = offset;
    target[to++] = offset >>> 8;
    if (length >= 15) to = writeLength(target, to, length - 15);
    at = end;
    anchor = end;
  }
  to = writeLiterals(source, anchor, source.length, target, to, 0);
  return target.subarray(0, to);
}

/** Token, length and bytes of literals `source[from .. end)`; returns where the next byte goes. */
function writeLiterals(
  source: Uint8Array,
  from: number,
  end: number,
  target: Uint8Array,
  to: number,
  matchCode: number,
): number {
  const count = end - from;
  target[to++] = ((count < 15 ? count : 15) << 4) | matchCode;
  if (count >= 15) to = writeLength(target, to, count - 15);
  if (count > 32) target.set(source.subarray(from, end), to);
  else for (let i = 0; i < count; i++) target[to + i] = source[from + i]!;
  return to + count;
}

function writeLength(target: Uint8Array, to: number, rest: number): number {
  for (; rest >= 255; rest -= 255) target[to++] = 255;
  target[to++] = rest;
  return to;
}

/** Unpacks one block into exactly `size` bytes. Throws FrameError where it is broken or of another size. */
export function decompressLz4(block: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const target = new Uint8Array(size);
  let at = 0;
  let to = 0;
  for (;;) {
    if (at >= block.length) throw new FrameError('an LZ4 block ends too early');
    const token = block[at++]!;
    let literals = token >>> 4;
    if (literals === 15)
      for (let more = 255; more === 255; literals += more) {
        if (at >= block.length) throw new FrameError('an LZ4 block ends within a length');
        more = block[at++]!;
      }
    if (literals > block.length - at || literals > size - to)
      throw new FrameError('an LZ4 block has literals beyond its end');
    if (literals > 32) target.set(block.subarray(at, at + literals), to);
    else for (let i = 0; i < literals; i++) target[to + i] = block[at + i]!;
    at += literals;
    to += literals;
    if (at === block.length) break;
    if (at + 2 > block.length) throw new FrameError('an LZ4 block ends within an offset');
    const offset = block[at]! | (block[at + 1]! << 8);
    at += 2;
    let length = (token & 15) + MIN_MATCH;
    if ((token & 15) === 15)
      for (let more = 255; more === 255; length += more) {
        if (at >= block.length) throw new FrameError('an LZ4 block ends within a length');
        more = block[at++]!;
      }
    if (offset === 0 || offset > to) throw new FrameError('an LZ4 block refers to bytes before its start');
    if (length > size - to) throw new FrameError(`an LZ4 block grows beyond the stated ${size} bytes`);
    copyMatch(target, to, offset, length);
    to += length;
  }
  if (to !== size) throw new FrameError(`an LZ4 block gives ${to} bytes, not the stated ${size}`);
  return target;
}

/** Repeats what lies `offset` bytes back; the two may overlap. */
function copyMatch(target: Uint8Array, to: number, offset: number, length: number): void {
  if (length <= 24) for (let end = to + length; to < end; to++) target[to] = target[to - offset]!;
  else if (offset === 1) target.fill(target[to - 1]!, to, to + length);
  else
    // Every round doubles what may be copied at once.
    for (let from = to - offset, rest = length; rest > 0;) {
      const chunk = Math.min(rest, to - from);
      target.copyWithin(to, from, from + chunk);
      to += chunk;
      rest -= chunk;
    }
}
