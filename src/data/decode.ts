/** @file Image files to bytes, on libvips' threads through sharp. */
import type * as SharpPackage from 'sharp';
import { DataError } from './errors.js';
import { type ImageForm } from './resize.js';

/** File name endings that are taken for images. */
export const IMAGE_FILE = /\.(?:jpe?g|png|webp|gif|tiff?|avif)$/i;

/** Larger pictures are refused before their pixels are allocated (a decompression bomb, CWE-409). */
export const MAX_IMAGE_PIXELS = 100_000_000;

export interface DecodedImage extends ImageForm {
  /** C×H×W, 0 to 255. */
  readonly pixels: Uint8Array;
}

/** What the pictures should become; what is left out stays as in the file. */
export interface DecodeOptions {
  /** Scale until the picture covers this size, then cut its centre out. */
  readonly size?: { readonly height: number; readonly width: number };
  readonly channels?: 1 | 3;
}

/** Decodes one image file's bytes. Rejects with an Error whose message says what is wrong with the file. */
export type ImageDecoder = (bytes: Uint8Array, options: DecodeOptions) => Promise<DecodedImage>;

/**
 * A decoder of JPEG, PNG, WebP, GIF, TIFF and AVIF files. EXIF orientation is applied, transparency dropped, colour
 * converted to sRGB. Each call runs on one of libuv's threads, so a few calls at once keep all cores busy. Throws DataError where sharp is not
 * installed.
 */
export async function openDecoder(): Promise<ImageDecoder> {
  const sharp = await loadSharp();
  // Parallelism comes from many images at once; threads within one small image only cost.
  sharp.concurrency(1);
  sharp.cache(false);
  return async (bytes, { size, channels }) => {
    // 'error' refuses truncated and corrupt files; 'warning' would also refuse harmless extra bytes, common in photographs.
    const options: SharpPackage.SharpOptions = { failOn: 'error', limitInputPixels: MAX_IMAGE_PIXELS };
    const image: SharpPackage.Sharp = sharp(bytes, options).autoOrient();
    if (size) image.resize(size.width, size.height, { fit: 'cover', position: 'centre', kernel: 'linear' });
    const wanted = channels ?? (await nativeChannels(sharp, bytes));
    image.removeAlpha().toColourspace(wanted === 1 ? 'b-w' : 'srgb');
    const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return { height: info.height, width: info.width, channels: wanted, pixels: planes(data, info, wanted) };
  };
}

type SharpModule = typeof SharpPackage.default;

async function loadSharp(): Promise<SharpModule> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new DataError('no-sharp', 'reading image files needs the package sharp, which is not installed', {
      kind: 'failed',
      hint: 'Install it: npm install sharp',
      cause,
    });
  }
}

async function nativeChannels(sharp: SharpModule, bytes: Uint8Array): Promise<1 | 3> {
  const { space } = await sharp(bytes, { limitInputPixels: MAX_IMAGE_PIXELS }).metadata();
  return space === 'b-w' || space === 'grey16' ? 1 : 3;
}

/** Interleaved samples to planes; a gray result stands for all channels, and gray is the first of equal ones. */
function planes(
  data: Uint8Array,
  info: { height: number; width: number; channels: number },
  channels: 1 | 3,
): Uint8Array {
  const plane = info.height * info.width;
  const step = info.channels;
  if (step === 1 && channels === 1) return data;
  const pixels = new Uint8Array(channels * plane);
  for (let c = 0; c < channels; c++) {
    const from = step === 1 ? 0 : c;
    const to = c * plane;
    for (let i = 0; i < plane; i++) pixels[to + i] = data[i * step + from]!;
  }
  return pixels;
}
