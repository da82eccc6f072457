/** @file Models inside other files: places where a signature stands, in one pass over the bytes. */
import type { ByteSource } from '../source.js';
import { flatbufferIdentifiers } from './detectors.js';

/** Signatures to search for, and how far before them a model begins. */
const markers: readonly (readonly [text: string, back: number])[] = [
  ...flatbufferIdentifiers.map(([identifier]): [string, number] => [identifier, 4]),
  ['GGUF', 0],
  ['LITERTLM', 0],
  ['\x89HDF\r\n\x1a\n', 0],
  ['7767517\n', 0],
  // ONNX has no signature: its producer's name stands behind the IR version.
  ...['pytorch', 'tf2onnx', 'keras2onnx', 'onnx.', 'skl2onnx', 'PaddlePaddle', 'OnnxMLTools', 'CNTK', 'onnx-'].map(
    (name): [string, number] => [name, 4],
  ),
];

const LONGEST = 16;
const CHUNK = 1 << 20;

/** Bytes of each signature by which it is searched; the shortest has so many. */
const WINDOW = 4;
/** For two bytes at the end of a window: how far the window may move on, 0 where a signature may stand in it (Wu and Manber, 1994). */
const shift = new Uint8Array(1 << 16).fill(WINDOW - 1);
/** Signatures by the two bytes that end their first window. */
const byPair = new Map<number, (readonly [text: string, back: number])[]>();
for (const marker of markers)
  for (let i = 1; i < WINDOW; i++) {
    const pair = (marker[0].charCodeAt(i - 1) << 8) | marker[0].charCodeAt(i);
    shift[pair] = Math.min(shift[pair]!, WINDOW - 1 - i);
    if (i === WINDOW - 1) byPair.set(pair, [...(byPair.get(pair) ?? []), marker]);
  }

/** Offsets in `source` at which a model may begin, in order, at most `most` of them; 0 is no such place. */
export async function candidateOffsets(source: ByteSource, most: number): Promise<readonly number[]> {
  const found = new Set<number>();
  for (let base = 0; base < source.size && found.size < most; base += CHUNK) {
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
        if (i === text.length && base + at - back > 0) found.add(base + at - back);
      }
      last++;
    }
  }
  return [...found].sort((a, b) => a - b).slice(0, most);
}
