/** @file Small images as PNG data URIs, in pure code: pages carry their pictures with them. */
import { joinBytes } from '../platform/index.js';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** The longest stored deflate block (RFC 1951 §3.2.4). */
const MAX_STORED = 0xffff;

/** A picture in planes, as data sets hold it: C×H×W bytes, 1 (gray) or 3 (RGB) channels. */
export interface PlanarImage {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint8Array;
}

/**
 * A PNG file (ISO/IEC 15948) of 8 bits per sample. The pixels are stored, not compressed: for the thumbnails of a report, a
 * few kilobytes each, that costs less than a compressor would weigh.
 */
export function encodePng({ channels, height, width, pixels }: PlanarImage): Uint8Array {
  const plane = height * width;
  const row = 1 + width * channels;
  const raw = new Uint8Array(height * row);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) raw[y * row + 1 + x * channels + c] = pixels[c * plane + y * width + x]!;
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  return joinBytes([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', zlibStored(raw)),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** The picture as a `data:` URI. */
export function pngDataUri(image: PlanarImage): string {
  const bytes = encodePng(image);
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x2000) text += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
  return `data:image/png;base64,${btoa(text)}`;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}

/** A zlib stream (RFC 1950) of stored blocks. */
function zlibStored(data: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x78, 0x01)];
  for (let at = 0; at < data.length || at === 0; at += MAX_STORED) {
    const part = data.subarray(at, at + MAX_STORED);
    const size = part.length;
    parts.push(
      Uint8Array.of(at + MAX_STORED >= data.length ? 1 : 0, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255),
      part,
    );
  }
  let a = 1;
  let b = 0;
  for (let i = 0; i < data.length; i++) {
    a = (a + data[i]!) % 65_521;
    b = (b + a) % 65_521;
  }
  parts.push(Uint8Array.of(b >> 8, b & 255, a >> 8, a & 255));
  return joinBytes(parts);
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = crcTable[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
