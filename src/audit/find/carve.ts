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

const byFirst: (readonly (readonly [text: string, back: number])[] | undefined)[] = [];
for (const marker of markers) {
  const first = marker[0].charCodeAt(0);
  byFirst[first] = [...(byFirst[first] ?? []), marker];
}

/** Offsets in `source` at which a model may begin, in order, at most `most` of them; 0 is no such place. */
export async function candidateOffsets(source: ByteSource, most: number): Promise<readonly number[]> {
  const found = new Set<number>();
  for (let base = 0; base < source.size && found.size < most; base += CHUNK) {
    const bytes = await source.read(base, Math.min(CHUNK + LONGEST, source.size - base));
    const end = Math.min(CHUNK, bytes.length);
    for (let at = 0; at < end; at++) {
      const fitting = byFirst[bytes[at]!];
      if (fitting === undefined) continue;
      for (const [text, back] of fitting) {
        let i = 1;
        while (i < text.length && bytes[at + i] === text.charCodeAt(i)) i++;
        if (i === text.length && base + at - back > 0) found.add(base + at - back);
      }
    }
  }
  return [...found].sort((a, b) => a - b).slice(0, most);
}
