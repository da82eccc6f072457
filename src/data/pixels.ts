/** @file One picture in memory as a model's input: canvases, camera frames, files that a browser decodes. */
import { Tensor } from '../ir/index.js';
import type { RgbaPixels } from '../platform/web/images.js';
import { channelTables, writeSample } from './assemble.js';
import { DataError } from './errors.js';
import { channelsOf, type Preprocessing } from './preprocessing.js';
import { conformDataset } from './resize.js';

/**
 * Pixels such as a canvas's `ImageData` as float32[1, C, H, W]: scaled until they cover H×W, centre cut out, normalised;
 * transparency is dropped. Throws DataError where the picture is empty or its bytes do not fit its size.
 */
export function preprocessPixels(picture: RgbaPixels, preprocessing: Preprocessing): Tensor<'float32'> {
  const { width, height, data } = picture;
  const plane = width * height;
  if (plane === 0 || data.length !== 4 * plane)
    throw new DataError('bad-pixels', `${data.length} bytes are no picture of ${width}×${height} RGBA pixels`);
  const pixels = new Uint8Array(3 * plane);
  for (let c = 0; c < 3; c++) for (let i = 0; i < plane; i++) pixels[c * plane + i] = data[4 * i + c]!;
  const whole = {
    name: 'picture',
    classes: [''],
    size: 1,
    labels: new Int32Array(1),
    height,
    width,
    channels: 3,
    pixels,
  };
  const channels = channelsOf(preprocessing.channels);
  const fitting = conformDataset(whole, { height: preprocessing.height, width: preprocessing.width, channels });
  const out = new Float32Array(channels * preprocessing.height * preprocessing.width);
  writeSample(fitting, 0, channelTables(fitting, preprocessing), out, 0);
  return Tensor.floats(out, [1, channels, preprocessing.height, preprocessing.width]);
}

/**
 * The same for an image file in a browser (JPEG, PNG, WebP … whatever it reads). Throws DataError: invalid where the file is no
 * image, unsupported in Node, where `preprocessImage` reads files.
 */
export async function preprocessBlob(file: Blob, preprocessing: Preprocessing): Promise<Tensor<'float32'>> {
  const { decodeImage, decodesImages } = await import('../platform/web/images.js');
  if (!decodesImages)
    throw new DataError('no-decoder', 'this host does not decode images itself', {
      kind: 'unsupported',
      hint: 'Use preprocessImage or preprocessImageBytes in Node.',
    });
  let picture;
  try {
    picture = await decodeImage(file);
  } catch (cause) {
    throw new DataError('bad-file', 'the file cannot be read as an image', { cause });
  }
  return preprocessPixels(picture, preprocessing);
}
