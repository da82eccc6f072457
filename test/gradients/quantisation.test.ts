/** @file Straight-through gradients of quantisation: against PyTorch's, through chains of integers, and where they are refused. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType, type Shape } from '../../src/ir/index.js';
import { UnsupportedGradientError, UnsupportedOpError } from '../../src/ops/index.js';
import { appendGradients } from '../../src/passes/index.js';
import type { Backend } from '../../src/runtime/index.js';
import { runModel } from './harness.js';

const { quantised } = JSON.parse(
  readFileSync(new URL('../fixtures/operator-gradients.json', import.meta.url), 'utf8'),
) as {
  quantised: Readonly<Record<'x' | 'step' | 'seed' | 'dx' | 'dstep', readonly number[]>> & { readonly zero: number };
};

/** Gradients of Σ result·seed by name. `build` gives the result from the input `x`. */
async function gradientsThrough(
  build: (b: GraphBuilder, x: string) => string,
  x: Tensor,
  seed: Tensor,
  others: readonly string[] = [],
  shape: Shape = x.dims,
  backend: Backend = 'native',
): Promise<Record<string, readonly number[]>> {
  const b = new GraphBuilder();
  const result = build(b, b.input('x', tensorType('float32', shape)));
  const loss = b.op('ReduceSum', [b.op('Mul', [result, b.parameter('seed', seed)])], { keepdims: 0 });
  const model = makeModel(b.graph('quantised', [{ name: loss, type: tensorType('float32', []) }]));
  const { graph, gradients } = appendGradients(model, loss, ['x', ...others]);
  const outputs = [...gradients.values()].map((name) => ({ name: name!, type: undefined }));
  const found = await runModel({ ...model, graph: { ...graph, outputs } }, { x }, backend);
  return Object.fromEntries([...gradients].map(([name, gradient]) => [name, found[gradient!]!.numbers()]));
}

const close = (found: readonly number[], expected: readonly number[], digits = 4): void => {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, i) => expect(found[i]!, `[${i}]`).toBeCloseTo(value, digits));
};
const x = Tensor.floats(quantised.x, [3, 4]);
const seed = Tensor.floats(quantised.seed, [3, 4]);
const zero = Tensor.of('int8', [], [quantised.zero]);

describe.each<Backend>(['native', 'wasm'])('quantised values on %s', (backend) => {
  it.each([[[3, 4]], [['batch', 4]]] as const)(
    'learn values and step as in PyTorch, of shape %j, and stop where they are clipped',
    async (shape) => {
      const found = await gradientsThrough(
        (b, value) => {
          const step = b.parameter('step', Tensor.scalar('float32', quantised.step[0]!));
          const point = b.parameter('zero', zero);
          return b.op('DequantizeLinear', [b.op('QuantizeLinear', [value, step, point]), step, point]);
        },
        x,
        seed,
        ['step'],
        shape,
        backend,
      );
      close(found.x!, quantised.dx);
      close(found.step!, quantised.dstep, 2);
      expect(found.x!.some((value) => value === 0)).toBe(true);
    },
  );

  it('passes views of integers, and steps per channel', async () => {
    const found = await gradientsThrough(
      (b, value) => {
        const step = b.parameter('step', Tensor.floats([0.1, 0.2, 0.3, 0.4]));
        const level = b.op('QuantizeLinear', [value, step, b.parameter('zero', Tensor.of('int8', [4], [0, 1, 2, 3]))]);
        const turned = b.op('Transpose', [b.op('Reshape', [level, b.int64s([-1, 4])])], { perm: [1, 0] });
        return b.op(
          'Transpose',
          [
            b.op('DequantizeLinear', [turned, step, b.parameter('zero', Tensor.of('int8', [4], [0, 1, 2, 3]))], {
              axis: 0,
            }),
          ],
          { perm: [1, 0] },
        );
      },
      x,
      seed,
      [],
      x.dims,
      backend,
    );
    // No value is out of the range: the gradient is the seed itself.
    close(found.x!, seed.numbers());
  });

  it('passes DynamicQuantizeLinear and MatMulInteger as the product that they stand for', async () => {
    const weight = Tensor.of('int8', [4, 2], [3, -5, 7, 2, 0, 4, -6, 1]);
    const found = await gradientsThrough(
      (b, value) => {
        const [level, scale, point] = b.ops('DynamicQuantizeLinear', [value], {}, { outputs: 3 });
        const product = b.op('MatMulInteger', [level!, b.parameter('w', weight), point!]);
        return b.op('Mul', [b.op('Cast', [product], { to: 1 }), scale!]);
      },
      x,
      Tensor.floats([1, -2, 0.5, 1, 2, 3], [3, 2]),
      [],
      x.dims,
      backend,
    );
    const g = [1, -2, 0.5, 1, 2, 3];
    const w = weight.numbers();
    const expected = Array.from({ length: 12 }, (_, i) => {
      const [row, column] = [Math.floor(i / 4), i % 4];
      return g[row * 2]! * w[column * 2]! + g[row * 2 + 1]! * w[column * 2 + 1]!;
    });
    close(found.x!, expected);
  });
});

describe('quantised values that no gradient can pass', () => {
  const through = (build: (b: GraphBuilder, level: string, step: string, zero: string) => string) =>
    gradientsThrough(
      (b, value) => {
        const step = b.parameter('step', Tensor.scalar('float32', 0.1));
        const point = b.parameter('zero', zero);
        return b.op('DequantizeLinear', [
          build(b, b.op('QuantizeLinear', [value, step, point]), step, point),
          step,
          point,
        ]);
      },
      x,
      seed,
    );
  it('are refused by name: arithmetic on integers', async () => {
    await expect(through((b, level) => b.op('Concat', [level], { axis: 0 }))).rejects.toThrow(UnsupportedGradientError);
  });
  it('are refused by name: integer products', async () => {
    await expect(
      through((b, level, step, point) => {
        const eye = b.parameter('eye', Tensor.of('int8', [4, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]));
        return b.op('QLinearMatMul', [level, step, point, eye, step, point, step, point]);
      }),
    ).rejects.toThrow(UnsupportedOpError);
  });
});
