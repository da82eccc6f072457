/** @file One image file as a model's input, for `cuttle run`. */
import { Tensor } from '../ir/index.js';
import { basename, fileInfo, readBytes } from '../platform/node/files.js';
import { channelTables, writeSample } from './assemble.js';
import { openDecoder } from './decode.js';
import { DataError } from './errors.js';
import { channelsOf, type Preprocessing } from './preprocessing.js';

/** No photograph is larger than this. */
const MAX_IMAGE_FILE_BYTES = 256 * 2 ** 20;
const GIVE_IMAGE = 'Give a whole JPEG, PNG, WebP, GIF, TIFF or AVIF file.';

/**
 * An image file (JPEG, PNG, WebP, GIF, TIFF, AVIF) as float32[1, C, H, W]: scaled until it covers H×W, centre cut out, normalised.
 * Throws DataError (invalid) where the file is missing or no image.
 */
export async function preprocessImage(path: string, preprocessing: Preprocessing): Promise<Tensor<'float32'>> {
  const info = await fileInfo(path);
  if (info?.kind !== 'file') throw new DataError('not-found', `no image file at '${path}'`, { hint: GIVE_IMAGE });
  if (info.size > MAX_IMAGE_FILE_BYTES)
    throw new DataError('too-large', `'${path}' has ${info.size} bytes; images have at most ${MAX_IMAGE_FILE_BYTES}`);
  return preprocessImageBytes(await readBytes(path), preprocessing, basename(path));
}

/** The same for an image file's bytes; `name` stands in messages. */
export async function preprocessImageBytes(
  bytes: Uint8Array,
  preprocessing: Preprocessing,
  name = 'image',
): Promise<Tensor<'float32'>> {
  const decode = await openDecoder();
  const { height, width, channels } = preprocessing;
  const count = channelsOf(channels);
  let image;
  try {
    image = await decode(bytes, { size: { height, width }, channels: count });
  } catch (cause) {
    throw new DataError(
      'bad-file',
      `${name} cannot be read as an image: ${cause instanceof Error ? cause.message : String(cause)}`,
      { hint: GIVE_IMAGE, cause },
    );
  }
  const dataset = { ...image, name, classes: [''], size: 1, labels: new Int32Array(1) };
  const data = new Float32Array(count * height * width);
  writeSample(dataset, 0, channelTables(dataset, preprocessing), data, 0);
  return Tensor.of('float32', [1, count, height, width], data);
}
