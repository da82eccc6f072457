/** @file From stored bytes to normalised floats: the inner loops of batch making. */
import { type AugmentationDraw } from './augment.js';
import { sampleBytes, type ImageDataset } from './dataset.js';
import { DataError } from './errors.js';
import { channelsOf, type Preprocessing } from './preprocessing.js';

/** Per output channel: which stored channel it reads, and the float of every byte value. */
export interface ChannelTables {
  readonly source: readonly number[];
  readonly table: readonly Float32Array[];
}

/**
 * Tables that turn a data set's bytes into what `preprocessing` asks for. Gray images feed all channels of an RGB input;
 * RGB images cannot feed a gray input byte by byte (see `conformDataset`). Throws DataError where sizes or channels differ.
 */
export function channelTables(
  dataset: Pick<ImageDataset, 'name' | 'channels' | 'height' | 'width'>,
  preprocessing: Preprocessing,
): ChannelTables {
  const { height, width, channels } = preprocessing;
  if (dataset.height !== height || dataset.width !== width)
    throw new DataError(
      'size',
      `${dataset.name}: images are ${dataset.height}×${dataset.width}, but the model takes ${height}×${width}`,
      { hint: 'Open the data with that size, or bring it there with conformDataset().' },
    );
  const count = channelsOf(channels);
  if (dataset.channels > count)
    throw new DataError(
      'channels',
      `${dataset.name}: images have ${dataset.channels} channels, but the model takes ${count}`,
      {
        hint: 'Open the data with that number of channels, or bring it there with conformDataset().',
      },
    );
  const source = Array.from({ length: count }, (_, c) => (dataset.channels === 1 ? 0 : channels === 'bgr' ? 2 - c : c));
  const table = Array.from({ length: count }, (_, c) => {
    const values = new Float32Array(256);
    for (let byte = 0; byte < 256; byte++) values[byte] = (byte / 255 - preprocessing.mean[c]!) / preprocessing.std[c]!;
    return values;
  });
  return { source, table };
}

/** Writes sample `index` as C×H×W floats at `offset` of `out`, unchanged but for normalisation. */
export function writeSample(
  dataset: ImageDataset,
  index: number,
  tables: ChannelTables,
  out: Float32Array,
  offset: number,
): void {
  const plane = dataset.height * dataset.width;
  const base = index * sampleBytes(dataset);
  const { pixels } = dataset;
  for (let c = 0; c < tables.source.length; c++) {
    const table = tables.table[c]!;
    const from = base + tables.source[c]! * plane;
    const to = offset + c * plane;
    for (let i = 0; i < plane; i++) out[to + i] = table[pixels[from + i]!]!;
  }
}

/** Writes sample `index` shifted, mirrored and cut as `draw` says. Out-of-image pixels are black, cut ones the mean (0). */
export function writeAugmentedSample(
  dataset: ImageDataset,
  index: number,
  tables: ChannelTables,
  draw: AugmentationDraw,
  out: Float32Array,
  offset: number,
): void {
  const { height, width, pixels } = dataset;
  const plane = height * width;
  const base = index * sampleBytes(dataset);
  const { top, left, flip } = draw;
  // Columns of the shifted window that lie inside the image: x + left must be within 0 … width − 1.
  const first = Math.max(0, -left);
  const last = Math.min(width, width - left);
  const step = flip ? -1 : 1;
  for (let c = 0; c < tables.source.length; c++) {
    const table = tables.table[c]!;
    const black = table[0]!;
    const channel = base + tables.source[c]! * plane;
    for (let y = 0; y < height; y++) {
      const row = offset + c * plane + y * width;
      const sourceY = y + top;
      if (sourceY < 0 || sourceY >= height) {
        out.fill(black, row, row + width);
        continue;
      }
      const from = channel + sourceY * width + left;
      let to = flip ? row + width - 1 : row;
      for (let x = 0; x < first; x++, to += step) out[to] = black;
      for (let x = first; x < last; x++, to += step) out[to] = table[pixels[from + x]!]!;
      for (let x = Math.max(first, last); x < width; x++, to += step) out[to] = black;
    }
    for (let y = draw.cutTop; y < draw.cutBottom; y++) {
      const row = offset + c * plane + y * width;
      out.fill(0, row + draw.cutLeft, row + draw.cutRight);
    }
  }
}
