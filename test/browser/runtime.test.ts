/** @file Sessions in Chromium on WebAssembly: with threads and without, automatic choices, profiles, plain ES modules. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { openSession } from '../../src/runtime/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import {
  browserTest,
  bundlePage,
  openChromium,
  root,
  serve,
  type Chromium,
  type OpenPage,
  type Site,
} from './harness.js';

/** A network and an image that page and Node make alike. */
const shared = `
const model = buildArchitecture('digits-cnn', { classes: 10, input: [1, 28, 28], seed: 3 });
const image = Tensor.floats(Float32Array.from({ length: 784 }, (_, i) => Math.sin(i * i * 0.37)), [1, 1, 28, 28]);
`;

const PAGE = `
import { CuttleError, Tensor } from 'cuttle';
import { configureOrt, describeDevice, openSession, profileModel } from 'cuttle/runtime';
import { buildArchitecture } from 'cuttle/zoo';
${shared}
const refusal = (job: () => unknown) => Promise.resolve().then(job).then(() => 'accepted', (error) =>
  error instanceof CuttleError ? error.code : String(error));
expose('run', async (options) => {
  await using session = await openSession(model, options);
  const { logits } = await session.run({ input: image });
  const { backend, threads, remarks } = session;
  return { backend, threads, remarks, logits: [...logits.data] };
});
expose('refusal', (options) => refusal(() => openSession(model, options)));
expose('configure', (settings) => refusal(() => configureOrt(settings)));
expose('device', () => describeDevice());
expose('profile', () => profileModel(model, { runs: 5, warmup: 1 }));
expose('profileOn', (backend) => refusal(() => profileModel(model, { backend })));
`;

interface Ran {
  readonly backend: string;
  readonly threads: number;
  readonly remarks: readonly string[];
  readonly logits: readonly number[];
}

describe.skipIf(!browserTest)('sessions in Chromium', { timeout: 240_000 }, () => {
  let folder: string;
  let isolated: Site;
  let plain: Site;
  let chromium: Chromium;
  let expected: readonly number[];

  beforeAll(async () => {
    folder = await bundlePage(PAGE);
    [isolated, plain, chromium] = await Promise.all([
      serve(folder),
      serve(folder, { isolated: false }),
      openChromium(),
    ]);
    const model = buildArchitecture('digits-cnn', { classes: 10, input: [1, 28, 28], seed: 3 });
    const image = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i * i * 0.37));
    await using session = await openSession(model, { threads: 1 });
    const { logits } = await session.run({ input: Tensor.floats(image, [1, 1, 28, 28]) });
    expected = Array.from(logits!.data as Float32Array);
  });
  afterAll(async () => {
    await chromium?.close();
    await Promise.all([isolated?.close(), plain?.close()]);
  });

  const expectLogits = (ran: Ran): void => {
    expect(ran.logits).toHaveLength(10);
    ran.logits.forEach((logit, i) => expect(logit).toBeCloseTo(expected[i]!, 4));
  };

  /** Chromium itself remarks that it has no GPU; nothing else may be printed. */
  const expectQuiet = (page: OpenPage): void =>
    expect(page.console.filter((line) => line !== 'warning: No available adapters.')).toEqual([]);

  test('an isolated page runs on threads; without a GPU, auto is wasm and says why', async () => {
    await using page = await chromium.open(isolated.url);
    const ran = await page.call<Ran>('run', {});
    expect(ran.backend).toBe('wasm');
    expect(ran.threads).toBe(await page.page.evaluate(() => Math.min(4, navigator.hardwareConcurrency)));
    expect(ran.remarks).toEqual(['wasm: this page gets no GPU from WebGPU']);
    expectLogits(ran);
    expect(await page.call<Ran>('run', { backend: 'wasm' })).toMatchObject({ remarks: [] });
    expect(await page.call('refusal', { threads: ran.threads + 1 })).toBe('runtime/options');
    expect(await page.call('refusal', { backend: 'native' })).toBe('runtime/missing');
    // Settings cannot change under a runtime that has started.
    expect(await page.call('configure', { wasmPaths: '/elsewhere/' })).toBe('runtime/options');
    expectQuiet(page);
  });

  test('a page that is not isolated runs on one thread and says so', async () => {
    await using page = await chromium.open(plain.url);
    expect(await page.call('refusal', { threads: 2 })).toBe('runtime/options');
    const ran = await page.call<Ran>('run', { backend: 'wasm' });
    expect(ran.threads).toBe(1);
    expect(ran.remarks.join()).toMatch(/1 thread: the page is not cross-origin isolated/);
    expectLogits(ran);
    expect(await page.call<Ran>('run', { backend: 'wasm', threads: 1 })).toMatchObject({ remarks: [] });
    expectQuiet(page);
  });

  test('profiles layer by layer, and describes the browser as the device', async () => {
    await using page = await chromium.open(isolated.url);
    interface Profiled {
      readonly device: { readonly platform: string; readonly executionProvider: string };
      readonly layers: readonly { readonly name: string; readonly ms: number }[];
      readonly kernelMs: number;
      readonly otherMs: number;
    }
    const profile = await page.call<Profiled>('profile');
    expect(profile.layers.map(({ name }) => name)).toEqual(expect.arrayContaining(['conv1', 'conv5', 'fc']));
    expect(profile.kernelMs).toBeGreaterThan(0);
    expect(profile.otherMs).toBeLessThan(profile.kernelMs / 2);
    expect(profile.device.executionProvider).toBe('WASM');
    expect(profile.device.platform).toMatch(/Chrome/);
    expect(await page.call('device')).toEqual(profile.device);
    expect(await page.call('profileOn', 'webgpu')).toBe('runtime/no-profiler');
    // The profiler's report went nowhere else.
    expectQuiet(page);
  });

  test('runs as plain ES modules with an import map, its WebAssembly from a configured folder', async () => {
    const modules = join(root, 'node_modules');
    const site = await serve(
      {
        '/': join(import.meta.dirname, 'plain-page'),
        '/cuttle/': join(root, 'dist'),
        '/ort/': join(modules, 'onnxruntime-web/dist'),
        '/protobuf/': join(modules, '@bufbuild/protobuf/dist/esm'),
        '/zod/': join(modules, 'zod'),
      },
      { isolated: false },
    );
    try {
      await using page = await chromium.open(site.url);
      expectLogits(await page.call<Ran>('run'));
      expectQuiet(page);
    } finally {
      await site.close();
    }
  });
});
