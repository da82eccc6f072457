/** @file Bringing stored images to another size or number of channels, in pure code. */
import { checkedDataset, type ImageDataset } from './dataset.js';

/** What a data set should become. */
export interface ImageForm {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/**
 * The data set in another form, or the same object where it has that form already. Sizes change by `resizePlane` over
 * the whole picture when the aspect ratio is kept, else over its largest centred part of the new ratio. RGB becomes gray by ITU-R
 * BT.601 luma; gray becomes RGB by repetition.
 */
export function conformDataset(dataset: ImageDataset, form: ImageForm): ImageDataset {
  const { height, width, channels } = form;
  if (dataset.height === height && dataset.width === width && dataset.channels === channels) return dataset;
  const recoloured = dataset.channels === channels ? dataset : withChannels(dataset, channels);
  if (recoloured.height === height && recoloured.width === width) return recoloured;
  const planes = recoloured.size * channels;
  const inPlane = recoloured.height * recoloured.width;
  const outPlane = height * width;
  const pixels = new Uint8Array(planes * outPlane);
  const resize = planeResizer(recoloured, form);
  for (let p = 0; p < planes; p++)
    resize(
      recoloured.pixels.subarray(p * inPlane, (p + 1) * inPlane),
      pixels.subarray(p * outPlane, (p + 1) * outPlane),
    );
  return checkedDataset({ ...recoloured, height, width, pixels });
}

function withChannels(dataset: ImageDataset, channels: number): ImageDataset {
  const plane = dataset.height * dataset.width;
  const pixels = new Uint8Array(dataset.size * channels * plane);
  const source = dataset.pixels;
  for (let i = 0; i < dataset.size; i++) {
    if (channels === 1) {
      const red = i * 3 * plane;
      for (let p = 0; p < plane; p++)
        pixels[i * plane + p] = Math.round(
          0.299 * source[red + p]! + 0.587 * source[red + plane + p]! + 0.114 * source[red + 2 * plane + p]!,
        );
    } else for (let c = 0; c < 3; c++) pixels.set(source.subarray(i * plane, (i + 1) * plane), (i * 3 + c) * plane);
  }
  return { ...dataset, channels, pixels };
}

/** Contributions to one output position along one axis. */
interface Taps {
  readonly start: Int32Array;
  readonly weights: Float64Array;
  readonly width: number;
}

/** A function that resizes one plane, with weights worked out once. Triangle filter, widened when shrinking (no aliasing). */
function planeResizer(from: ImageForm, to: ImageForm): (source: Uint8Array, target: Uint8Array) => void {
  const scale = Math.min(from.height / to.height, from.width / to.width);
  const rows = tapsAlong(from.height, to.height, scale);
  const columns = tapsAlong(from.width, to.width, scale);
  const between = new Float64Array(from.height * to.width);
  return (source, target) => {
    for (let y = 0; y < from.height; y++)
      for (let x = 0; x < to.width; x++) {
        let sum = 0;
        const start = y * from.width + columns.start[x]!;
        for (let k = 0; k < columns.width; k++) {
          const weight = columns.weights[x * columns.width + k]!;
          if (weight !== 0) sum += weight * source[start + k]!;
        }
        between[y * to.width + x] = sum;
      }
    for (let y = 0; y < to.height; y++)
      for (let x = 0; x < to.width; x++) {
        let sum = 0;
        const start = rows.start[y]! * to.width + x;
        for (let k = 0; k < rows.width; k++) {
          const weight = rows.weights[y * rows.width + k]!;
          if (weight !== 0) sum += weight * between[start + k * to.width]!;
        }
        target[y * to.width + x] = Math.min(255, Math.max(0, Math.round(sum)));
      }
  };
}

function tapsAlong(from: number, to: number, scale: number): Taps {
  const radius = Math.max(1, scale);
  const width = 2 * Math.ceil(radius) + 1;
  const start = new Int32Array(to);
  const weights = new Float64Array(to * width);
  const offset = (from - to * scale) / 2;
  for (let i = 0; i < to; i++) {
    const centre = offset + (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - radius));
    start[i] = first;
    let total = 0;
    for (let k = 0; k < width && first + k < from; k++) {
      const weight = Math.max(0, 1 - Math.abs((first + k + 0.5 - centre) / radius));
      weights[i * width + k] = weight;
      total += weight;
    }
    for (let k = 0; k < width; k++) weights[i * width + k]! /= total;
  }
  return { start, weights, width };
}
