/** @file Packing inside a graph equals the codec in TypeScript before compression, bit for bit, on both back ends. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { openSession } from '../../src/runtime/index.js';
import { PackingError } from '../../src/split/packing/errors.js';
import { packedNames, packOutputs, unpackInputs, type GraphPacking } from '../../src/split/packing/in-graph.js';
import { packTensor, packTensors, unpackTensors } from '../../src/split/packing/pack.js';

/** A graph that hands its input on, in a batch of any size. */
function identity(): Model {
  const b = new GraphBuilder();
  const type = tensorType('float32', ['batch', 3, 7]);
  const x = b.input('x', type);
  const lengths = b.input('lengths', tensorType('int64', [2]));
  b.alias(x, 'y');
  b.alias(lengths, 'n');
  return makeModel(
    b.graph('identity', [
      { name: 'y', type },
      { name: 'n', type: tensorType('int64', [2]) },
    ]),
  );
}

const random = createRandom(5);
const cases: Readonly<Record<string, Tensor<'float32'>>> = {
  signed: Tensor.floats(
    Float32Array.from({ length: 63 }, () => random.normal()),
    [3, 3, 7],
  ),
  relu: Tensor.floats(
    Float32Array.from({ length: 21 }, () => Math.max(0, random.normal())),
    [1, 3, 7],
  ),
  constant: Tensor.floats(new Float32Array(42).fill(-2.7), [2, 3, 7]),
  far: Tensor.floats(
    Float32Array.from({ length: 21 }, (_, i) => 1e6 + i),
    [1, 3, 7],
  ),
  subnormal: Tensor.floats(
    Float32Array.from({ length: 21 }, (_, i) => i * 2 ** -128),
    [1, 3, 7],
  ),
};

describe.each(['native', 'wasm'] as const)('packing inside a graph, %s', (backend) => {
  test('equals the codec, and comes back equal', async () => {
    for (const layout of ['planes', 'lanes'] as const)
      for (const bits of [1, 2, 4, 5, 8, 11, 16]) {
        const packing: GraphPacking = { bits, layout };
        const names = packedNames('y', packing);
        const device = await openSession(packOutputs(identity(), packing), { backend, threads: 1 });
        const server = await openSession(unpackInputs(identity(), packing, ['x']), { backend, threads: 1 });
        const entry = packedNames('x', packing);
        for (const [what, x] of Object.entries(cases)) {
          const lengths = Tensor.int64s([1, 2]);
          const packed = await device.run({ x, lengths });
          expect(Object.keys(packed)).toEqual([names.data, names.scale, ...(names.dims ? [names.dims] : []), 'n']);
          const codec = packTensor('y', x, packing);
          const label = `${what}, ${bits} bits, ${layout}`;
          expect([...packed[names.data]!.bytes], label).toEqual([...codec.payload]);
          expect([...(packed[names.scale]!.data as Float32Array)], label).toEqual([
            codec.scale!.min,
            codec.scale!.step,
          ]);
          const back = await server.run({
            ...{ [entry.data]: packed[names.data]!, [entry.scale]: packed[names.scale]!, lengths },
            ...(names.dims !== undefined && { [entry.dims!]: packed[names.dims]! }),
          });
          const expected = unpackTensors(packTensors({ y: x }, { ...packing, codec: 'lz4' }))['y']!;
          expect(back['y']!.dims).toEqual(x.dims);
          expect(back['y']!.data, label).toEqual(expected.data);
        }
        await device.release();
        await server.release();
      }
  }, 120_000);

  test('says by its scale that a tensor must be sent unchanged', async () => {
    const packing: GraphPacking = { bits: 8, layout: 'lanes' };
    const session = await openSession(packOutputs(identity(), packing), { backend, threads: 1 });
    for (const value of [NaN, Infinity, -Infinity]) {
      const values = new Float32Array(21).fill(1);
      values[4] = value;
      const { 'y/scale': scale } = await session.run({
        x: Tensor.floats(values, [1, 3, 7]),
        lengths: Tensor.int64s([1, 2]),
      });
      expect((scale!.data as Float32Array).every(Number.isFinite)).toBe(false);
    }
    await session.release();
  });
});

test('refuses what it cannot pack', () => {
  expect(() => packOutputs(identity(), { bits: 17, layout: 'lanes' })).toThrow(PackingError);
  expect(() => packOutputs(identity(), { bits: 8, layout: 'lanes' }, ['z'])).toThrow(PackingError);
  expect(() => packOutputs({ ...identity(), opsets: new Map([['', 11]]) }, { bits: 8, layout: 'lanes' })).toThrow(
    /opset/,
  );
});
