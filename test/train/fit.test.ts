/** @file The loop: resuming bit for bit, stopping, freezing, averaging, dropout, diverging. */
import { describe, expect, it } from 'vitest';
import type { Model, Tensor } from '../../src/ir/index.js';
import {
  buildStep,
  CheckpointError,
  constant,
  cosine,
  createTrainer,
  DivergedError,
  evaluate,
  fit,
  StepSpecError,
  type CheckpointStore,
  type FitOptions,
  type StepSpec,
  type TrainBatch,
  type TrainEvent,
} from '../../src/train/index.js';
import { openSession } from '../../src/runtime/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { referenceBatches, referenceNet } from './reference-net.js';

const all = referenceBatches(5);
const SPEC: StepSpec = {
  losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'logits' }],
  optimizer: { kind: 'adamw' },
  weightDecay: 0.01,
  movingAverage: true,
};

async function* batchesFrom(first: number): AsyncGenerator<TrainBatch> {
  for (const { input, labels } of all.slice(first)) yield { feeds: { input, labels }, samples: 16 };
}

const OPTIONS: FitOptions = {
  epochs: 3,
  stepsPerEpoch: 5,
  batches: (_epoch, first) => batchesFrom(first),
  learningRate: cosine(0.02),
  averageDecay: 0.8,
};

function memoryStore(): CheckpointStore & { bytes: Uint8Array | undefined } {
  return {
    bytes: undefined,
    async save(bytes) {
      this.bytes = bytes.slice();
    },
    async load() {
      return this.bytes;
    },
    async clear() {
      this.bytes = undefined;
    },
  };
}

const newTrainer = (spec: StepSpec = SPEC, model: Model = referenceNet({ dropout: 0.3 })) =>
  createTrainer(buildStep(model, spec), { threads: 1, seed: 5 });

function expectSameBytes(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): void {
  expect([...a.keys()]).toEqual([...b.keys()]);
  for (const [name, tensor] of a)
    expect(Buffer.from(tensor.bytes).equals(Buffer.from(b.get(name)!.bytes)), name).toBe(true);
}

describe('resuming', () => {
  it('continues bit for bit after an abort in mid-epoch, dropout, moving average and history included', async () => {
    await using straight = await newTrainer();
    const uninterrupted = await fit(straight, OPTIONS);

    const store = memoryStore();
    const controller = new AbortController();
    await using first = await newTrainer();
    const aborted = await fit(first, {
      ...OPTIONS,
      checkpoints: store,
      signal: controller.signal,
      onEvent: (event) => event.kind === 'step' && event.step === 7 && controller.abort(),
    });
    expect(aborted).toMatchObject({ stopped: 'aborted', steps: 7, epochs: 1 });
    expect(store.bytes).toBeDefined();

    await using second = await newTrainer();
    const events: TrainEvent[] = [];
    const resumed = await fit(second, { ...OPTIONS, checkpoints: store, onEvent: (event) => events.push(event) });
    expect(events[0]).toMatchObject({ kind: 'start', resumedAt: 7 });
    expect(resumed).toMatchObject({ stopped: 'finished', steps: 15, epochs: 3 });
    expect(store.bytes).toBeUndefined();
    expectSameBytes((await second.snapshot()).tensors, (await straight.snapshot()).tensors);
    expect(resumed.history.map(({ loss, accuracy }) => [loss, accuracy])).toEqual(
      uninterrupted.history.map(({ loss, accuracy }) => [loss, accuracy]),
    );
  });

  it('refuses a checkpoint of other options or of another network', async () => {
    const store = memoryStore();
    const controller = new AbortController();
    await using first = await newTrainer();
    const abort = (): void => controller.abort();
    await fit(first, { ...OPTIONS, checkpoints: store, fingerprint: 'a', signal: controller.signal, onEvent: abort });
    await using second = await newTrainer();
    await expect(fit(second, { ...OPTIONS, checkpoints: store, fingerprint: 'b' })).rejects.toThrow(CheckpointError);
    await using other = await newTrainer({ ...SPEC, optimizer: { kind: 'sgd', momentum: 0.9 } });
    await expect(fit(other, { ...OPTIONS, checkpoints: store, fingerprint: 'a' })).rejects.toThrow(CheckpointError);
  });
});

describe('stopping', () => {
  it('ends early without a gain and goes back to the best state', async () => {
    await using trainer = await newTrainer();
    const accuracies = [0.5, 0.7, 0.6, 0.7, 0.9];
    const weights: ReadonlyMap<string, Tensor>[] = [];
    const result = await fit(trainer, {
      ...OPTIONS,
      epochs: 5,
      earlyStopping: { patience: 2 },
      evaluate: async () => {
        weights.push((await trainer.snapshot()).tensors);
        return { accuracy: accuracies[weights.length - 1]!, loss: 1 };
      },
    });
    expect(result).toMatchObject({ stopped: 'early', epochs: 4 });
    expectSameBytes((await trainer.snapshot()).tensors, weights[1]!);
  });

  it('names the step at which the loss is no longer finite', async () => {
    await using trainer = await newTrainer({ ...SPEC, optimizer: { kind: 'sgd' }, movingAverage: false });
    await expect(fit(trainer, { ...OPTIONS, learningRate: constant(1e30) })).rejects.toThrow(DivergedError);
  });

  it('reports steps with rates and the time that is left', async () => {
    await using trainer = await newTrainer();
    const events: TrainEvent[] = [];
    await fit(trainer, { ...OPTIONS, onEvent: (event) => events.push(event) });
    expect(events.filter(({ kind }) => kind === 'step')).toHaveLength(15);
    expect(events.filter(({ kind }) => kind === 'epoch')).toHaveLength(3);
    const last = events.findLast((event) => event.kind === 'step')!;
    expect(last).toMatchObject({ epoch: 3, stepInEpoch: 5, step: 15, totalSteps: 15, etaSeconds: 0 });
  });
});

describe('freezing', () => {
  it('leaves frozen bytes alone, puts frozen norms into inference form and trains the rest', async () => {
    const model = referenceNet();
    const step = buildStep(model, {
      ...SPEC,
      movingAverage: false,
      trains: ({ name }) => name.startsWith('fc.'),
    });
    expect(step.state.filter(({ role }) => role === 'parameter').map(({ of }) => of)).toEqual(['fc.weight', 'fc.bias']);
    expect(step.state.filter(({ role }) => role === 'running')).toEqual([]);
    expect(step.model.graph.nodes.some(({ attributes }) => attributes.has('training_mode'))).toBe(false);
    // Backward stops at the classifier: no convolution's gradient is formed.
    expect(step.model.graph.nodes.filter(({ op }) => op === 'Conv' || op === 'ConvTranspose')).toHaveLength(2);
    await using trainer = await createTrainer(step, { threads: 1 });
    for (const { input, labels } of all) await trainer.run({ input, labels }, { learningRate: 0.1 });
    const before = model.graph.initializers;
    const after = (await trainer.export()).graph.initializers;
    for (const [name, tensor] of before)
      expect(Buffer.from(after.get(name)!.bytes).equals(Buffer.from(tensor.bytes)), name).toBe(!name.startsWith('fc.'));
  });

  it('refuses a step in which nothing trains, and values that do not exist', () => {
    expect(() => buildStep(referenceNet(), { ...SPEC, trains: () => false })).toThrow(StepSpecError);
    expect(() =>
      buildStep(referenceNet(), { ...SPEC, losses: [{ kind: 'cross-entropy', name: 'ce', logits: 'nothing' }] }),
    ).toThrow(/no value 'nothing'/);
  });
});

describe('exporting', () => {
  it('gives an inference model with metadata kept, the original untouched', async () => {
    const model = referenceNet();
    const bytes = encodeModel(model);
    await using trainer = await newTrainer(SPEC, model);
    await fit(trainer, OPTIONS);
    const exported = await trainer.export();
    expect(exported.metadata.get('note')).toBe('kept');
    expect(exported.graph.nodes.map(({ op }) => op)).toEqual(model.graph.nodes.map(({ op }) => op));
    expect(exported.graph.nodes.some(({ attributes }) => attributes.has('training_mode'))).toBe(false);
    expect(Buffer.from(encodeModel(model)).equals(Buffer.from(bytes))).toBe(true);
    await using session = await openSession(encodeModel(exported), { threads: 1 });
    const { logits } = await session.run({ input: all[0]!.input });
    expect(logits!.dims).toEqual([16, 5]);
    const average = (await trainer.export('average')).graph.initializers.get('fc.weight')!;
    expect(average.data).not.toEqual(exported.graph.initializers.get('fc.weight')!.data);
  });
});

describe('evaluating', () => {
  it('counts hits and takes the mean cross-entropy', async () => {
    const pixels = new Uint8Array(16 * 3 * 64).map((_, index) => (index * 37) % 256);
    const dataset = {
      name: 'test',
      classes: ['a', 'b', 'c', 'd', 'e'],
      size: 16,
      channels: 3,
      height: 8,
      width: 8,
      labels: Int32Array.from({ length: 16 }, (_, index) => index % 5),
      pixels,
    };
    const preprocessing = { height: 8, width: 8, channels: 'rgb', mean: [0.5, 0.5, 0.5], std: [1, 1, 1] } as const;
    const model = buildThreeChannel();
    const whole = await evaluate(model, dataset, { preprocessing, session: { threads: 1 } });
    const parts = await evaluate(model, dataset, { preprocessing, batchSize: 5, session: { threads: 1 } });
    expect(parts.accuracy).toBe(whole.accuracy);
    expect(parts.predictions).toEqual(whole.predictions);
    expect(parts.loss).toBeCloseTo(whole.loss, 5);
    const hits = [...whole.predictions].filter((predicted, index) => predicted === dataset.labels[index]).length;
    expect(whole.accuracy).toBe(hits / 16);
    expect(whole.classes.map(({ samples }) => samples)).toEqual([4, 3, 3, 3, 3]);
  });
});

/** The digits network of the zoo on 3×8×8 images. */
function buildThreeChannel(): Model {
  return buildArchitecture('digits-cnn', { classes: 5, input: [3, 8, 8], seed: 1 });
}
