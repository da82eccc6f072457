/** @file Designs and "try it" in Chromium: the budget slider answers from the memo; an image is answered with reasons. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { browserTest } from '../browser/harness.js';
import { fits, studioPages } from './studio-page.js';
import { demoLikeWorkspace } from './studio-workspace.js';

/** The figure of a tile. */
const tile = (page: Page, name: string) => page.locator('.tile', { hasText: name }).locator('b').innerText();

const slide = (page: Page, to: number) => page.getByRole('slider', { name: /^Budget/ }).fill(String(to));

describe.skipIf(!browserTest)('designs and try it', { timeout: 60_000 }, () => {
  let folder = '';
  const { visit } = studioPages(async () => (folder = await demoLikeWorkspace()));

  test('the slider: more budget never means less accuracy, and every answer keeps the budget', () =>
    visit('designs', async (page) => {
      await page.locator('.tile').first().waitFor();
      const seen: { latency: number; accuracy: number }[] = [];
      for (const share of [30, 50, 70, 90, 110]) {
        await slide(page, share);
        const latency = parseFloat(await tile(page, 'average latency'));
        expect(latency).toBeLessThanOrEqual(((share / 100) * 0.35 + 1e-9) * 1.005);
        seen.push({ latency, accuracy: parseFloat(await tile(page, 'accuracy')) });
      }
      expect(seen.map(({ accuracy }) => accuracy)).toEqual(seen.map(({ accuracy }) => accuracy).sort((a, b) => a - b));
      expect(seen[0]!.latency).toBeLessThan(seen[4]!.latency);
    }));

  test('what a slider move asks of the server: nothing', () =>
    visit('designs', async (page) => {
      await page.locator('.tile').first().waitFor();
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      for (let share = 20; share <= 100; share += 5) await slide(page, share);
      expect(asked).toEqual([]);
    }));

  test('a budget that nothing meets says so, and how fast the fastest is', () =>
    visit('designs', async (page) => {
      await page.locator('.tile').first().waitFor();
      await slide(page, 5);
      await page.getByText(/No design is that fast: the fastest takes/).waitFor();
    }));

  test('the file of the run gets from the memo what its search predicted', () =>
    visit('designs', async (page) => {
      const row = page.getByRole('row', { name: /design-50pc/ });
      const file = JSON.parse(readFileSync(join(folder, 'design-50pc.json'), 'utf8')) as {
        predicted: { accuracy: number };
      };
      expect(await row.innerText()).toContain(
        `${(100 * file.predicted.accuracy).toFixed(1)}\u202f%`.replace('\u202f', ' ').slice(0, 4),
      );
    }));

  test('a design by hand: fewer exits, another answer', () =>
    visit('designs', async (page) => {
      const section = page.locator('section', { has: page.getByRole('heading', { name: 'By hand' }) });
      const text = () => section.locator('p').last().innerText();
      const before = await text();
      await section.getByRole('checkbox').first().uncheck();
      expect(await text()).not.toBe(before);
      await section.getByRole('slider').fill('0.2');
      expect(await section.getByText(/Images leave at/).innerText()).toMatch(/\s0\s%/);
    }));

  test('from the slider to an image: which exit answered, and why', () =>
    visit('designs', async (page) => {
      await page.locator('.tile').first().waitFor();
      await page.getByRole('link', { name: 'Try an image with this design' }).click();
      expect(await page.getByLabel('Design').locator('option').first().innerText()).toBe('the one chosen before');
      await page.getByRole('button', { name: 'digit.png' }).click();
      await page.getByText('Taken for').waitFor();
      expect(await page.locator('.answer-label').innerText()).toMatch(/^\d$/);
      expect(await page.locator('.verdict').innerText()).toMatch(
        /stopped it in .*\sms: (its confidence|no earlier exit)/,
      );
      const items = page.getByRole('listitem').filter({ hasText: 'confidence' });
      expect(await items.count()).toBe(5);
      expect(await page.locator('.exits li.answer').count()).toBe(1);
      // Behind the answer nothing ran.
      const states = await page.locator('.exits .head').allInnerTexts();
      const at = states.findIndex((text) => text.includes('left here'));
      for (const text of states.slice(at + 1)) expect(text).toMatch(/would have said/);
    }));

  test('an own image by file; another design gives another explanation; no image, no crash', () =>
    visit('try', async (page) => {
      await page.getByText('No image yet.').waitFor();
      const png = readFileSync(join(folder, 'digit.png'));
      await page.locator('input[type=file]').setInputFiles({ name: 'own.png', mimeType: 'image/png', buffer: png });
      await page.getByText('Taken for').waitFor();
      await page.getByLabel('Design').selectOption({ label: 'all exits, threshold 0.8' });
      await expect.poll(() => page.locator('.exits li.outside').count()).toBe(0);
      await page
        .locator('input[type=file]')
        .setInputFiles({ name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('x') });
      expect(await page.getByRole('alert').innerText()).toMatch(/cannot be read as an image[\s\S]*whole JPEG, PNG/);
      expect(existsSync(join(folder, 'own.png'))).toBe(false);
    }));

  test('both fit a phone', async () => {
    for (const view of ['designs', 'try'])
      await visit(
        view,
        async (page) => {
          await page.locator('section').first().waitFor();
          expect(await fits(page)).toBe(true);
        },
        { width: 360, height: 700 },
      );
  });
});
