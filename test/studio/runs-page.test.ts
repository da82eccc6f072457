/** @file Runs in Chromium: started from the form, followed live, stopped, refused; what they leave shows in the workspace. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { browserTest } from '../browser/harness.js';
import { studioPages } from './studio-page.js';
import { demoLikeWorkspace, imageFolder } from './studio-workspace.js';

/** Fills the form and starts the run. */
async function start(page: Page, verb: string, fields: Readonly<Record<string, string>>): Promise<void> {
  await page.getByLabel('What').selectOption(verb);
  for (const [label, value] of Object.entries(fields)) {
    const field = page.getByLabel(label, { exact: true });
    if ((await field.evaluate((element: { tagName: string }) => element.tagName)) === 'SELECT')
      await field.selectOption(value);
    else await field.fill(value);
  }
  await page.getByRole('button', { name: 'Start', exact: true }).click();
}

const DATA = 'Images: a known name or ./FOLDER';
const OUT = 'Where it goes, in this folder';
const state = (page: Page) => page.locator('h2 .tag');

describe.skipIf(!browserTest)('runs', { timeout: 120_000 }, () => {
  let folder = '';
  const { visit } = studioPages(async () => {
    folder = await demoLikeWorkspace();
    imageFolder(join(folder, 'images'), 20);
    return folder;
  });

  test('train, then adapt: curves and designs as they come, and the files in the workspace', () =>
    visit('runs', async (page) => {
      await page.getByText('No run was started from here yet').waitFor();
      await start(page, 'train', { [DATA]: './images', Architecture: 'lenet-5', Epochs: '3', [OUT]: 'mine.onnx' });
      await page.getByRole('heading', { name: 'Loss' }).waitFor({ timeout: 40_000 });
      expect(await page.locator('section code').first().innerText()).toBe(
        'cuttle train --arch lenet-5 --data ./images --out ./mine.onnx --epochs 3',
      );
      await page.locator('h2 .tag.done').waitFor();
      expect(await page.getByLabel('Log').innerText()).toMatch(/training: epoch 3\/3/);
      expect(await page.locator('.plot-holder svg').count()).toBe(2);
      await page.getByRole('link', { name: /See what it left/ }).click();
      await page.getByRole('link', { name: 'mine.onnx' }).waitFor();
      await page.goBack();

      await page.getByLabel('What').selectOption('adapt');
      await start(page, 'adapt', {
        Model: 'mine.onnx',
        [DATA]: './images',
        Budgets: '200%, 300%',
        Epochs: '1',
        [OUT]: 'exits',
      });
      await page.getByRole('heading', { name: 'Designs found' }).waitFor({ timeout: 40_000 });
      await page.getByText(/searches done; the latest/).waitFor();
      await page.locator('h2 .tag.done').waitFor({ timeout: 40_000 });
      expect(existsSync(join(folder, 'exits/progressive.onnx'))).toBe(true);
      // Everything is told again to who comes later.
      await page.reload();
      await page.getByRole('heading', { name: 'Designs found' }).waitFor();
      expect(await page.locator('.jobs li').count()).toBe(2);
    }));

  test('stop: the run ends and says so', () =>
    visit('runs', async (page) => {
      await start(page, 'train', { [DATA]: './images', Epochs: '1000', [OUT]: 'long.onnx' });
      await page.getByRole('heading', { name: 'Loss' }).waitFor();
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.locator('h2 .tag.stopped').waitFor();
      expect(existsSync(join(folder, 'long.onnx'))).toBe(false);
    }));

  test('a run that fails, and one that is refused, say why', () =>
    visit('runs', async (page) => {
      await start(page, 'train', { [DATA]: 'no-such-data', [OUT]: 'none.onnx' });
      await page.locator('h2 .tag.failed').waitFor();
      expect(await page.getByLabel('Log').innerText()).toMatch(/no-such-data/);
      await start(page, 'train', { [DATA]: './images', [OUT]: '../none.onnx' });
      expect(await page.getByRole('alert').innerText()).toMatch(/not inside the folder/);
      expect(await state(page).count()).toBe(1);
    }));
});
