/** @file What the command line does, done by library calls in a page: inspect, train, evaluate, progressive sessions, images; and memory given back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserTest, bundlePage, openChromium, serve, type Chromium, type OpenPage, type Site } from './harness.js';

/** Pictures whose upper or lower half is bright: a tiny network learns them in a few steps. */
const PAGE = `
import { Tensor, inspectModel, openSession, decodeModel, encodeModel } from 'cuttle';
import { batches, preprocessBlob, preprocessPixels, resolvePreprocessing } from 'cuttle/data';
import { attachExits, evaluateClassifier, findCandidates, openClassifier, trainExits } from 'cuttle/exits';
import { GraphBuilder, makeModel, tensorType } from 'cuttle/ir';
import { buildStep, createTrainer, evaluate, trainModel } from 'cuttle/train';
import { buildArchitecture } from 'cuttle/zoo';

function halves(name: string, size: number) {
  const labels = Int32Array.from({ length: size }, (_, i) => i % 2);
  const pixels = Uint8Array.from({ length: size * 64 }, (_, i) => {
    const bright = (i % 64 < 32 ? 0 : 1) === labels[Math.floor(i / 64)];
    return (bright ? 180 : 40) + ((i * 7919) % 50);
  });
  return { name, classes: ['up', 'down'], size, channels: 1, height: 8, width: 8, labels, pixels };
}
const data = { train: halves('train', 64), calibration: halves('calibration', 16), test: halves('test', 32) };
const session = { backend: 'wasm' } as const;
function network() {
  const b = new GraphBuilder();
  const fill = (dims: readonly number[], by: number) =>
    b.parameter('w', Tensor.floats(Float32Array.from({ length: dims.reduce((p, d) => p * d, 1) }, (_, i) => Math.sin(i * by + by) / 2), dims));
  b.input('input', tensorType('float32', ['batch', 1, 8, 8]));
  let x = 'input';
  for (const [from, to] of [[1, 4], [4, 6], [6, 6]])
    x = b.op('Relu', [b.op('Conv', [x, fill([to!, from!, 3, 3], from! + 0.3), fill([to!], 0.1)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })]);
  const pooled = b.op('AveragePool', [x], { kernel_shape: [4, 4], strides: [4, 4] });
  b.alias(b.op('Gemm', [b.op('Flatten', [pooled]), fill([24, 2], 0.7), fill([2], 0.2)]), 'logits');
  return makeModel(b.graph('halves', [{ name: 'logits', type: tensorType('float32', ['batch', 2]) }]));
}

expose('inspect', () => inspectModel(buildArchitecture('resnet-8', { classes: 10, input: [3, 32, 32], seed: 0 })));
expose('train', async () => {
  const events: string[] = [];
  const { model, accuracy } = await trainModel({
    model: network(), data, epochs: 4, batchSize: 16, learningRate: 0.02, optimizer: { kind: 'adam' }, session,
    onEvent: (event) => events.push(event.kind === 'start' ? 'start on ' + event.backend : event.kind),
  });
  const { preprocessing } = resolvePreprocessing(decodeModel(encodeModel(model)));
  const again = await evaluate(decodeModel(encodeModel(model)), data.test, { preprocessing, session });
  const candidates = findCandidates(model);
  const { progressive } = await trainExits(attachExits(candidates, candidates.all, { kind: 'pool' }, 1), {
    data: data.train, preprocessing, epochs: 4, batchSize: 16, learningRate: 0.05, session,
  });
  await using classifier = await openClassifier(progressive.model, { session });
  const result = await evaluateClassifier(classifier, data.test, {
    batches: (dataset, batchSize) => batches(dataset, { batchSize, preprocessing }),
    batchSize: 16, latencySamples: 8,
  });
  return {
    events: [...new Set(events)], accuracy, again: again.accuracy,
    kind: classifier.kind, exits: result.exits.length, staged: result.accuracy, timed: result.latencyMs.runs,
  };
});
expose('images', async () => {
  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext('2d')!;
  context.fillStyle = 'rgb(255, 0, 51)';
  context.fillRect(0, 0, 16, 16);
  const form = { height: 8, width: 8, channels: 'bgr', mean: [0, 0, 0], std: [1, 1, 1] } as const;
  const drawn = preprocessPixels(context.getImageData(0, 0, 16, 16), form);
  const read = await preprocessBlob(await canvas.convertToBlob({ type: 'image/png' }), form);
  const broken = await preprocessBlob(new Blob(['no picture']), form).catch((error) => error.code);
  return { dims: drawn.dims, drawn: [0, 64, 128].map((at) => drawn.data[at]), read: [0, 64, 128].map((at) => read.data[at]), broken };
});

const step = buildStep(network(), { losses: [{ kind: 'cross-entropy', name: 'class', logits: 'logits' }], optimizer: { kind: 'adam' } });
const large = buildArchitecture('lenet-5', { classes: 10, input: [1, 28, 28], seed: 0 });
expose('cycle', async (count) => {
  for (let i = 0; i < count; i++) {
    await using plain = await openSession(large, session);
    await plain.run({ input: Tensor.floats(new Float32Array(784), [1, 1, 28, 28]) });
    await using trainer = await createTrainer(step, session);
    for await (const { images, labels } of batches(data.train, { batchSize: 32, preprocessing: resolvePreprocessing(network()).preprocessing }))
      await trainer.run({ input: images, labels }, { learningRate: 0.01 });
  }
  return memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
});
`;

/** Loaded before everything else: keeps hold of the memories that the page makes, to see their size. */
const MEMORIES = `
globalThis.memories = [];
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(target, given) {
    const memory = new target(...given);
    memories.push(memory);
    return memory;
  },
});`;

describe.skipIf(!browserTest)('the library in Chromium', { timeout: 240_000 }, () => {
  let site: Site;
  let chromium: Chromium;
  let page: OpenPage;
  beforeAll(async () => {
    const files = {
      'memories.js': MEMORIES,
      'main.js':
        "import './memories.js';\nimport './expose.js';\nawait import('./page.ts');\nglobalThis.__ready = true;\n",
    };
    [site, chromium] = await Promise.all([serve(await bundlePage(PAGE, { files })), openChromium()]);
    page = await chromium.open(site.url);
  });
  afterAll(async () => {
    await chromium?.close();
    await site?.close();
  });

  test('inspects a model', async () => {
    const { params, macs, inputs, nodes } = await page.call<{
      readonly params: number;
      readonly macs: number;
      readonly inputs: readonly unknown[];
      readonly nodes: readonly unknown[];
    }>('inspect');
    expect(params).toBeGreaterThan(70_000);
    expect(macs).toBeGreaterThan(10_000_000);
    expect(inputs).toEqual([{ name: 'input', shape: ['batch', 3, 32, 32], dtype: 'float32' }]);
    expect(nodes.length).toBeGreaterThan(20);
  });

  test('trains, evaluates, attaches and trains exits, runs them in stages', async () => {
    const found = await page.call<{ readonly accuracy: number; readonly staged: number }>('train');
    expect(found).toMatchObject({ kind: 'progressive', timed: 8 });
    expect(found).toMatchObject({ events: expect.arrayContaining(['start on wasm', 'step', 'epoch']) as unknown });
    expect(found.accuracy).toBeGreaterThan(0.9);
    expect(found).toMatchObject({ again: found.accuracy });
    expect(found.staged).toBeGreaterThan(0.9);
  });

  test('reads pictures from canvases and files', async () => {
    const [blue, green, red] = [expect.closeTo(0.2, 2) as number, 0, 1];
    expect(await page.call('images')).toEqual({
      dims: [1, 3, 8, 8],
      drawn: [blue, green, red],
      read: [blue, green, red],
      broken: 'data/bad-file',
    });
  });

  test('gives memory back: sessions and trainers opened and released leave it where it was', async () => {
    const cdp = await page.cdp();
    const heap = async (): Promise<number> => {
      await cdp.send('HeapProfiler.collectGarbage');
      return (await cdp.send('Runtime.getHeapUsage')).usedSize;
    };
    const wasm = await page.call<number>('cycle', 4);
    const before = await heap();
    expect(wasm).toBeGreaterThan(2 ** 20);
    expect(await page.call<number>('cycle', 16)).toBeLessThanOrEqual(wasm * 1.1);
    expect(await heap()).toBeLessThanOrEqual(before * 1.1);
  });
});
