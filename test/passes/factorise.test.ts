/** @file Low-rank factorisation: the decomposition's defining equations, the best error of each rank, the same function at full rank. */
import { describe, expect, test } from 'vitest';
import { decompose } from '../../src/passes/singular-values.js';
import { costOf, factorise, rankForEnergy } from '../../src/passes/index.js';
import { createRandom } from '../../src/platform/random.js';
import type { Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { openSession } from '../../src/runtime/index.js';
import { Net, noise, residualNet } from '../exits/networks.js';
import { transformerNet } from '../exits/networks-sequence.js';

describe('the decomposition', () => {
  test.each([
    [5, 5],
    [12, 4],
    [4, 12],
    [7, 1],
  ])('of a %i×%i matrix: orthonormal factors, descending values, the matrix again', (rows, columns) => {
    const matrix = noise(createRandom(1), [rows, columns]).data;
    const { left, singular, right } = decompose(matrix, rows, columns);
    const k = Math.min(rows, columns);
    expect([...singular]).toEqual([...singular].sort((a, b) => b - a));
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) {
        const dot = (part: Float64Array, length: number): number => {
          let sum = 0;
          for (let r = 0; r < length; r++) sum += part[r * k + i]! * part[r * k + j]!;
          return sum;
        };
        expect(dot(left, rows)).toBeCloseTo(i === j ? 1 : 0, 10);
        expect(dot(right, columns)).toBeCloseTo(i === j ? 1 : 0, 10);
      }
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += left[r * k + i]! * singular[i]! * right[c * k + i]!;
        expect(sum).toBeCloseTo(matrix[r * columns + c]!, 10);
      }
  });

  test('of matrices with known values', () => {
    // [[3, 0], [4, 5]]: singular values √45 and √5.
    const { singular } = decompose([3, 0, 4, 5], 2, 2);
    expect(singular[0]).toBeCloseTo(Math.sqrt(45), 12);
    expect(singular[1]).toBeCloseTo(Math.sqrt(5), 12);
    expect([...decompose(new Float64Array(6), 3, 2).singular]).toEqual([0, 0]);
    expect(rankForEnergy([3, 2, 1], 9 / 14)).toBe(1);
    expect(rankForEnergy([3, 2, 1], 0.9)).toBe(2);
    expect(rankForEnergy([3, 2, 1], 1)).toBe(3);
  });
});

async function outputOf(model: Model, dims: readonly number[]): Promise<Float32Array> {
  await using session = await openSession(encodeModel(model), { threads: 1 });
  const results = await session.run({ input: noise(createRandom(2), dims) });
  return Object.values(results)[0]!.data as Float32Array;
}

describe('factorisation', () => {
  test('keeps convolutions with stride, padding and bias at the break-even rank nearly as they are', async () => {
    const net = new Net(5);
    const x = net.conv(net.input([4, 9, 9]), 4, 24, 3, 2);
    const model = net.model(net.linear(net.b.op('Flatten', [x]), 24 * 25, 6), ['batch', 6]);
    const whole = factorise(model, {
      rank: ({ breakEven, rows, columns }) => (rows === 24 ? Math.min(breakEven, columns) : undefined),
    });
    expect(whole.layers).toMatchObject([{ rank: 14 }]);
    const [a, b] = [await outputOf(model, [2, 4, 9, 9]), await outputOf(whole.model, [2, 4, 9, 9])];
    const [norm, error] = [Math.hypot(...a), Math.hypot(...a.map((value, i) => value - b[i]!))];
    // Random weights have no structure: what is lost is what the energy says.
    expect(error / norm).toBeLessThan(2 * Math.sqrt(1 - whole.layers[0]!.energy));
  });

  test('is exact where the weights have the rank', async () => {
    for (const [build, dims] of [
      [residualNet, [3, 3, 12, 12]],
      [transformerNet, [3, 1, 8, 12]],
    ] as const) {
      // First at rank 2, then again: the products are of rank 2 already.
      const once = factorise(build(), { rank: ({ columns }) => (columns > 8 ? 2 : undefined) });
      expect(once.layers.length).toBeGreaterThan(3);
      expect(costOf(once.model, { symbols: { batch: 1 } }).total.macs).toBeLessThan(
        costOf(build(), { symbols: { batch: 1 } }).total.macs,
      );
      const again = factorise(once.model, { rank: ({ singular }) => rankForEnergy(singular, 1 - 1e-12) });
      const [a, b] = [await outputOf(once.model, dims), await outputOf(again.model, dims)];
      b.forEach((value, i) => expect(value).toBeCloseTo(a[i]!, 4));
    }
  });

  test('leaves the smallest possible error in the weights', () => {
    const net = new Net(6);
    const model = net.model(net.linear(net.input([20]), 20, 12), ['batch', 12]);
    const weight = model.graph.initializers.get('fc')!.data as Float32Array;
    const { singular } = decompose(weight, 12, 20);
    for (const rank of [1, 4, 7]) {
      const { model: thin } = factorise(model, { rank: () => rank });
      const [inner, outer] = ['fc.inner', 'fc.outer'].map((name) => thin.graph.initializers.get(name)!);
      expect(inner!.dims).toEqual([rank, 20]);
      let error = 0;
      for (let o = 0; o < 12; o++)
        for (let i = 0; i < 20; i++) {
          let sum = 0;
          for (let r = 0; r < rank; r++) sum += Number(outer!.data[o * rank + r]) * Number(inner!.data[r * 20 + i]);
          error += (sum - weight[o * 20 + i]!) ** 2;
        }
      const tail = singular.slice(rank).reduce((total, value) => total + value * value, 0);
      expect(error).toBeCloseTo(tail, 4);
    }
  });

  test('leaves alone what would save nothing, and says so', () => {
    const net = new Net(6);
    const model = net.model(net.linear(net.input([20]), 20, 12), ['batch', 12]);
    expect(factorise(model, { rank: ({ breakEven }) => breakEven + 1 })).toMatchObject({ changed: false, layers: [] });
    expect(factorise(model, { rank: () => undefined }).model).toBe(model);
  });
});
