/** @file The browser example of split sessions in Chromium, with a real server: reachable, throttled, gone, back. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/index.js';
import { measureSplit, openSplitNetwork } from '../../src/split/index.js';
import { browserTest, openChromium, root, serve, type Chromium, type Site } from '../browser/harness.js';
import { digitsModel } from '../cli/cli.js';
import { noise } from '../exits/networks.js';
import { plainServer, type PlainServer } from '../split/plain-server.js';

const START = 120_000;

describe.skipIf(!browserTest)('the page browser-offload', { timeout: 2 * START }, () => {
  let folder: string;
  let site: Site;
  /** The same page without isolation. */
  let bare: Site;
  let chromium: Chromium;
  let server: PlainServer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cuttle-example-'));
    const candidates = findCandidates(digitsModel('resnet-8'));
    const { model } = attachExits(candidates, [candidates.all[2]!, candidates.all[4]!], { kind: 'pool' }, 1);
    const input = openSplitNetwork(model).inputs[0]!;
    const batch = { feeds: { [input]: noise(createRandom(1), [8, 1, 28, 28]) }, labels: [0, 1, 2, 3, 4, 5, 6, 7] };
    const options = { threads: 1, bits: [8], thresholds: [0.9999], runs: 3 };
    const profile = await measureSplit(model, [batch], options);
    writeFileSync(join(folder, 'net.onnx'), encodeModel(model));
    writeFileSync(join(folder, 'profile.json'), JSON.stringify(profile));
    server = await plainServer(model);
    const configFile = join(root, 'examples/browser-offload/vite.config.ts');
    await build({ configFile, logLevel: 'error', build: { outDir: join(folder, 'page'), emptyOutDir: true } });
    site = await serve(join(folder, 'page'));
    bare = await serve(join(folder, 'page'), { isolated: false });
    chromium = await openChromium();
  }, START);
  afterAll(async () => {
    await chromium?.close();
    await Promise.all([site?.close(), bare?.close()]);
    await server?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Where the latest images were computed, as the bars say. */
  const bars = async (page: Page): Promise<readonly string[]> =>
    page
      .locator('#strip li')
      .evaluateAll((items: readonly { readonly className: string }[]) => items.map(({ className }) => className));

  test('answers here and there, and while the link is gone', async () => {
    await using opened = await chromium.open(site.url, { awaitReady: false });
    const { page } = opened;
    await page.locator('#server').fill(server.url);
    await page.locator('#model').setInputFiles(join(folder, 'net.onnx'));
    await page.locator('#profile').setInputFiles(join(folder, 'profile.json'));
    await page.locator('#aim').selectOption('device');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByText('Ready: the server is there.').waitFor({ timeout: START });
    await page.getByRole('button', { name: 'Classify samples' }).click();
    await expect.poll(async () => (await bars(page)).at(-1), { timeout: START }).toBe('server');
    expect(await page.locator('#where').innerText()).toMatch(/by the server from cut/);

    await page.getByLabel('gone').check();
    await page.getByText(/the server is gone/).waitFor({ timeout: START });
    expect((await bars(page)).at(-1)).toBe('device');
    const before = (await bars(page)).length;
    await expect.poll(async () => (await bars(page)).length, { timeout: START }).toBeGreaterThan(before + 2);

    await page.getByLabel('reachable').check();
    await expect.poll(async () => (await bars(page)).at(-1), { timeout: START }).toBe('server');

    await page.getByLabel('throttled').check();
    const shown = page.locator('#mean');
    const mean = await shown.innerText();
    await expect.poll(() => shown.innerText(), { timeout: START }).not.toBe(mean);
    expect(await page.locator('#status').innerText()).toBe('Running …');
    const shot = process.env['CUTTLE_SCREENSHOTS'];
    if (shot !== undefined)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(shot, `browser-offload-${colorScheme}.png`), fullPage: true });
      }
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('Stopped.').waitFor({ timeout: START });
  });

  test('computes by itself: isolated on threads, else on one', async () => {
    const threads: number[] = [];
    for (const url of [site.url, bare.url]) {
      await using opened = await chromium.open(url, { awaitReady: false });
      const { page } = opened;
      await page.locator('#server').fill('http://127.0.0.1:9');
      await page.locator('#model').setInputFiles(join(folder, 'net.onnx'));
      await page.locator('#profile').setInputFiles(join(folder, 'profile.json'));
      await page.getByRole('button', { name: 'Open' }).click();
      await page.getByText('Ready, without a server').waitFor({ timeout: START });
      await page.getByRole('button', { name: 'Classify samples' }).click();
      await expect.poll(async () => (await bars(page)).at(-1), { timeout: START }).toBe('device');
      const runtime = page.workers().filter((worker) => /ort\.wasm/.test(worker.url()));
      threads.push(runtime.length);
    }
    expect(threads[0]).toBeGreaterThan(0);
    expect(threads[1]).toBe(0);
  });

  test('says what is missing', async () => {
    await using opened = await chromium.open(site.url, { awaitReady: false });
    const { page } = opened;
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByText('Choose a model and its split profile first.').waitFor();
  });
});
