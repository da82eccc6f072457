/** @file Home and the model view in Chromium: what is found, the graph, search, heat, cuts, keys. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encodeModel } from '../../src/onnx/index.js';
import { browserTest } from '../browser/harness.js';
import { digitsModel } from '../cli/cli.js';
import { fits, studioPages } from './studio-page.js';
import { demoLikeWorkspace } from './studio-workspace.js';

describe.skipIf(!browserTest)('home and model', { timeout: 60_000 }, () => {
  const { visit } = studioPages(demoLikeWorkspace);

  test('home lists what is there and leads on', () =>
    visit('', async (page) => {
      await page.getByRole('heading', { name: 'Networks with early exits' }).waitFor();
      expect(await page.getByRole('row').allInnerTexts()).toEqual([
        expect.stringContaining('model'),
        expect.stringContaining('backbone.onnx'),
        expect.stringContaining('progressive.onnx'),
      ]);
      await page.getByRole('link', { name: 'See the graph' }).click();
      await page.getByRole('heading', { level: 1, name: 'progressive.onnx' }).waitFor();
    }));

  test('an upload appears and opens; one that is no model says why', () =>
    visit('', async (page) => {
      const input = page.locator('input[type=file]');
      await input.setInputFiles({ name: 'mine.onnx', mimeType: '', buffer: Buffer.from(encodeModel(digitsModel())) });
      await page.getByRole('heading', { level: 1, name: 'mine.onnx' }).waitFor();
      await page.goBack();
      await page.getByRole('link', { name: 'mine.onnx' }).waitFor();
      await input.setInputFiles({ name: 'broken.onnx', mimeType: '', buffer: Buffer.from('no model') });
      expect(await page.getByRole('alert').innerText()).toMatch(/ONNX/);
    }));

  test('the graph: operators, exits, search, heat, details', () =>
    visit('model?path=progressive.onnx', async (page) => {
      const graph = page.getByRole('application');
      await graph.waitFor();
      expect(await graph.locator('.node').count()).toBeGreaterThan(30);
      expect(await graph.locator('.badge').count()).toBe(4);
      expect(await graph.locator('.node.head').count()).toBeGreaterThan(8);
      await page.getByRole('searchbox').fill('gemm');
      const found = await graph.locator('.node.found').count();
      expect(found).toBeGreaterThan(0);
      expect(await page.getByRole('search').locator('output').innerText()).toBe(`${found} found`);
      await page.getByRole('searchbox').press('Enter');
      expect(await page.getByRole('complementary').innerText()).toMatch(/Gemm/);
      const bars = () =>
        graph
          .locator('.bar')
          .evaluateAll((all: readonly SVGRectElement[]) => all.map((bar) => bar.getAttribute('width')));
      const macs = await bars();
      await page.getByLabel('Bars show').selectOption('memory');
      expect(await bars()).not.toEqual(macs);
      await page.getByRole('button', { name: 'Measure time' }).click();
      await page.getByText('Times: measured now.').waitFor();
      expect(await page.getByLabel('Bars show').inputValue()).toBe('time');
    }));

  test('a cut colours both sides and marks what crosses', () =>
    visit('model?path=progressive.onnx', async (page) => {
      const graph = page.getByRole('application');
      await graph.waitFor();
      await page.getByLabel('Cut between device and server').selectOption({ index: 4 });
      expect(await graph.locator('.on-device').count()).toBeGreaterThan(0);
      expect(await graph.locator('.on-server').count()).toBeGreaterThan(0);
      expect(await graph.locator('.edge.crosses').count()).toBeGreaterThan(0);
    }));

  test('arrow keys walk the graph', () =>
    visit('model?path=backbone.onnx', async (page) => {
      const graph = page.getByRole('application');
      await graph.focus();
      await page.keyboard.press('Home');
      const first = await graph.getAttribute('aria-activedescendant');
      await page.keyboard.press('ArrowDown');
      expect(await graph.getAttribute('aria-activedescendant')).not.toBe(first);
      await page.keyboard.press('ArrowUp');
      expect(await graph.getAttribute('aria-activedescendant')).toBe(first);
      expect(await page.getByRole('complementary').innerText()).toMatch(/the input/);
    }));

  test('fits a phone', async () => {
    for (const view of ['', 'model?path=progressive.onnx'])
      await visit(
        view,
        async (page) => {
          await page.getByRole('heading', { level: 1 }).waitFor();
          expect(await fits(page)).toBe(true);
        },
        { width: 360, height: 700 },
      );
  });
});

describe.skipIf(!browserTest)('an empty folder', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-empty-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'notes.txt'), '');
  const { visit } = studioPages(async () => folder);

  test.each([
    ['', /There is no model here yet/],
    ['model', /no model in this folder/],
    ['model?path=gone.onnx', /'gone.onnx' does not exist/],
    ['nowhere', /no view 'nowhere'/],
  ])('view %j says what to do', async (view, says) => {
    await visit(view, (page) => page.getByText(says).first().waitFor());
  });
});
