/** @file Real agents: Node on both of its back ends, and a page in Chromium; they vanish, come back, and measure exit costs. */
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
import { browserTest, openChromium, type Chromium } from '../browser/harness.js';
import { isBuilt } from '../cli/cli.js';
import { lab, labFolder, ownerOf, smallModel, smallProgressive, uploaded } from './labs.js';

const START = 120_000;

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
    opened = await lab();
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
    expect(await page.page.locator('#jobs').innerText()).toMatch(/net\.onnx, latency, wasm, 2 thread\(s\): [\d.]+ ms/);
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

  test('asks for the token where the address has none, and says what is wrong with it', async () => {
    await using page = await chromium.open(opened.url, { awaitReady: false });
    await page.page.getByText('Type the join token').waitFor();
    await page.page.getByLabel('Join token').fill('wrong-token');
    await page.page.getByRole('button', { name: 'Join' }).click();
    await page.page.getByText(/the bearer token is missing or wrong/).waitFor();
  });
});
