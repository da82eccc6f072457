/** @file Training through the worker protocol, over a MessagePort: real structured clones, no browser. */
import { afterEach, describe, expect, it } from 'vitest';
import { readClasses, readPreprocessing, type DataSplits, type ImageDataset } from '../../src/data/index.js';
import { CuttleError, Tensor } from '../../src/ir/index.js';
import { decodeModel, encodeModel } from '../../src/onnx/index.js';
import { createRandom, turn } from '../../src/platform/index.js';
import { openSession } from '../../src/runtime/index.js';
import { trainModel, type TrainEvent } from '../../src/train/index.js';
import { serveTraining } from '../../src/train/worker-host.js';
import { connectTraining, WorkerLostError, type TrainingWorker, type TrainRequest } from '../../src/train/worker.js';
import { buildArchitecture } from '../../src/zoo/index.js';

/** 12×12 gray images; the class is the half that is bright. */
function halves(name: string, size: number, seed: number): ImageDataset {
  const random = createRandom(seed);
  const labels = Int32Array.from({ length: size }, () => random.int(2));
  const pixels = new Uint8Array(size * 144);
  for (let i = 0; i < pixels.length; i++) {
    const bright = labels[Math.floor(i / 144)] === (i % 144 < 72 ? 0 : 1);
    pixels[i] = random.int(120) + (bright ? 60 : 0);
  }
  return { name, classes: ['top', 'bottom'], size, channels: 1, height: 12, width: 12, labels, pixels };
}

const data: DataSplits = {
  train: halves('train', 160, 1),
  calibration: halves('calibration', 32, 2),
  test: halves('test', 64, 3),
};
const network = buildArchitecture('lenet-5', { classes: 2, input: [1, 12, 12], seed: 4 });
const recipe = {
  data,
  epochs: 2,
  batchSize: 32,
  learningRate: 0.02,
  preprocessing: { mean: [0.3], std: [0.2] },
  seed: 1,
  session: { threads: 1 },
} satisfies Omit<TrainRequest, 'model'>;
const request: TrainRequest = { ...recipe, model: encodeModel(network) };

const open: TrainingWorker[] = [];
const ports: MessagePort[] = [];
function connect(): TrainingWorker {
  const { port1, port2 } = new MessageChannel();
  serveTraining(port1);
  const worker = connectTraining(port2);
  open.push(worker);
  ports.push(port1, port2);
  return worker;
}
afterEach(() => {
  for (const worker of open.splice(0)) worker.close();
  for (const port of ports.splice(0)) port.close();
});

const codeOf = (error: unknown): string | undefined => (error instanceof CuttleError ? error.code : undefined);

describe('training in a worker', () => {
  it('gives what trainModel gives', async () => {
    const events: TrainEvent[] = [];
    const run = connect().train(request, { onEvent: (event) => events.push(event) });
    const trained = await run.finished;
    const expected = await trainModel({ ...recipe, model: decodeModel(request.model) });
    expect(trained.accuracy).toBe(expected.accuracy);
    expect(trained.loss).toBe(expected.loss);
    expect(trained.model).toEqual(encodeModel(expected.model));
    expect(events.filter(({ kind }) => kind === 'step')).toHaveLength(10);
    expect(events.filter(({ kind }) => kind === 'epoch')).toHaveLength(2);
    const reopened = decodeModel(trained.model);
    expect(readClasses(reopened)).toEqual(['top', 'bottom']);
    expect(readPreprocessing(reopened)).toMatchObject({ mean: [0.3], std: [0.2] });
  });

  it.each(['native', 'wasm'] as const)('classifies while it trains and afterwards (%s)', async (backend) => {
    const session = { backend, threads: 1 };
    const worker = connect();
    const answers: number[] = [];
    const run = worker.train(
      { ...request, session },
      {
        onEvent: (event) => {
          if (event.kind === 'step') void run.classify(data.test).then(({ iteration }) => answers.push(iteration));
        },
      },
    );
    const trained = await run.finished;
    const { probabilities, classes, iteration } = await run.classify(data.test);
    expect([classes, iteration, probabilities.length]).toEqual([2, 10, 128]);
    // Some answers were given before the end: questions do not wait for it.
    expect(answers.some((step) => step < 10)).toBe(true);

    let right = 0;
    for (let i = 0; i < 64; i++) {
      const [a, b] = [probabilities[2 * i]!, probabilities[2 * i + 1]!];
      expect(a + b).toBeCloseTo(1, 5);
      if (b > a === (data.test.labels[i] === 1)) right++;
    }
    expect(right / 64).toBe(trained.accuracy);

    // The same by hand, with the exported file in a session of its own.
    await using plain = await openSession(trained.model, session);
    const first = Float32Array.from(data.test.pixels.subarray(0, 144), (byte) => (byte / 255 - 0.3) / 0.2);
    const logits = (await plain.run({ input: Tensor.floats(first, [1, 1, 12, 12]) })).logits!.data as Float32Array;
    expect(probabilities[1]).toBeCloseTo(1 / (1 + Math.exp(logits[0]! - logits[1]!)), 5);
  });

  it.each(['native', 'wasm'] as const)('stops soon after an abort and keeps the network (%s)', async (backend) => {
    const controller = new AbortController();
    let steps = 0;
    const run = connect().train(
      // 80 steps an epoch: the abort must arrive within one.
      { ...request, batchSize: 2, session: { backend, threads: 1 }, epochs: 1_000 },
      {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.kind === 'step' && ++steps === 7) controller.abort();
        },
      },
    );
    await expect(run.finished).rejects.toSatisfy((error) => codeOf(error) === 'train/interrupted');
    expect(steps).toBeGreaterThanOrEqual(7);
    expect(steps).toBeLessThan(40);
    const file = await run.export();
    const weight = (bytes: Uint8Array): unknown => decodeModel(bytes).graph.initializers.get('fc3.weight')!.data;
    expect(weight(file)).not.toEqual(weight(request.model));
    expect((await run.classify(data.test)).iteration).toBe(steps);
    await run.release();
    await expect(run.export()).rejects.toSatisfy((error) => codeOf(error) === 'train/step-spec');
  });

  it('does not start what is aborted already', async () => {
    const run = connect().train({ ...request, epochs: 10_000 }, { signal: AbortSignal.abort() });
    await expect(run.finished).rejects.toSatisfy((error) => codeOf(error) === 'train/interrupted');
  });

  it('trains only the parameters asked for, and releases a run under way', async () => {
    const worker = connect();
    const run = worker.train({ ...request, trains: ['fc3.weight', 'fc3.bias'] });
    const { graph } = decodeModel((await run.finished).model);
    expect(graph.initializers.get('fc2.weight')!.data).toEqual(network.graph.initializers.get('fc2.weight')!.data);
    expect(graph.initializers.get('fc3.weight')!.data).not.toEqual(network.graph.initializers.get('fc3.weight')!.data);

    const other = worker.train({ ...request, epochs: 10_000 });
    const failed = other.finished.catch(codeOf);
    await other.release();
    expect(await failed).toBe('train/interrupted');
  });

  it('tells errors with their code, kind and hint', async () => {
    const worker = connect();
    const failures = [
      [{ ...request, model: new Uint8Array(8).fill(1) }, 'invalid', /^onnx\//],
      [{ ...request, trains: ['nothing'] }, 'usage', /^train\/step-spec$/],
      [{ ...request, learningRate: 1e12 }, 'failed', /^train\/diverged$/],
    ] as const;
    for (const [wrong, kind, code] of failures) {
      const run = worker.train(wrong);
      const error = await run.finished.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CuttleError);
      expect((error as CuttleError).kind).toBe(kind);
      expect((error as CuttleError).code).toMatch(code);
      expect((error as CuttleError).hint).toBeTypeOf('string');
      // There is no network to ask then.
      await expect(run.export()).rejects.toThrow(/there is no network/);
    }
    const unsendable = { ...request, schedule: (() => 1) as unknown as 'constant' };
    await expect(worker.train(unsendable).finished).rejects.toSatisfy(
      (error) => codeOf(error) === 'train/worker-request',
    );
  });

  it('leaves other messages alone', async () => {
    const { port1, port2 } = new MessageChannel();
    serveTraining(port1);
    const worker = connectTraining(port2);
    port2.postMessage('hello');
    port2.postMessage({ kind: 'cancel', run: 1 });
    port1.postMessage(null);
    expect((await worker.device({ threads: 1 })).threads).toBe(1);
    ports.push(port1, port2);
  });

  it('rejects what is under way when it is closed', async () => {
    const worker = connect();
    const run = worker.train({ ...request, epochs: 10_000 });
    await turn();
    worker.close();
    await expect(run.finished).rejects.toBeInstanceOf(WorkerLostError);
    await expect(run.export()).rejects.toBeInstanceOf(WorkerLostError);
    await expect(worker.train(request).finished).rejects.toBeInstanceOf(WorkerLostError);
    await run.release();
  });
});
