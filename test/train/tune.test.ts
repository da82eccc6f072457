/** @file The tuner: decisions are found, measured once, kept, and change no number. */
import { describe, expect, it } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import {
  backwardOf,
  buildStep,
  createTrainer,
  tuneFormulations,
  type FormulationStore,
  type MeasuredFormulation,
} from '../../src/train/index.js';
import { fileFormulations } from '../../src/train/node.js';
import { withTemporaryFolder } from '../../src/platform/node/files.js';
import { openSession, syntheticFeeds } from '../../src/runtime/index.js';
import type { FormulationDecision } from '../../src/passes/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

const model = buildArchitecture('resnet-8', { classes: 3, input: [3, 8, 8], seed: 1 });
const spec = {
  losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
  optimizer: { kind: 'sgd', momentum: 0.9 },
} as const;

function memoryStore(): FormulationStore & { readonly kept: Record<string, string> } {
  const kept: Record<string, string> = {};
  return { kept, load: async () => ({ ...kept }), save: async (_, choices) => void Object.assign(kept, choices) };
}

const tune = async (store?: FormulationStore): Promise<readonly MeasuredFormulation[]> => {
  const measured: MeasuredFormulation[] = [];
  await tuneFormulations((choose) => buildStep(model, { ...spec, choose }), {
    batch: 4,
    store,
    maxSeconds: 0.02,
    session: { threads: 1 },
    onMeasured: (one) => measured.push(one),
  });
  return measured;
};

function largestDifference(a: readonly number[], b: readonly number[]): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

describe('tuner', () => {
  it('measures every distinct decision, and what is kept not again', async () => {
    const store = memoryStore();
    const first = await tune(store);
    expect(new Set(first.map(({ what }) => what))).toEqual(new Set(['conv-weight', 'conv-input']));
    expect(new Set(first.map(({ key }) => key)).size).toBe(first.length);
    for (const { chosen, ms } of first) expect(ms[chosen]).toBe(Math.min(...Object.values(ms)));
    expect(await tune(store)).toEqual([]);
  });

  it('keeps choices in a file, apart by device, and reads a broken file as empty', async () => {
    await withTemporaryFolder(async (folder) => {
      const store = fileFormulations(folder);
      expect(await store.load('one')).toEqual({});
      await store.save('one', { a: 'b' });
      expect(await store.load('one')).toEqual({ a: 'b' });
      expect(await store.load('two')).toEqual({});
    });
  });

  it('gives the same gradient in every formulation of a decision', async () => {
    const decisions: FormulationDecision[] = [];
    buildStep(model, { ...spec, choose: (decision) => void decisions.push(decision) });
    expect(decisions.length).toBeGreaterThan(5);
    for (const decision of decisions) {
      const results: Tensor[] = [];
      for (const name of decision.candidates) {
        const part = backwardOf(decision, name, 2);
        await using session = await openSession(part, { threads: 1 });
        results.push(Object.values(await session.run(syntheticFeeds(part)))[0]!);
      }
      for (const other of results.slice(1)) {
        expect(other.dims).toEqual(results[0]!.dims);
        expect(largestDifference(other.numbers(), results[0]!.numbers())).toBeLessThan(1e-3);
      }
    }
  });

  it('trains to the same losses whatever is chosen', async () => {
    const losses: number[][] = [];
    for (const last of [false, true]) {
      const step = buildStep(model, { ...spec, choose: ({ candidates }) => candidates.at(last ? -1 : 0) });
      await using trainer = await createTrainer(step, { threads: 1 });
      const feeds = {
        input: Tensor.floats(
          Float32Array.from({ length: 4 * 192 }, (_, i) => Math.sin(i)),
          [4, 3, 8, 8],
        ),
        labels: Tensor.of('int64', [4], BigInt64Array.from([0n, 1n, 2n, 0n])),
      };
      const run: number[] = [];
      for (let i = 0; i < 4; i++) run.push((await trainer.run(feeds, { learningRate: 0.05 })).loss);
      losses.push(run);
    }
    losses[0]!.forEach((loss, i) => expect(losses[1]![i]).toBeCloseTo(loss, 4));
  });
});
