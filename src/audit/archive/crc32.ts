/** @file CRC-32 as ZIP and gzip use it (IEEE 802.3, reflected), eight bytes a step. */

const tables: readonly Uint32Array[] = makeTables();

function makeTables(): Uint32Array[] {
  const all = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    all[0]![byte] = value >>> 0;
  }
  for (let step = 1; step < 8; step++)
    for (let byte = 0; byte < 256; byte++) {
      const before = all[step - 1]![byte]!;
      all[step]![byte] = ((before >>> 8) ^ all[0]![before & 255]!) >>> 0;
    }
  return all;
}

/** CRC-32 of `bytes`, continuing from `seed` (0 at the beginning). */
export function crc32(bytes: Uint8Array, seed = 0): number {
  const [t0, t1, t2, t3] = [tables[0]!, tables[1]!, tables[2]!, tables[3]!];
  const [t4, t5, t6, t7] = [tables[4]!, tables[5]!, tables[6]!, tables[7]!];
  let crc = ~seed;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t7[crc & 255]! ^
      t6[(crc >>> 8) & 255]! ^
      t5[(crc >>> 16) & 255]! ^
      t4[crc >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]!) & 255]!;
  return ~crc >>> 0;
}
