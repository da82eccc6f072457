/** @file From ink on a surface of any size to a 28×28 digit, framed as MNIST's are. Pure. */
import { SIDE } from './samples.js';

/** One byte per pixel, row by row: 0 is blank, 255 is full ink. */
export interface Ink {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** MNIST's digits fill a box of 20×20 at most. */
const BOX = 20;
/** Fainter ink is noise. */
const FAINT = 24;

/**
 * Fits the ink into 20×20 keeping its proportions, and puts its centre of mass into the middle of 28×28, as MNIST's makers
 * did. `undefined` where there is no ink.
 */
export function digitFromInk(ink: Ink): Uint8Array | undefined {
  const box = bounds(ink);
  if (box === undefined) return undefined;
  const scale = BOX / Math.max(box.width, box.height);
  const width = Math.max(1, Math.round(box.width * scale));
  const height = Math.max(1, Math.round(box.height * scale));
  const small = shrink(ink, box, width, height);

  let mass = 0;
  let massX = 0;
  let massY = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = small[y * width + x]!;
      mass += value;
      massX += value * (x + 0.5);
      massY += value * (y + 0.5);
    }
  const left = clamp(Math.round(SIDE / 2 - massX / mass), 0, SIDE - width);
  const top = clamp(Math.round(SIDE / 2 - massY / mass), 0, SIDE - height);
  const digit = new Uint8Array(SIDE * SIDE);
  for (let y = 0; y < height; y++) digit.set(small.subarray(y * width, (y + 1) * width), (top + y) * SIDE + left);
  return digit;
}

/**
 * The ink of a picture in gray levels, whatever the colour of its paper: the difference from the border's median,
 * with the faint fifth of the range cut off and the rest stretched.
 */
export function inkOfGray(gray: Ink): Ink {
  const { data, width, height } = gray;
  const border: number[] = [];
  for (let x = 0; x < width; x++) border.push(data[x]!, data[(height - 1) * width + x]!);
  for (let y = 0; y < height; y++) border.push(data[y * width]!, data[y * width + width - 1]!);
  const paper = border.sort((a, b) => a - b)[border.length >> 1]!;
  let strongest = 0;
  for (const value of data) strongest = Math.max(strongest, Math.abs(value - paper));
  // A picture of one colour has no ink, only grain.
  if (strongest < FAINT) return { width, height, data: new Uint8Array(data.length) };
  const floor = strongest / 5;
  return {
    width,
    height,
    data: data.map((value) => Math.max(0, ((Math.abs(value - paper) - floor) * 255) / (strongest - floor))),
  };
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function bounds({ data, width, height }: Ink): Box | undefined {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (data[y * width + x]! < FAINT) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  return right < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Area averages: each target pixel is the mean of the source area that it covers, parts of pixels counted in part. */
function shrink(ink: Ink, box: Box, width: number, height: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const columns = spans(box.left, box.width, width);
  const rows = spans(box.top, box.height, height);
  rows.forEach((row, y) =>
    columns.forEach((column, x) => {
      let sum = 0;
      let area = 0;
      for (const [sourceY, weightY] of row)
        for (const [sourceX, weightX] of column) {
          sum += ink.data[sourceY * ink.width + sourceX]! * weightY * weightX;
          area += weightY * weightX;
        }
      out[y * width + x] = Math.round(sum / area);
    }),
  );
  return out;
}

/** For each target pixel of an axis: the source pixels that it covers, with the share of each. */
function spans(start: number, length: number, count: number): readonly (readonly (readonly [number, number])[])[] {
  return Array.from({ length: count }, (_, index) => {
    const from = (index * length) / count;
    const to = ((index + 1) * length) / count;
    const covered: [number, number][] = [];
    for (let source = Math.floor(from); source < Math.min(length, Math.ceil(to)); source++)
      covered.push([start + source, Math.min(to, source + 1) - Math.max(from, source)]);
    return covered;
  });
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
