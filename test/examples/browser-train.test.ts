/** @file The browser example in Chromium, as a visitor uses it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readClasses, readPreprocessing } from '../../src/data/index.js';
import { Tensor } from '../../src/ir/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { encodePng } from '../../src/report/index.js';
import { openSession } from '../../src/runtime/index.js';
import { browserTest, openChromium, root, serve, type Chromium, type Site } from '../browser/harness.js';

const START = 120_000;

describe.skipIf(!browserTest)('the page browser-train', { timeout: 2 * START }, () => {
  let folder: string;
  let site: Site;
  let chromium: Chromium;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cuttle-example-'));
    const configFile = join(root, 'examples/browser-train/vite.config.ts');
    await build({ configFile, logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
    site = await serve(folder);
    chromium = await openChromium();
  });
  afterAll(async () => {
    await chromium?.close();
    await site?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('loads digits, trains on the spot, tells what is drawn, exports a model that others open', async () => {
    await using opened = await chromium.open(site.url, { awaitReady: false });
    const { page } = opened;
    const foreign: string[] = [];
    page.on('request', (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(site.url)) foreign.push(request.url());
    });
    await expect.poll(() => page.getByRole('button', { name: 'Train', exact: true }).isDisabled()).toBe(true);
    await prepare(page, '500', '3');
    await drawSeven(page);
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText(/^Finished after 150 steps$/).waitFor({ timeout: START });

    const losses = await curve(page);
    expect(mean(losses.slice(-10))).toBeLessThan(0.7 * mean(losses.slice(0, 10)));
    const accuracy = Number(/([\d.]+) %/.exec(await page.locator('.facts').innerText())![1]);
    expect(accuracy).toBeGreaterThan(50);
    expect(await page.locator('.facts').innerText()).toMatch(/\d+ images\/s[\s\S]*1 thread/);
    await expect.poll(() => page.locator('.verdict').innerText()).toMatch(/^Looks like \d$/);
    const percents = await page.locator('.percent').allInnerTexts();
    expect(percents.map((text) => parseInt(text)).reduce((a, b) => a + b)).toBeGreaterThan(94);

    // What is downloaded is the network that answered.
    const bytes = await downloaded(page);
    const model = decodeModel(bytes);
    expect(readClasses(model)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    const { mean: means, std } = readPreprocessing(model)!;
    await using session = await openSession(model, { threads: 1 });
    const { images, labels } = await embedded(folder, 500);
    const floats = Float32Array.from(images, (byte) => (byte / 255 - means[0]!) / std[0]!);
    const { logits } = await session.run({ input: Tensor.floats(floats, [500, 1, 28, 28]) });
    const scores = logits!.data as Float32Array;
    const right = labels.filter((label, i) => {
      const row = scores.subarray(i * 10, i * 10 + 10);
      return row.indexOf(Math.max(...row)) === label;
    });
    expect(right.length / 500).toBeGreaterThan(0.6);
    expect(foreign).toEqual([]);
  });

  test('cancels soon, keeps the network, goes on from it', async () => {
    await using opened = await chromium.open(site.url, { awaitReady: false });
    const { page } = opened;
    await prepare(page, '500', '50');
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await expect.poll(async () => (await curve(page)).length, { timeout: START }).toBeGreaterThan(3);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText(/^Cancelled at step \d+$/).waitFor({ timeout: START });
    const first = decodeModel(await downloaded(page));

    await page.getByLabel('Go on from the trained network').check();
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await expect.poll(async () => (await curve(page)).length, { timeout: START }).toBeGreaterThan(1);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText(/^Cancelled at step \d+$/).waitFor({ timeout: START });
    const second = decodeModel(await downloaded(page));
    const weights = [first, second].map((model) => model.graph.initializers.get('conv1.weight')!.data as Float32Array);
    expect(weights[1]).not.toEqual(weights[0]);
    // A new network would begin elsewhere altogether.
    expect(distance(weights[0]!, weights[1]!)).toBeLessThan(0.5 * distance(weights[0]!, new Float32Array(150)));
  });

  test('takes drawings by pointer and keyboard, and image files', async () => {
    await using opened = await chromium.open(site.url, { awaitReady: false });
    const { page } = opened;
    await drawSeven(page);
    await page.getByRole('button', { name: 'Add as 7' }).click();
    await page.getByText('Added as 7.').waitFor();
    await page.getByText(/^1 digit$/).waitFor();

    await page.getByRole('application').focus();
    await page.keyboard.press('Space');
    for (let i = 0; i < 8; i++) await page.keyboard.press('ArrowDown');
    await page.keyboard.press('1');
    await page.getByText('Added as 1.').waitFor();
    await page.keyboard.press('2');
    await page.getByText('Draw a digit first.').waitFor();

    await page.getByLabel('Label of image files').selectOption('4');
    await page.locator('input[type=file]').setInputFiles([
      { name: 'four.png', mimeType: 'image/png', buffer: picture(40, 40) },
      { name: 'blank.png', mimeType: 'image/png', buffer: picture(0, 0) },
      { name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no image') },
    ]);
    await page
      .getByText('1 of 3 images added as 4. blank.png is blank. broken.png cannot be read as an image')
      .waitFor();
    await page.getByText(/^3 digits$/).waitFor();
    expect(await page.locator('.counts .count').allInnerTexts()).toEqual([...'0100100100']);
    await page.getByRole('button', { name: 'Remove all' }).click();
    await page.getByText(/^0 digits$/).waitFor();
  });

  test('fits a phone, and is reached by keyboard alone', async () => {
    await using opened = await chromium.open(site.url, { awaitReady: false });
    const { page } = opened;
    await page.setViewportSize({ width: 360, height: 740 });
    await page.getByRole('button', { name: 'Load digits' }).waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await page.getByRole('button', { name: 'Load digits' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('2,000 digits').waitFor();
    const reached: string[] = [];
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement?.textContent ?? ''));
    }
    for (const name of ['Remove all', 'Train']) expect(reached).toContain(name);
    expect(await page.locator('select:not([disabled]), button, input').count()).toBe(
      await page.locator('select:not([disabled]), button, input').filter({ visible: true }).count(),
    );
  });

  test('trains without cross-origin isolation, on one thread', async () => {
    const open = await serve(folder, { isolated: false });
    try {
      await using opened = await chromium.open(open.url, { awaitReady: false });
      const { page } = opened;
      await prepare(page, '500', '1', false);
      expect(await page.getByLabel('Threads').locator('option').allInnerTexts()).toEqual(['Automatic', '1']);
      await page.getByRole('button', { name: 'Train', exact: true }).click();
      await page.getByText(/^Finished after 50 steps$/).waitFor({ timeout: START });
      expect(await page.locator('.facts').innerText()).toContain('1 thread');
    } finally {
      await open.close();
    }
  });
});

/** Loads digits and chooses a small network, the WASM back end and one thread. */
async function prepare(page: Page, digits: string, epochs: string, threads = true): Promise<void> {
  await page.getByLabel('Handwritten digits').selectOption(digits);
  await page.getByRole('button', { name: 'Load digits' }).click();
  await page.getByText(`${digits} digits`).waitFor();
  await page.getByRole('combobox', { name: 'Network' }).selectOption('lenet-5');
  await page.getByLabel('Epochs').selectOption(epochs);
  await page.getByLabel('Back end').selectOption('wasm');
  if (threads) await page.getByLabel('Threads').selectOption('1');
}

async function drawSeven(page: Page): Promise<void> {
  const box = (await page.getByRole('application').boundingBox())!;
  const to = (x: number, y: number): Promise<void> =>
    page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 4 });
  await to(0.3, 0.25);
  await page.mouse.down();
  await to(0.7, 0.25);
  await to(0.45, 0.85);
  await page.mouse.up();
}

/** Heights of the loss curve on the screen, turned so that a higher loss is a larger number. */
async function curve(page: Page): Promise<readonly number[]> {
  const points = (await page.locator('polyline').first().getAttribute('points')) ?? '';
  return points
    .split(' ')
    .filter(Boolean)
    .map((point) => 146 - Number(point.split(',')[1]));
}

async function downloaded(page: Page): Promise<Uint8Array> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download ONNX' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('digits.onnx');
  return new Uint8Array(await readFile(await download.path()));
}

async function embedded(
  folder: string,
  count: number,
): Promise<{ readonly images: Uint8Array; readonly labels: readonly number[] }> {
  const [images, labels] = await Promise.all(
    ['digits-images.idx', 'digits-labels.idx'].map((name) => readFile(join(folder, name))),
  );
  return { images: images!.subarray(16, 16 + count * 784), labels: [...labels!.subarray(8, 8 + count)] };
}

/** White paper, 60×60, with a dark rectangle of this size. */
function picture(width: number, height: number): Buffer {
  const pixels = new Uint8Array(60 * 60).fill(255);
  for (let y = 0; y < height; y++) pixels.fill(30, (y + 10) * 60 + 10, (y + 10) * 60 + 10 + width / 4);
  return Buffer.from(encodePng({ width: 60, height: 60, channels: 1, pixels }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.hypot(...a.map((value, index) => value - b[index]!));
}
