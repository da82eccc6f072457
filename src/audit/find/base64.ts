/** @file Bytes written as text in base64, alone in a file or between quotes in one. */
import type { Probe } from './probe.js';

export interface Base64Run {
  readonly offset: number;
  /** Of the text. */
  readonly length: number;
  /** The first bytes that are written. */
  readonly head: Uint8Array;
  /** All of them. */
  readonly bytes: () => Uint8Array;
}

/** Shorter texts hold no model. */
const SHORTEST = 1024;
/** Longer files are no text that anybody would load. */
const LONGEST = 64 << 20;
const MOST = 16;
/** Characters by which it is seen whether the rest is worth decoding. */
const HEAD = 1 << 14;

const values = new Int8Array(256).fill(-1);
for (const [i, sign] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries())
  values[sign.charCodeAt(0)] = i;
// As addresses write the last two.
values[0x2d] = 62;
values[0x5f] = 63;

const isPart = (sign: number | undefined): boolean =>
  sign !== undefined && (values[sign]! >= 0 || sign === 10 || sign === 13);

/** Long texts in base64 in a file that is text throughout its beginning, decoded, line breaks left out. */
export function* base64Runs({ text, bytes }: Probe): Generator<Base64Run> {
  if (text === '' || bytes.length > LONGEST) return;
  let found = 0;
  let free = 0;
  // Of every long run a byte is met in steps of its least length.
  for (let at = SHORTEST - 1; at < bytes.length && found < MOST; at += SHORTEST) {
    let offset = at + 1;
    while (offset > free && isPart(bytes[offset - 1])) offset--;
    if (offset > at) continue;
    let end = at + 1;
    while (isPart(bytes[end])) end++;
    free = end;
    at = Math.max(at, end - SHORTEST);
    // A line break in front belongs to the text before.
    while (offset < end && values[bytes[offset]!]! < 0) offset++;
    if (end - offset < SHORTEST) continue;
    found++;
    yield {
      offset,
      length: end - offset,
      head: decoded(bytes.subarray(offset, Math.min(end, offset + HEAD))),
      bytes: () => decoded(bytes.subarray(offset, end)),
    };
  }
}

function decoded(text: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let [at, held, bits] = [0, 0, 0];
  for (const sign of text) {
    const value = values[sign]!;
    if (value < 0) continue;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out[at++] = (held >> bits) & 0xff;
  }
  return out.subarray(0, at);
}
