/** @file The native LZ4 library, where it is installed. */

/** Blocks with the unpacked size, 32 bits little-endian, in front. */
export interface NativeLz4 {
  readonly compressSync: (bytes: Uint8Array) => Uint8Array;
  readonly uncompressSync: (bytes: Uint8Array) => Uint8Array;
}

/** lz4-napi. Rejects where it is not installed. */
export async function importLz4(): Promise<NativeLz4> {
  const { compressSync, uncompressSync } = await import('lz4-napi');
  // The library's types ask for a Buffer, its code takes any bytes.
  return { compressSync: (bytes) => compressSync(bytes as Buffer), uncompressSync };
}
