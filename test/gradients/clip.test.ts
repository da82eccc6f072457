/** @file The gradient of Clip in float32, where it is a mask of one kernel: exact on the bounds and beside them. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType } from '../../src/ir/index.js';
import { appendGradients } from '../../src/passes/index.js';
import { openSession } from '../../src/runtime/index.js';

/** The float32 that lies `steps` units in the last place further from zero. */
function neighbour(value: number, steps: number): number {
  const floats = new Float32Array([value]);
  new Int32Array(floats.buffer)[0]! += steps;
  return floats[0]!;
}

async function slopes(low: number, high: number, at: readonly number[]): Promise<number[]> {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', [at.length]));
  const clipped = b.op('Clip', ['x', b.scalar(low), b.scalar(high)]);
  const loss = b.op('ReduceSum', [clipped], { keepdims: 0 });
  const model = makeModel(b.graph('clip', [{ name: loss, type: undefined }]));
  const { graph, gradients } = appendGradients(model, loss, ['x']);
  const name = gradients.get('x')!;
  expect(graph.nodes.map(({ op }) => op)).not.toContain('Where');
  await using session = await openSession({
    ...model,
    graph: { ...graph, outputs: [{ name, type: tensorType('float32', [at.length]) }] },
  });
  return (await session.run({ x: Tensor.floats(Float32Array.from(at), [at.length]) }))[name]!.numbers();
}

describe('gradient of Clip', () => {
  it.each([
    [0, 6],
    [-2.5, 3.25],
    [-0.7, 0.3],
    [1e-3, 3e4],
  ])('passes between %d and %d and on both, nowhere else', async (low, high) => {
    const [floor, ceiling] = [Math.fround(low), Math.fround(high)];
    const below = floor === 0 ? -1e-30 : neighbour(floor, floor > 0 ? -1 : 1);
    const inside = (floor + ceiling) / 2;
    const at = [-Infinity, -1e30, floor - 1, below, floor, inside, ceiling, neighbour(ceiling, 1), 1e30, Infinity];
    expect(await slopes(floor, ceiling, at)).toEqual([0, 0, 0, 0, 1, 1, 1, 0, 0, 0]);
  });
});
