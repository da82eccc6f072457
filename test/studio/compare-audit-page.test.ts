/** @file Two models compared, and the audit explorer, in Chromium. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { browserTest } from '../browser/harness.js';
import { studioPages } from './studio-page.js';
import { fullWorkspace, imageFolder } from './studio-workspace.js';

describe.skipIf(!browserTest)('compare and audit', { timeout: 60_000 }, () => {
  const { visit } = studioPages(async () => {
    const folder = await fullWorkspace();
    imageFolder(join(folder, 'images'), 3, [...'0123456789']);
    return folder;
  });

  test('cost, weights and structure of a network and the same with exits', () =>
    visit('compare?a=backbone.onnx&b=progressive.onnx', async (page) => {
      await page.getByRole('row', { name: /^MACs/ }).waitFor();
      expect(await page.getByText(/the same to the byte/).innerText()).toMatch(
        /^\d+ the same to the byte, 0 changed, 0 of another shape or type, 0 only in A, \d+ only in B\.$/,
      );
      expect(await page.getByRole('row', { name: /^MACs/ }).innerText()).toMatch(/1\.\d\d ×/);
      expect(await page.locator('tr.ours').count()).toBeGreaterThan(0);
      await page.getByLabel('B', { exact: true }).selectOption('backbone.onnx');
      await page.getByText(/^\d+ the same to the byte, 0 changed, .* 0 only in B\.$/).waitFor();
    }));

  test('accuracy: both run on the same images, by the command; a fault is said', () =>
    visit('compare?a=backbone.onnx&b=progressive.onnx', async (page) => {
      await page.getByLabel('Images').fill('./nothing');
      await page.getByRole('button', { name: /Run both/ }).click();
      await page.getByRole('alert').waitFor();
      await page.getByLabel('Images').fill('./images');
      await page.getByRole('button', { name: /Run both/ }).click();
      const rows = page.getByRole('region', { name: 'Accuracy' }).getByRole('row');
      await rows.nth(2).waitFor({ timeout: 40_000 });
      expect((await rows.allInnerTexts()).slice(1)).toEqual([
        expect.stringMatching(/backbone\.onnx\s+\d.*\s%/),
        expect.stringMatching(/progressive\.onnx\s+\d.*\s%/),
      ]);
    }));

  test('the apps of an audit: search, format, one app with what speaks for it', () =>
    visit('audit', async (page) => {
      const networks = page.getByRole('region', { name: 'Networks' });
      await networks.waitFor();
      const rows = () => networks.locator('tbody tr').count();
      expect(await rows()).toBe(3);
      expect(await page.locator('.tiles').innerText()).toMatch(/apps\s+3\s+2 with networks\s+networks\s+3/);
      await page.getByText(/broken\.json: .*no record/).waitFor();
      await page.getByLabel('Search').fill('photography detector');
      expect(await rows()).toBe(1);
      await page.getByLabel('Search').fill('nothing at all');
      await page.getByText('Nothing fits').waitFor();
      await page.getByLabel('Search').fill('');
      await page.getByLabel('Format').selectOption('onnx');
      expect(await rows()).toBe(1);
      const camera = page.getByRole('region', { name: 'Apps' }).getByRole('row', { name: /org\.camera/ });
      expect(await camera.innerText()).toMatch(/photography\s+2\s+.*TensorFlow Lite/);
      await camera.getByRole('link').click();
      await page.getByRole('heading', { name: 'The app org.camera' }).waitFor();
      await page.getByText(/TensorFlow Lite.* \(called\)/).waitFor();
      await page.getByText(/Not read: its bytes look random/).waitFor();
      await page.getByText(/For object-detection \(vision, derived\): an image goes in/).waitFor();
    }));
});
