/** @file Models inside other files: places where a signature stands, in one pass over the bytes. */
import type { ByteSource } from '../source.js';
import { flatbufferIdentifiers } from './detectors.js';
import type { SeekKind } from './seek.js';

/** Signatures to search for, and how far before them a model begins; or how to seek that. */
const markers: readonly (readonly [text: string, back: number | SeekKind])[] = [
  ...flatbufferIdentifiers.map(([identifier]): [string, number] => [identifier, 4]),
  ['GGUF', 0],
  ['LITERTLM', 0],
  ['\x89HDF\r\n\x1a\n', 0],
  ['7767517\n', 0],
  // ONNX has no signature: its producer's name stands behind the IR version.
  ...['pytorch', 'tf2onnx', 'keras2onnx', 'onnx.', 'skl2onnx', 'PaddlePaddle', 'OnnxMLTools', 'CNTK', 'onnx-'].map(
    (name): [string, number] => [name, 4],
  ),
  // What PyTorch pickles in front of a checkpoint.
  ['\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8', 2],
  // The version that Paddle Lite writes.
  ...['v2.8', 'v2.9', 'v2.1'].map((version): [string, number] => [version, 2]),
  ['PK\x05\x06', 'zip'],
  ...['layer {', 'layers {'].map((text): [string, SeekKind] => [text, 'prototxt']),
  ...['"dtype":"', '"dtype": "'].map((text): [string, SeekKind] => [text, 'safetensors']),
  // Operators of the first nodes, as strings of a message.
  ...['\x12\x0bPlaceholder', '\x12\x05Const'].map((text): [string, SeekKind] => [text, 'graphdef']),
  ...['\x12\x05Input', '\x12\x04Data', '\x12\x0bConvolution'].map((text): [string, SeekKind] => [text, 'caffe']),
  // Number and parent of the first block.
  ['\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01', 'paddle'],
  // `coremltools`, `SwiftCoremltools`.
  ['oremltools', 'coreml'],
];

const LONGEST = 16;
const CHUNK = 1 << 20;

/** Bytes of each signature by which it is searched; the shortest has so many. */
const WINDOW = 4;
/** For two bytes at the end of a window: how far the window may move on, 0 where a signature may stand in it (Wu and Manber, 1994). */
const shift = new Uint8Array(1 << 16).fill(WINDOW - 1);
/** Signatures by the two bytes that end their first window. */
const byPair = new Map<number, (readonly [text: string, back: number | SeekKind])[]>();
for (const marker of markers)
  for (let i = 1; i < WINDOW; i++) {
    const pair = (marker[0].charCodeAt(i - 1) << 8) | marker[0].charCodeAt(i);
    shift[pair] = Math.min(shift[pair]!, WINDOW - 1 - i);
    if (i === WINDOW - 1) byPair.set(pair, [...(byPair.get(pair) ?? []), marker]);
  }

/** A place where a model begins, or where something stands that is inside one. */
export interface Candidate {
  readonly offset: number;
  readonly seek?: SeekKind;
}

/**
 * Places in `source` from `start` at which a model may begin or be met, in order, at most `most` of them;
 * the beginning itself is no such place.
 */
export async function candidates(source: ByteSource, most: number, start = 0): Promise<readonly Candidate[]> {
  const found = new Map<number, Candidate>();
  for (let base = start; base < source.size && found.size < most; base += CHUNK) {
    const bytes = await source.read(base, Math.min(CHUNK + LONGEST, source.size - base));
    // The last byte of a window; windows that begin behind the chunk are the next one's.
    const end = Math.min(CHUNK + WINDOW - 1, bytes.length);
    for (let last = WINDOW - 1; last < end;) {
      const pair = (bytes[last - 1]! << 8) | bytes[last]!;
      const step = shift[pair]!;
      if (step > 0) {
        last += step;
        continue;
      }
      const at = last - WINDOW + 1;
      for (const [text, back] of byPair.get(pair)!) {
        let i = 0;
        while (i < text.length && bytes[at + i] === text.charCodeAt(i)) i++;
        if (i < text.length) continue;
        const seek = typeof back === 'string' ? back : undefined;
        const offset = base + at - (typeof back === 'string' ? 0 : back);
        if (offset > start && !(seek && found.has(offset))) found.set(offset, seek ? { offset, seek } : { offset });
      }
      last++;
    }
  }
  return [...found.values()].sort((a, b) => a.offset - b.offset).slice(0, most);
}
