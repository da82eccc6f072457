/** @file Real agents: Node on both of its back ends, and a page in Chromium; they vanish, come back, and measure exit costs. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { costsFromFile } from '../../src/exits/costs-file.js';
import { backboneCost } from '../../src/exits/costs.js';
import { readProgressive } from '../../src/exits/progressive.js';
import type { LabClient } from '../../src/measure/lab/client.js';
import { runNodeAgent } from '../../src/measure/lab/node-agent.js';
import type { JobSpec } from '../../src/measure/lab/protocol.js';
import { parseValue, type JobValues } from '../../src/measure/lab/results.js';
import type { Lab } from '../../src/measure/lab/server.js';
import { LITERT_VERSION } from '../../src/runtime/litert.js';
import { browserTest, openChromium, type Chromium } from '../browser/harness.js';
import { isBuilt } from '../cli/cli.js';
import { lab, labFolder, ownerOf, smallModel, smallProgressive, uploaded } from './labs.js';

const START = 120_000;
const tflitePath = join(import.meta.dirname, '../../../shared/models/formats/mlperf-tiny/vww_96_float.tflite');
const tflite = existsSync(tflitePath) ? readFileSync(tflitePath) : undefined;
if (tflite === undefined) console.warn(`skipped: LiteRT is tested with ${tflitePath}, which is absent`);

/** Submits one job, waits for it, and returns its checked value. */
async function measured<Kind extends JobSpec['kind']>(
  owner: LabClient,
  device: string,
  spec: JobSpec & { readonly kind: Kind },
): Promise<JobValues[Kind]> {
  const { jobs } = await owner.submit({ devices: [device], specs: [spec] });
  const job = await owner.settled(jobs[0]!.id, { maxMs: START });
  expect({ ...job, why: job.error?.message }).toMatchObject({ state: 'done', runBy: device, why: undefined });
  return parseValue(spec.kind, (await owner.result(job.id)).value);
}

/** Costs of a device fit the network, and a search can use them. */
function expectCosts(file: JobValues['exit-costs']): void {
  const progressive = readProgressive(smallProgressive());
  const costs = costsFromFile(progressive, file);
  expect(costs.segments.length).toBe(progressive.info.exits.length + 1);
  // Layers that no segment owns are left out of the sum, so it may stay below the whole.
  expect(backboneCost(costs)).toBeGreaterThan(0.5 * file.backboneMs);
  expect(backboneCost(costs)).toBeLessThan(1.01 * file.backboneMs);
  expect(costs.heads.at(-1)).toBe(0);
}

describe.skipIf(!isBuilt)('the Node agent', { timeout: START }, () => {
  let opened: Lab;
  let owner: LabClient;
  let agent: Promise<void>;
  const stop = new AbortController();
  beforeAll(async () => {
    opened = await lab({ leaseMs: 3000 });
    owner = ownerOf(opened);
    const memory = labFolder();
    const given = { url: opened.url, token: opened.file.joinToken, name: 'this one', memory, signal: stop.signal };
    const joined = new Promise<void>((resolve) => {
      agent = runNodeAgent({ ...given, onEvent: ({ kind }) => (kind === 'joined' ? resolve() : undefined) });
    });
    agent!.catch(() => undefined);
    await joined;
  });
  afterAll(() => stop.abort());

  test('describes this machine', async () => {
    const [device] = await owner.devices();
    expect(device).toMatchObject({ name: 'this one', live: true, description: { agent: 'node' } });
    expect(device!.description.backends.map(({ name }) => name)).toEqual(['native', 'wasm']);
    expect(device!.description.logicalCores).toBeGreaterThanOrEqual(1);
  });

  test('measures latency on both back ends, with several thread counts and batches', async () => {
    const spec = await uploaded(owner, smallModel());
    const native = await measured(owner, 'this one', { ...spec, kind: 'latency', threads: 1, batch: 4 });
    expect(native.device.executionProvider).toBe('CPU');
    expect(native.inputs).toEqual({ input: [4, 3, 8, 8] });
    expect(native.latencyMs.runs).toBe(5);
    // One process, two thread counts of a runtime that has one for its life: every job has a thread of its own.
    for (const threads of [1, 2]) {
      const wasm = await measured(owner, 'this one', { ...spec, kind: 'latency', backend: 'wasm', threads });
      expect(wasm.device).toMatchObject({ executionProvider: 'WASM', threads });
    }
  });

  test('profiles layers, and gives what a search for exits needs, with and without a profiler', async () => {
    const spec = await uploaded(owner, smallProgressive());
    const profile = await measured(owner, 'this one', { ...spec, kind: 'profile' });
    expect(profile.layers.length).toBeGreaterThan(10);
    const native = await measured(owner, 'this one', { ...spec, kind: 'exit-costs', threads: 1 });
    expect(native.method).toBe('profiler');
    expectCosts(native);
    const wasm = await measured(owner, 'this one', { ...spec, kind: 'exit-costs', backend: 'wasm', threads: 1 });
    expect(wasm.method).toBe('parts');
    expectCosts(wasm);
  });

  test('what cannot be measured fails with the reason', async () => {
    const broken = await uploaded(owner, new TextEncoder().encode('no model'));
    const { jobs } = await owner.submit({ devices: ['this one'], specs: [broken] });
    expect(await owner.settled(jobs[0]!.id)).toMatchObject({ state: 'failed', error: { kind: 'invalid' } });
    const spec = await uploaded(owner, smallModel(), { kind: 'exit-costs' });
    const second = await owner.submit({ devices: ['this one'], specs: [spec] });
    const job = await owner.settled(second.jobs[0]!.id);
    expect(job).toMatchObject({ state: 'failed', error: { code: 'exits/not-progressive' } });
  });

  test('a job that is cancelled while the runtime computes ends at once, and the agent goes on', async () => {
    const long = await uploaded(owner, smallModel(3), { minSeconds: 600 });
    const { jobs } = await owner.submit({ devices: ['this one'], specs: [long] });
    await expect.poll(async () => (await owner.job(jobs[0]!.id)).state, { timeout: START }).toBe('running');
    // Until the model is loaded and runs.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await owner.cancel(jobs[0]!.id);
    const spec = await uploaded(owner, smallModel(4));
    expect((await measured(owner, 'this one', { ...spec, kind: 'latency' })).latencyMs.runs).toBe(5);
  });

  test('comes back as the same device', async () => {
    const memory = labFolder();
    const given = { url: opened.url, token: opened.file.joinToken, name: 'another', memory };
    const once = async (): Promise<string> => {
      const leave = new AbortController();
      let name = '';
      const left = runNodeAgent({
        ...given,
        signal: leave.signal,
        onEvent: (event) => {
          if (event.kind === 'joined') name = event.name;
          if (event.kind === 'waiting') leave.abort();
        },
      });
      await expect(left).rejects.toThrow();
      return name;
    };
    expect([await once(), await once()]).toEqual(['another', 'another']);
    await expect(runNodeAgent({ ...given, token: 'wrong-token', memory: labFolder() })).rejects.toThrow(/join token/);
  });
});

test('the version of LiteRT that is told is the one that is installed', () => {
  const path = new URL('../../package.json', import.meta.url);
  const { optionalDependencies } = JSON.parse(readFileSync(path, 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  expect(optionalDependencies['@litertjs/core']).toBe(LITERT_VERSION);
});

describe.skipIf(!browserTest)('the page in Chromium', { timeout: 2 * START }, () => {
  let opened: Lab;
  let owner: LabClient;
  let chromium: Chromium;
  const live = async () => (await owner.devices()).filter((device) => device.live).map(({ name }) => name);
  beforeAll(async () => {
    opened = await lab({ leaseMs: 3000 });
    owner = ownerOf(opened);
    chromium = await openChromium();
  }, START);
  afterAll(() => chromium?.close());

  test('joins by its address, measures with threads, profiles, and gives exit costs', async () => {
    const address = `${opened.url}/#token=${opened.file.joinToken}&name=chromium`;
    await using page = await chromium.open(address, { awaitReady: false });
    const foreign: string[] = [];
    page.page.on('request', (asked) => {
      if (!/^(data|blob):/.test(asked.url()) && !asked.url().startsWith(opened.url)) foreign.push(asked.url());
    });
    await expect.poll(live, { timeout: START }).toEqual(['chromium']);
    const [device] = await owner.devices();
    expect(device!.description).toMatchObject({ agent: 'browser' });
    expect(device!.description.browser).toMatch(/Chrom/);

    const spec = await uploaded(owner, smallModel(), { backend: 'wasm' });
    for (const threads of [1, 2]) {
      const value = await measured(owner, 'chromium', { ...spec, kind: 'latency', threads });
      expect(value.device).toMatchObject({ executionProvider: 'WASM', threads });
      expect(value.latencyMs.p50).toBeGreaterThan(0);
    }
    const progressive = await uploaded(owner, smallProgressive(), { backend: 'wasm', threads: 1 });
    const profile = await measured(owner, 'chromium', { ...progressive, kind: 'profile' });
    expect(profile.layers.length).toBeGreaterThan(10);
    const costs = await measured(owner, 'chromium', { ...progressive, kind: 'exit-costs' });
    expect(costs.method).toBe('profiler');
    expectCosts(costs);
    expect(await page.page.locator('#jobs li').count()).toBe(4);
    expect(await page.page.locator('#jobs').innerText()).toMatch(/net\.onnx, latency, wasm, 2 threads: [\d.]+ ms/);
    const shot = process.env['CUTTLE_SCREENSHOTS'];
    if (shot !== undefined) await page.page.screenshot({ path: join(shot, 'lab-agent.png'), fullPage: true });
    expect(foreign).toEqual([]);
    expect(page.console.filter((line) => line.startsWith('error'))).toEqual([]);
  });

  test('a tab that is closed while it measures: the job is done by the next one', async () => {
    const address = `${opened.url}/#token=${opened.file.joinToken}&name=tab`;
    const spec = await uploaded(owner, smallModel(), { backend: 'wasm', threads: 1, runs: 1, minSeconds: 3 });
    const first = await chromium.open(address, { awaitReady: false });
    await expect.poll(live, { timeout: START }).toContain('tab');
    const { jobs } = await owner.submit({ devices: [], specs: [spec] });
    await expect.poll(async () => (await owner.job(jobs[0]!.id)).state, { timeout: START }).toBe('running');
    await first[Symbol.asyncDispose]();
    await using second = await chromium.open(address, { awaitReady: false });
    const job = await owner.settled(jobs[0]!.id, { maxMs: START });
    expect(job).toMatchObject({ state: 'done', attempts: 2, runBy: 'tab-2' });
    expect(second.console.filter((line) => line.startsWith('error'))).toEqual([]);
  });

  test.skipIf(tflite === undefined)('runs TensorFlow Lite models with LiteRT, with and without threads', async () => {
    const address = `${opened.url}/#token=${opened.file.joinToken}&name=lite`;
    await using page = await chromium.open(address, { awaitReady: false });
    await expect.poll(live, { timeout: START }).toContain('lite');
    const spec = await uploaded(owner, tflite!, { format: 'tflite', name: 'vww.tflite' });
    const seen: number[] = [];
    for (const [backend, threads] of [
      ['auto', 1],
      ['litert', 2],
    ] as const) {
      const value = await measured(owner, 'lite', { ...spec, kind: 'latency', backend, threads });
      expect(value.device).toMatchObject({
        executionProvider: 'LiteRT WASM',
        runtime: `litert ${LITERT_VERSION}`,
        threads,
      });
      expect(value.inputs).toEqual({ input_1: [1, 96, 96, 3] });
      seen.push(value.latencyMs.runs!);
    }
    expect(seen).toEqual([5, 5]);
    const broken = await uploaded(owner, new TextEncoder().encode('no model'), { format: 'tflite', backend: 'litert' });
    const { jobs } = await owner.submit({
      devices: ['lite'],
      specs: [broken, { ...spec, backend: 'litert', batch: 2 }, { ...spec, backend: 'wasm' }],
    });
    const told = [];
    for (const { id } of jobs) told.push((await owner.settled(id, { maxMs: START })).error);
    expect(told).toMatchObject([
      { kind: 'invalid', code: 'runtime/load-invalid' },
      { code: 'lab/batch' },
      { code: 'lab/device-lacks' },
    ]);
    expect(page.console.filter((line) => line.startsWith('error'))).toEqual([]);
  });

  test('a page in the background takes no job until it is in front again', async () => {
    const address = `${opened.url}/#token=${opened.file.joinToken}&name=behind`;
    await using page = await chromium.open(address, { awaitReady: false });
    await expect.poll(live, { timeout: START }).toContain('behind');
    const into = (state: 'hidden' | 'visible') =>
      page.page.evaluate((value) => {
        Object.defineProperty(document, 'visibilityState', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await into('hidden');
    const spec = await uploaded(owner, smallModel(7), { backend: 'wasm', threads: 1 });
    const { jobs } = await owner.submit({ devices: ['behind'], specs: [spec] });
    // It was waiting for work when it went behind: that job is given back, and no other one is asked for.
    await page.page.getByText('Waiting until this page is in front again.').waitFor({ timeout: START });
    expect(await owner.job(jobs[0]!.id)).toMatchObject({ state: 'queued', attempts: 1 });
    await into('visible');
    expect(await owner.settled(jobs[0]!.id, { maxMs: START })).toMatchObject({ state: 'done', attempts: 2 });
  });

  test('asks for the token where the address has none, and says what is wrong with it', async () => {
    await using page = await chromium.open(opened.url, { awaitReady: false });
    await page.page.getByText('Type the join token').waitFor();
    await page.page.getByLabel('Join token').fill('wrong-token');
    await page.page.getByRole('button', { name: 'Join' }).click();
    await page.page.getByText(/the bearer token is missing or wrong/).waitFor();
  });
});
