/** @file Whole networks as chains of parts: the same answers, and a run under way that stops. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Tensor, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/index.js';
import { openSession } from '../../src/runtime/index.js';
import { cutsOf } from '../../src/split/cuts.js';
import { evenStops, openChain } from '../../src/split/server/chain.js';
import { toPlain, toTensor, type Work } from '../../src/split/server/engine.js';
import { LocalEngine } from '../../src/split/server/local-engine.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { noise } from '../exits/networks.js';
import { inceptionNet } from './networks.js';
import { modelFolder, plainModel, progressiveModel } from './serving.js';

const exact = { backend: 'native', threads: 1, optimization: 'disabled' } as const;
const never = new AbortController().signal;
const random = createRandom(4);
const networks: Readonly<Record<string, readonly [Model, Readonly<Record<string, Tensor>>]>> = {
  'ResNet-8': [plainModel(), { input: noise(random, [3, 3, 8, 8]) }],
  'with exits': [progressiveModel(), { input: noise(random, [2, 3, 8, 8]) }],
  'Inception-like': [inceptionNet(), { x: noise(random, [2, 3, 9, 9]) }],
  MobileNetV2: [
    buildArchitecture('mobilenet-v2-0.25', { classes: 4, input: [3, 32, 32], seed: 2 }),
    { input: noise(random, [1, 3, 32, 32]) },
  ],
  LSTM: [
    buildArchitecture('lstm-rows', { classes: 4, input: [1, 6, 5], seed: 2 }),
    { input: noise(random, [2, 1, 6, 5]) },
  ],
};

describe.each(Object.entries(networks))('%s', (_, [model, feeds]) => {
  test.each([2, 5, 1000])('in %i parts answers as the whole, bit for bit', async (parts) => {
    const cuts = cutsOf(model);
    const stops = evenStops(cuts, parts);
    expect(stops).toEqual([...new Set(stops)].sort((a, b) => a - b));
    expect(stops.every((cut) => cut > 0 && cut < cuts.cuts.length - 1)).toBe(true);
    if (parts === 2) expect(stops.length).toBe(1);
    if (parts === 1000) expect(stops.length).toBeGreaterThan(2);
    await using session = await openSession(encodeModel(model), exact);
    const whole = await session.run(feeds);
    const chain = await openChain(cuts, stops, exact);
    const outputs = session.outputNames;
    const made = await chain.run(feeds, { outputs, signal: never });
    expect(Object.keys(made)).toEqual(outputs);
    for (const name of outputs) expect(made[name]!.bytes).toEqual(whole[name]!.bytes);
    // One output alone, which an early part may give.
    const first = await chain.run(feeds, { outputs: outputs.slice(0, 1), signal: never });
    expect(first[outputs[0]!]!.bytes).toEqual(whole[outputs[0]!]!.bytes);
    await chain.release();
  });
});

test('the work is divided evenly, where little crosses', () => {
  const cuts = cutsOf(buildArchitecture('vgg-11', { classes: 10, input: [3, 32, 32], seed: 1 }));
  const stops = evenStops(cuts, 4);
  expect(stops.length).toBe(3);
  expect(stops.every((cut) => cuts.cuts[cut]!.frontier.length === 1)).toBe(true);
  expect(evenStops(cuts, 1)).toEqual([]);
});

describe('the engine', () => {
  const input = noise(random, [2, 3, 8, 8]);
  const work: Work = { kind: 'whole', inputs: { input: toPlain(input) }, outputs: [] };
  const opened = async (longestPartMs?: number): Promise<LocalEngine> => {
    const engine = new LocalEngine(exact, longestPartMs);
    await engine.load({ key: 'k', path: join(modelFolder({ 'net.onnx': plainModel() }), 'net.onnx') });
    return engine;
  };

  test('in parts answers as in one, requests alone and together', async () => {
    const [whole, parted] = [await opened(Infinity), await opened(0.01)];
    const wanted = (await whole.run('k', [work], never)).results[0]!;
    for (const batch of [[work], [work, work, work]])
      for (const result of (await parted.run('k', batch, never)).results) {
        if (!result.ok || !wanted.ok) throw new Error('no answer');
        for (const [name, tensor] of Object.entries(result.outputs))
          expect(toTensor(tensor).bytes).toEqual(toTensor(wanted.outputs[name]!).bytes);
      }
    await Promise.all([whole.close(), parted.close()]);
  });

  test('an uncut inference that nobody waits for stops between its parts; a bad one spoils no other', async () => {
    const engine = await opened(0.01);
    const stop = new AbortController();
    // A turn of the event loop comes between two parts: that is where this abort is seen.
    setImmediate(() => stop.abort());
    await expect(engine.run('k', [work], stop.signal)).rejects.toThrow(/abort/);
    const bad: Work = { ...work, inputs: { input: toPlain(noise(random, [2, 4, 8, 8])) } };
    const { results } = await engine.run('k', [work, bad], never);
    expect(results.map(({ ok }) => ok)).toEqual([true, false]);
    await engine.close();
  });
});
