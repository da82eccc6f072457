/** @file Cuts of every kind of network: device half and server half, chained, equal the whole bit for bit. */
import { describe, expect, test } from 'vitest';
import type { Model, Tensor } from '../../src/ir/index.js';
import { openSession, syntheticFeeds } from '../../src/runtime/index.js';
import { CutError, cutsOf, frontierBytes, halvesOf } from '../../src/split/cuts.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { recurrentNet, transformerNet } from '../exits/networks-sequence.js';
import { inceptionNet } from './networks.js';

/** Only every so many of the long network's cuts, for speed; all have been checked. */
const STRIDES: Readonly<Record<string, number>> = { MobileNetV2: 8, 'ResNet-20': 2 };

const networks: Readonly<Record<string, () => Model>> = {
  'ResNet-20': () => buildArchitecture('resnet-20', { classes: 10, input: [3, 8, 8], seed: 1 }),
  MobileNetV2: () => buildArchitecture('mobilenet-v2-0.25', { classes: 10, input: [3, 8, 8], seed: 1 }),
  'Inception-like': inceptionNet,
  LSTM: () => recurrentNet('LSTM', true),
  Transformer: transformerNet,
};

describe.each(Object.entries(networks))('%s', (network, build) => {
  const model = build();
  const cuts = cutsOf(model);

  test('halves chained equal the whole, at every cut', { timeout: 240_000 }, async () => {
    // Without fusions: across a cut they cannot be the same ones.
    const options = { backend: 'native', threads: 1, optimization: 'disabled' } as const;
    const feeds = syntheticFeeds(model, { batch: 2, N: 2 });
    const whole = await openSession(model, options);
    const expected = await whole.run(feeds);
    await whole.release();
    const stride = STRIDES[network] ?? 1;
    for (const cut of cuts.cuts.filter(({ index }) => index % stride === 0)) {
      const { device, server } = halvesOf(cuts, cut.index);
      let known: Record<string, Tensor> = { ...feeds };
      for (const half of [device, server]) {
        if (!half) continue;
        const session = await openSession(half, options);
        known = { ...known, ...(await session.run(Object.fromEntries(session.inputNames.map((n) => [n, known[n]!])))) };
        await session.release();
      }
      for (const [name, tensor] of Object.entries(expected))
        expect(Buffer.from(known[name]!.bytes).equals(Buffer.from(tensor.bytes)), `cut ${cut.index}, ${name}`).toBe(
          true,
        );
    }
  });

  test('frontiers are what crosses, each once, from the inputs to nothing', () => {
    const list = cuts.cuts;
    const inputs = new Set(model.graph.inputs.map(({ name }) => name));
    expect(list[0]!.frontier.every((name) => inputs.has(name))).toBe(true);
    expect(list.at(-1)!.frontier).toEqual([]);
    expect(list.map(({ index }) => index)).toEqual(list.map((__, i) => i));
    expect(new Set(list.map(({ frontier, finished }) => JSON.stringify([frontier, finished]))).size).toBe(list.length);
    for (const { nodes, frontier } of list) {
      // Read behind the cut and made before it: counted in the plainest way.
      const made = new Set([...inputs, ...cuts.nodes.slice(0, nodes).flatMap((node) => node.outputs)]);
      const read = new Set(cuts.nodes.slice(nodes).flatMap((node) => node.inputs));
      for (const name of frontier) expect(made.has(name) && read.has(name)).toBe(true);
    }
  });
});

test('names residual branches, sizes and sparse cuts', () => {
  const cuts = cutsOf(networks['ResNet-20']!());
  expect(cuts.cuts.some(({ frontier }) => frontier.length === 2)).toBe(true);
  const bytes = frontierBytes(cuts, { batch: 1 });
  expect(bytes[0]).toBe(3 * 8 * 8 * 4);
  expect(bytes.at(-1)).toBe(0);
  expect(bytes.every(Number.isFinite)).toBe(true);
  const sparse = cuts.cuts.filter((cut) => cut.sparse);
  expect(sparse.length).toBeGreaterThan(8);
  expect(sparse.every(({ frontier }) => frontier.every((name) => /relu/i.test(name)))).toBe(true);
});

test('an early output is finished on the device, and not sent', () => {
  const cuts = cutsOf(inceptionNet());
  const with_ = cuts.cuts.filter(({ finished }) => finished.includes('early'));
  expect(with_.length).toBeGreaterThan(2);
  const { device, server } = halvesOf(cuts, with_[0]!.index);
  expect(device!.graph.outputs.map(({ name }) => name)).toContain('early');
  expect(server!.graph.outputs.map(({ name }) => name)).toEqual(['logits']);
});

test('another number is refused', () => {
  const cuts = cutsOf(inceptionNet());
  for (const index of [-1, cuts.cuts.length, 0.5]) expect(() => halvesOf(cuts, index)).toThrow(CutError);
});
