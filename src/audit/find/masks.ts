/** @file Bytes behind one repeated byte (exclusive or), undone where a signature shows through. */
import { flatbufferIdentifiers } from './detectors.js';

/** Signatures and where they stand. */
const signatures: readonly (readonly [at: number, text: string])[] = [
  ...flatbufferIdentifiers.map(([identifier]): [number, string] => [4, identifier]),
  [0, 'GGUF'],
  [0, '\x89HDF\r\n\x1a\n'],
  [0, '7767517\n'],
  [0, '\xdd\x85\x76\x00'],
  [2, '\x8a\x0a\x6c\xfc'],
];

/** The key under which a signature stands in these bytes; 0 where it does not, or plainly. */
function keyOf(bytes: Uint8Array, at: number, text: string): number {
  if (at + text.length > bytes.length) return 0;
  const key = bytes[at]! ^ text.charCodeAt(0);
  for (let i = 1; i < text.length; i++) if ((bytes[at + i]! ^ key) !== text.charCodeAt(i)) return 0;
  return key;
}

/** ONNX has no signature: a small version, then the name of a producer. */
function onnxKey(bytes: Uint8Array): number {
  const key = bytes[0]! ^ 0x08;
  const plain = (i: number): number => bytes[i]! ^ key;
  const length = plain(3);
  if (bytes.length < 64 || plain(1) < 1 || plain(1) > 32 || plain(2) !== 0x12 || length < 2 || length > 40) return 0;
  for (let i = 4; i < 4 + length; i++) if (plain(i) < 0x20 || plain(i) > 0x7e) return 0;
  return key;
}

/** What the bytes may be behind a key, with that key; lazily, as each costs a copy. */
export function* unmasked(bytes: Uint8Array): Generator<readonly [key: number, plain: Uint8Array]> {
  const tried = new Set([0]);
  for (const key of [...signatures.map(([at, text]) => keyOf(bytes, at, text)), onnxKey(bytes)]) {
    if (tried.has(key)) continue;
    tried.add(key);
    yield [key, bytes.map((byte) => byte ^ key)];
  }
}
