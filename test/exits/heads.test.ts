/** @file Exit heads on maps of every size, and the progressive model that carries them. */
import { describe, expect, test } from 'vitest';
import { attachExits, withWeights } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { exitHeads, resolveHead, UnknownHeadError } from '../../src/exits/heads/index.js';
import {
  NotProgressiveError,
  isProgressive,
  readProgressive,
  temperaturesOf,
  withTemperatures,
} from '../../src/exits/progressive.js';
import { EXITS_KEY } from '../../src/exits/progressive-schema.js';
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { decodeModel, encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';
import { inferShapes } from '../../src/passes/index.js';
import { plainChain, residualNet } from './networks.js';

const shapes = [
  [16, 32, 32],
  [8, 9, 14],
  [8, 5, 1],
  [12, 4, 4],
  [12, 3, 2],
  [4, 2, 2],
  [20, 1, 1],
] as const;

function headModel(kind: keyof typeof exitHeads, shape: readonly [number, number, number], width = 6): Model {
  const b = new GraphBuilder();
  const value = b.input('x', tensorType('float32', ['batch', ...shape]));
  const logits = exitHeads[kind].build({ b, value, shape, classes: 5, random: createRandom(1), name: 'exit' }, width);
  return makeModel(b.graph('head', [{ name: logits, type: tensorType('float32', ['batch', 5]) }]));
}

describe.each(Object.keys(exitHeads) as (keyof typeof exitHeads)[])('head %s', (kind) => {
  // A class token is the first step of a sequence, whose map is one wide.
  test.each(shapes.filter(([, , width]) => kind !== 'class-token' || width === 1))(
    'gives logits on a %i×%i×%i map, as the shape rules and ONNX Runtime see it',
    async (...shape) => {
      const model = headModel(kind, shape);
      const logits = model.graph.outputs[0]!.name;
      expect(inferShapes(model).types.get(logits)).toEqual(tensorType('float32', ['batch', 5]));
      for (const [name, type] of inferShapes(model).types)
        if (type.kind === 'tensor') for (const dim of type.shape!) expect(dim, name).not.toBe(0);
      await using session = await openSession(encodeModel(model), { threads: 1 });
      const x = Tensor.floats(new Float32Array(2 * shape[0] * shape[1] * shape[2]).fill(1), [2, ...shape]);
      expect((await session.run({ x }))[logits]!.dims).toEqual([2, 5]);
    },
  );
});

test('MSDNet on 32×32: 32 → 16 → 8 → 4, and 1,536 features to the linear layer at width 96', () => {
  const { graph } = headModel('msdnet', [16, 32, 32], 96);
  expect(graph.nodes.map(({ op }) => op)).toEqual([
    ...['Conv', 'BatchNormalization', 'Relu', 'Conv', 'BatchNormalization', 'Relu', 'AveragePool', 'Flatten', 'Gemm'],
  ]);
  expect(graph.initializers.get('exit.conv1.weight')!.dims).toEqual([96, 16, 3, 3]);
  expect(graph.initializers.get('exit.linear.weight')!.dims).toEqual([5, 96 * 16]);
});

test('SDN mixes max and average pooling by its learned share', async () => {
  const model = headModel('sdn', [1, 8, 8]);
  const x = Float32Array.from({ length: 64 }, (_, i) => ((i * 37) % 17) - 8);
  const weights = model.graph.initializers.get('exit.linear.weight')!.data as Float32Array;
  const alpha = model.graph.initializers.get('exit.alpha')!.data[0] as number;
  const expected = new Float64Array(5);
  for (let window = 0; window < 16; window++) {
    const at = 16 * (window >> 2) + 2 * (window & 3);
    const values = [x[at]!, x[at + 1]!, x[at + 8]!, x[at + 9]!];
    const mixed = alpha * Math.max(...values) + ((1 - alpha) * values.reduce((sum, value) => sum + value)) / 4;
    for (let c = 0; c < 5; c++) expected[c]! += mixed * weights[c * 16 + window]!;
  }
  await using session = await openSession(encodeModel(model), { threads: 1 });
  const results = await session.run({ x: Tensor.floats(x, [1, 1, 8, 8]) });
  (Object.values(results)[0]!.data as Float32Array).forEach((value, c) => expect(value).toBeCloseTo(expected[c]!, 4));
});

test('convolutions start with He’s variance; the seed alone decides, head by head', () => {
  const candidates = findCandidates(residualNet());
  const weightsOf = (seed: number, chosen = candidates.all): Map<string, Tensor> => {
    const { info, model } = attachExits(candidates, chosen, { kind: 'msdnet', width: 64 }, seed);
    const named = info.exits.map(({ candidate, output }): [string, Tensor] => [
      String(candidate),
      model.graph.initializers.get(`${output}.conv1.weight`)!,
    ]);
    return new Map(named);
  };
  const first = weightsOf(1);
  const values = first.get('0')!.data as Float32Array;
  const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  expect(variance).toBeCloseTo(2 / (8 * 9), 2);
  expect(weightsOf(1).get('0')!.bytes).toEqual(first.get('0')!.bytes);
  expect(weightsOf(2).get('0')!.bytes).not.toEqual(first.get('0')!.bytes);
  expect(first.get('1')!.bytes).not.toEqual(first.get('0')!.bytes);
  expect(weightsOf(1, candidates.all.slice(3)).get('4')!.bytes).toEqual(first.get('4')!.bytes);
});

test('unknown heads and widths are refused', () => {
  expect(() => resolveHead('dense' as never)).toThrow(UnknownHeadError);
  expect(() => resolveHead({ kind: 'msdnet', width: 0 })).toThrow(UnknownHeadError);
  expect(resolveHead()).toMatchObject({ width: 128, head: { kind: 'msdnet' } });
});

describe('progressive models', () => {
  const candidates = findCandidates(plainChain());
  const progressive = attachExits(candidates, candidates.all, 'pool');

  test('survive the file, with their metadata; the backbone’s softmax and logits are both outputs', () => {
    const read = readProgressive(decodeModel(encodeModel(progressive.model)));
    expect(read.info).toEqual(progressive.info);
    const { outputs } = read.model.graph;
    expect(outputs.map(({ name }) => name)).toEqual([
      ...progressive.info.exits.map(({ output }) => output),
      candidates.classifier.output,
      candidates.classifier.logits,
    ]);
    expect(progressive.patch.reason).toBe('hang 5 pool exits on the backbone');
    expect(read.info.exits[0]).toMatchObject({ output: 'exit_0', candidate: 0, shape: [8, 12, 12], temperature: 1 });
    // 8 channels and 5 classes: weights, and a bias each.
    expect(read.info.exits[0]!.head).toEqual({ kind: 'pool', width: 0, macs: 40, params: 45 });
  });

  test('take calibrated temperatures and trained weights', () => {
    const warm = withTemperatures(progressive, [1, 2, 3, 4, 5, 6]);
    expect(temperaturesOf(readProgressive(warm.model).info)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(() => withTemperatures(progressive, [1])).toThrow(NotProgressiveError);
    const bias = new Map([['exit_0.linear.bias', Tensor.floats([1, 2, 3, 4, 5])]]);
    expect(withWeights(progressive, bias).model.graph.initializers.get('exit_0.linear.bias')!.numbers()).toEqual([
      1, 2, 3, 4, 5,
    ]);
    expect(() => withWeights(progressive, new Map([['exit_0.linear.bias', Tensor.floats([1])]]))).toThrow(
      /does not fit/,
    );
  });

  test('damaged metadata is refused with what is wrong', () => {
    const damaged = (change: (info: Record<string, unknown>) => unknown): (() => unknown) => {
      const info = JSON.parse(progressive.model.metadata.get(EXITS_KEY)!) as Record<string, unknown>;
      const text = change(info);
      return () => readProgressive({ ...progressive.model, metadata: new Map([[EXITS_KEY, text as string]]) });
    };
    expect(damaged(() => '{')).toThrow(/not JSON/);
    expect(damaged((info) => JSON.stringify({ ...info, classes: 1 }))).toThrow(/classes/);
    expect(damaged((info) => JSON.stringify({ ...info, input: 'nowhere' }))).toThrow(/no input 'nowhere'/);
    expect(damaged((info) => JSON.stringify({ ...info, version: 2 }))).toThrow(NotProgressiveError);
    expect(() => readProgressive(plainChain())).toThrow(/no metadata entry/);
    expect(isProgressive(plainChain())).toBe(false);
  });
});
