/** @file The split simulator in Chromium: sliders change the decision at once, a minute on a changing link is replayed, own traces too. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { openSplitPolicy, parseSplitProfile, bytesPerMs, costOf } from '../../src/split/index.js';
import { milliseconds } from '../../src/report/index.js';
import { browserTest } from '../browser/harness.js';
import { studioPages } from './studio-page.js';
import { demoLikeWorkspace } from './studio-workspace.js';

const slide = (page: Page, name: RegExp, to: number) => page.getByRole('slider', { name }).fill(String(to));
const decision = (page: Page) => page.locator('.decision').innerText();

describe.skipIf(!browserTest)('split', { timeout: 60_000 }, () => {
  let folder = '';
  const { visit } = studioPages(async () => {
    folder = await demoLikeWorkspace();
    writeFileSync(join(folder, 'broken-split.json'), '{"format":"cuttle.split"}');
    return folder;
  });
  const view = 'split?path=split-profile.json';

  test('what is chosen is what the command’s scheduler chooses, and no server is asked', () =>
    visit(view, async (page) => {
      await page.locator('.decision').waitFor();
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      await slide(page, /^At least right/, 0);
      const profile = parseSplitProfile(JSON.parse(readFileSync(join(folder, 'split-profile.json'), 'utf8')));
      const chosen = new Set<number>();
      const ours = openSplitPolicy('ours', profile);
      for (const [power, device] of [
        [3, 3],
        [-1.5, 0],
      ] as const) {
        await slide(page, /^Link/, power);
        await slide(page, /^The device/, device);
        const conditions = {
          ...{ deviceScale: 10 ** device, serverScale: 1, latencyMs: 5 },
          bytesPerMs: bytesPerMs(10 ** power),
        };
        const goals = {
          constraints: [{ metric: 'accuracy', op: '>=', value: 0 }],
          targets: [{ metric: 'latency', goal: 'min' }],
        } as const;
        const plan = ours.decide(goals, conditions);
        const cost = costOf(plan, conditions);
        expect(await page.locator('.tile', { hasText: 'an image takes' }).locator('b').innerText()).toBe(
          milliseconds(cost.latency),
        );
        const only = plan.cut === 0 ? 'server only' : plan.cut === profile.cuts.length - 1 ? 'device only' : undefined;
        expect(await decision(page)).toMatch(only ?? new RegExp(`^${plan.cut}: `));
        chosen.add(plan.cut);
      }
      expect(chosen.size).toBe(2);
      expect(asked).toEqual([]);
    }));

  test('an accuracy that nothing reaches is said', () =>
    visit(view, async (page) => {
      await slide(page, /^At least right/, 100);
      await page.getByText('Nothing is right that often').waitFor();
    }));

  test('a minute is replayed on a link of the list and on an own trace; what is no trace says so', () =>
    visit(view, async (page) => {
      const play = page.getByRole('button', { name: 'Play' });
      await play.click();
      const table = page.getByRole('region', { name: 'Policies over the minute' });
      await table.waitFor();
      expect(await page.locator('.plot-holder svg').count()).toBe(3);
      const before = await table.innerText();
      const trace = page.locator('input[type=file]');
      const packets = Array.from({ length: 400 }, (_, i) => String(Math.floor(i / 4) * 100)).join('\n');
      await trace.setInputFiles({ name: 'slow.txt', mimeType: 'text/plain', buffer: Buffer.from(packets) });
      const chosen = page.getByLabel('Link', { exact: true }).locator('option:checked');
      await expect.poll(() => chosen.innerText()).toBe('slow.txt');
      await play.click();
      await expect.poll(() => table.innerText()).not.toBe(before);
      await trace.setInputFiles({ name: 'no.txt', mimeType: 'text/plain', buffer: Buffer.from('what?') });
      await page.getByRole('alert').waitFor();
    }));

  test('a file that is no split profile says so', () =>
    visit('split?path=broken-split.json', (page) => page.getByRole('alert').waitFor()));
});
