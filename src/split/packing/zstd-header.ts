/** @file What a Zstandard frame says of its size (RFC 8878, 3.1.1), read before anything is allocated. */

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

/** Unpacked bytes that the first frame states; `undefined` where the header is broken or states none. */
export function contentSizeOfZstd(bytes: Uint8Array): number | undefined {
  if (bytes.length < 6 || MAGIC.some((byte, i) => bytes[i] !== byte)) return undefined;
  const descriptor = bytes[4]!;
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const width = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
  const at = 5 + (single ? 0 : 1) + dictionary;
  if (width === 0 || bytes.length < at + width) return undefined;
  let size = 0;
  for (let i = width - 1; i >= 0; i--) size = size * 256 + bytes[at + i]!;
  return width === 2 ? size + 256 : size;
}
