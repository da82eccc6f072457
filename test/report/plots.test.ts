/** @file Axes, places of marks, PNG files, terminal tables, number formats. */
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  barPlot,
  encodePng,
  layerPlot,
  linearScale,
  logScale,
  opStyles,
  textBars,
  textTable,
  tickFormat,
  xyPlot,
} from '../../src/report/index.js';
import { magnitude, milliseconds, percent, points, significant } from '../../src/report/format.js';

describe('scales', () => {
  it('keep every value inside and the ends of the range at the ends of the domain', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 }),
        (values) => {
          const scale = linearScale(values, [10, 110]);
          for (const value of values) {
            expect(scale.at(value)).toBeGreaterThanOrEqual(10 - 1e-6);
            expect(scale.at(value)).toBeLessThanOrEqual(110 + 1e-6);
          }
          expect(scale.at(scale.domain[0])).toBeCloseTo(10, 6);
          expect(scale.at(scale.domain[1])).toBeCloseTo(110, 6);
          expect(scale.ticks.length).toBeGreaterThan(1);
          expect(scale.ticks.length).toBeLessThan(16);
        },
      ),
    );
  });

  it('choose round ticks', () => {
    expect(linearScale([0.74, 0.87], [0, 1]).ticks).toEqual([0.74, 0.76, 0.78, 0.8, 0.82, 0.84, 0.86, 0.88]);
    expect(linearScale([3, 97], [0, 1], { from: 0, to: 100 }).ticks).toEqual([0, 20, 40, 60, 80, 100]);
    expect(logScale([0.9, 45], [0, 1]).ticks).toEqual([1, 2, 5, 10, 20]);
    const log = logScale([1, 100], [0, 100]);
    expect(log.at(10)).toBeCloseTo(50, 6);
    expect(log.at(0)).toBe(0);
  });

  it('write ticks alike', () => {
    expect([0, 0.5, 1].map(tickFormat([0, 0.5, 1]))).toEqual(['0.0', '0.5', '1.0']);
    expect([0.8, 0.825].map(tickFormat([0.8, 0.825, 0.85], 'percent'))).toEqual(['80.0\u00a0%', '82.5\u00a0%']);
    expect([0.5, 1, 2, 20].map(tickFormat([0.5, 1, 2, 5, 10, 20]))).toEqual(['0.5', '1', '2', '20']);
  });
});

describe('plots', () => {
  const circles = (svg: string): number[][] =>
    [...svg.matchAll(/<circle class="m s0" cx="([\d.]+)" cy="([\d.]+)" r="5"/g)].map(([, x, y]) => [
      Number(x),
      Number(y),
    ]);

  it('put points where the axes say', () => {
    const svg = xyPlot({
      title: 't',
      xLabel: 'x',
      yLabel: 'y',
      series: [
        {
          name: 'a',
          style: 0,
          points: [
            { x: 0, y: 0 },
            { x: 10, y: 1 },
            { x: 5, y: 0.5 },
          ],
        },
      ],
    });
    const [low, high, middle] = circles(svg);
    expect(high![0]).toBeGreaterThan(low![0]!);
    expect(high![1]).toBeLessThan(low![1]!);
    expect(middle![0]).toBeCloseTo((low![0]! + high![0]!) / 2, 1);
    expect(middle![1]).toBeCloseTo((low![1]! + high![1]!) / 2, 1);
  });

  it('write no label over another', () => {
    const svg = xyPlot({
      title: 't',
      xLabel: 'x',
      yLabel: 'y',
      series: [
        {
          name: 'a',
          style: 0,
          points: Array.from({ length: 12 }, (_, i) => ({ x: 5 + i * 0.01, y: 5, label: `design ${i}` })),
        },
      ],
    });
    const boxes = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)" class="point s0">/g)].map(([, x, y]) => [
      Number(x),
      Number(y),
    ]);
    expect(boxes.length).toBeGreaterThan(1);
    for (const [i, a] of boxes.entries())
      for (const b of boxes.slice(i + 1))
        expect(Math.abs(a[0]! - b[0]!) >= 40 || Math.abs(a[1]! - b[1]!) >= 14).toBe(true);
  });

  it('draw bars in proportion', () => {
    const svg = barPlot({
      title: 't',
      yLabel: 'y',
      bars: [
        { label: 'a', value: 0.25 },
        { label: 'b', value: 0.5 },
        { label: 'c', value: 0 },
      ],
    });
    const heights = [...svg.matchAll(/<rect [^>]*height="([\d.]+)"/g)].map(([, height]) => Number(height));
    expect(heights[1]! / heights[0]!).toBeCloseTo(2, 1);
    expect(heights[2]).toBe(0);
  });

  it('colour the operators that take most time', () => {
    const layers = ['Conv', 'Conv', 'Relu', 'Add', 'Gemm', 'Pad', 'Exp'].map((op, i) => ({
      name: `n${i}`,
      op,
      ms: 7 - i,
    }));
    expect([...opStyles(layers)]).toEqual([
      ['Conv', 0],
      ['Relu', 1],
      ['Add', 2],
      ['Gemm', 3],
      ['Pad', 5],
      ['Exp', 5],
    ]);
    expect(layerPlot(layers).match(/<title>/g)).toHaveLength(7);
  });
});

it('encodes PNG files that a decoder reads back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 3),
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 200 }),
      async (channels, height, width) => {
        const pixels = new Uint8Array(channels * height * width).map((_, i) => (i * 31) % 256);
        const { data, info } = await sharp(encodePng({ channels, height, width, pixels }))
          .toColourspace(channels === 1 ? 'b-w' : 'srgb')
          .raw()
          .toBuffer({ resolveWithObject: true });
        expect([info.height, info.width, info.channels]).toEqual([height, width, channels]);
        const planar = new Uint8Array(pixels.length);
        for (let i = 0; i < height * width; i++)
          for (let c = 0; c < channels; c++) planar[c * height * width + i] = data[i * channels + c]!;
        expect(planar).toEqual(pixels);
      },
    ),
    { numRuns: 20 },
  );
});

it('makes terminal tables and bars', () => {
  const table = textTable<{ name: string; ms: number }>(
    [
      { name: 'node', value: (row) => row.name },
      { name: 'ms', align: 'right', value: (row) => row.ms.toFixed(1) },
    ],
    [
      { name: 'conv\u001b[31m', ms: 12.34 },
      { name: 'é', ms: 1 },
    ],
  );
  expect(table).toBe(['node         ms', '─────────  ────', 'conv [31m  12.3', 'é           1.0'].join('\n'));
  expect(
    textBars(
      [
        { label: 'exit 1', share: 0.5 },
        { label: 'final', share: 0.0625 },
      ],
      8,
    ),
  ).toBe('exit 1  ████       50.0 %\nfinal   ▌           6.3 %');
});

it('writes numbers as people read them', () => {
  const said = [
    percent(0.9144),
    points(-0.0083),
    points(0.02),
    points(0.0001),
    milliseconds(0.1234),
    milliseconds(1240),
    magnitude(40_813_184),
    magnitude(12),
    significant(0),
    percent(NaN),
  ];
  expect(said.map((text) => text.replace('\u00a0', ' '))).toEqual([
    '91.4 %',
    '−0.8 pp',
    '+2.0 pp',
    '±0.0 pp',
    '0.123 ms',
    '1,240 ms',
    '40.8 M',
    '12.0',
    '0',
    '–',
  ]);
});
