/** @file What the browser example does with ink, curves and digits, without a browser. */
import { describe, expect, test } from 'vitest';
import { Curve } from '../../examples/browser-train/src/curve.js';
import { digitFromInk, inkOfGray, type Ink } from '../../examples/browser-train/src/ink.js';
import { countByClass, splitSamples, type Sample } from '../../examples/browser-train/src/samples.js';

/** A surface with a filled rectangle. */
function rectangle(width: number, height: number, box: readonly [number, number, number, number]): Ink {
  const data = new Uint8Array(width * height);
  const [left, top, right, bottom] = box;
  for (let y = top; y < bottom; y++) data.fill(255, y * width + left, y * width + right);
  return { data, width, height };
}

function centreOfMass(digit: Uint8Array): readonly [number, number] {
  let [mass, x, y] = [0, 0, 0];
  digit.forEach((value, index) => {
    mass += value;
    x += value * ((index % 28) + 0.5);
    y += value * (Math.floor(index / 28) + 0.5);
  });
  return [x / mass, y / mass];
}

describe('digitFromInk', () => {
  test('fits the ink into 20×20 and centres its mass, wherever it was drawn and however large', () => {
    for (const box of [
      [10, 20, 60, 120],
      [200, 150, 250, 250],
      [5, 5, 10, 15],
    ] as const) {
      const digit = digitFromInk(rectangle(280, 280, box))!;
      const rows = Array.from({ length: 28 }, (_, y) => digit.subarray(y * 28, (y + 1) * 28).some((v) => v > 127));
      expect(rows.filter(Boolean)).toHaveLength(20);
      const [x, y] = centreOfMass(digit);
      expect(Math.abs(x - 14)).toBeLessThanOrEqual(0.5);
      expect(Math.abs(y - 14)).toBeLessThanOrEqual(0.5);
    }
  });

  test('keeps the amount of ink when it shrinks', () => {
    const ink = rectangle(100, 100, [0, 0, 100, 100]);
    for (let y = 0; y < 100; y++) for (let x = (y % 2) + 1; x < 100; x += 2) ink.data[y * 100 + x] = 0;
    const digit = digitFromInk(ink)!;
    const mean = digit.reduce((sum, value) => sum + value, 0) / (20 * 20);
    expect(mean).toBeCloseTo(127.5, -1);
  });

  test('blank stays blank, faint noise is blank', () => {
    expect(digitFromInk({ data: new Uint8Array(100), width: 10, height: 10 })).toBeUndefined();
    expect(digitFromInk({ data: new Uint8Array(100).fill(9), width: 10, height: 10 })).toBeUndefined();
  });

  test('one dot is a digit too', () => {
    const digit = digitFromInk(rectangle(50, 50, [20, 20, 21, 21]))!;
    expect(digit.filter((value) => value === 255)).toHaveLength(400);
  });
});

test('inkOfGray finds dark ink on light paper and light ink on dark paper', () => {
  const light = rectangle(40, 40, [15, 10, 25, 30]);
  const dark = { ...light, data: light.data.map((value) => 230 - Math.round(value * 0.8)) };
  expect(digitFromInk(inkOfGray(dark))).toEqual(digitFromInk(light));
  expect(digitFromInk(inkOfGray({ ...light, data: new Uint8Array(1600).fill(200) }))).toBeUndefined();
});

test('a curve keeps its shape in bounded memory', () => {
  const curve = new Curve(64);
  for (let x = 1; x <= 10_000; x++) curve.push(x, 2 * x);
  expect(curve.points.length).toBeLessThanOrEqual(65);
  for (const { x, y } of curve.points) expect(y).toBeCloseTo(2 * x, 6);
  expect(curve.points.at(-1)!.x).toBeGreaterThan(9_800);
  const xs = curve.points.map(({ x }) => x);
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
});

test('digits are divided by class, and none stands on two sides', () => {
  const samples = Array.from({ length: 200 }, (_, index): Sample => {
    const pixels = new Uint8Array(784);
    pixels[index] = 255;
    return { pixels, label: index % 10, origin: 'drawn' };
  });
  expect(countByClass(samples)).toEqual(Array.from({ length: 10 }, () => 20));
  const { train, calibration, test: held } = splitSamples(samples, 0);
  expect([train.size, calibration.size, held.size]).toEqual([160, 20, 20]);
  const marks = [train, calibration, held].flatMap(({ pixels, size }) =>
    Array.from({ length: size }, (_, i) => pixels.subarray(i * 784, (i + 1) * 784).indexOf(255)),
  );
  expect(new Set(marks).size).toBe(200);
});
