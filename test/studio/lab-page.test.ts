/** @file The device lab in Chromium: devices as they come and go, jobs given and taken back, results, a lab without its server. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encodeModel } from '../../src/onnx/index.js';
import { startLab, type Lab } from '../../src/measure/lab/server.js';
import { browserTest } from '../browser/harness.js';
import { agentOf, fakeAgent, labFolder, smallModel } from '../lab/labs.js';
import { studioPages } from './studio-page.js';

describe.skipIf(!browserTest)('device lab', { timeout: 60_000 }, () => {
  let lab: Lab | undefined;
  const here = new AbortController();
  const { visit } = studioPages(async () => {
    const folder = labFolder();
    writeFileSync(join(folder, 'net.onnx'), encodeModel(smallModel()));
    lab = await startLab({ folder: join(folder, 'lab'), port: 0, leaseMs: 1500 });
    return folder;
  });
  afterAll(async () => {
    here.abort();
    await lab?.close();
  });

  test('a device joins, measures, cannot be given a cancelled job, and leaves', () =>
    visit('lab', async (page) => {
      await page.getByText('No device has joined yet').waitFor();
      expect(await page.getByText(/cuttle lab join http/).innerText()).toContain(lab!.file.joinToken);
      // Without a device the job waits, and can be taken back.
      await page.getByRole('button', { name: 'Measure', exact: true }).click();
      await page.getByText('1 of 1 jobs are new').waitFor();
      await page.getByRole('button', { name: /^Cancel latency of net.onnx/ }).click();
      await page.locator('.tag.cancelled').waitFor();

      const gone = fakeAgent(agentOf(lab!), 'phone', { waitMs: 300, signal: here.signal }).catch(() => undefined);
      const card = page.locator('.device', { hasText: 'phone' });
      await card.getByText('waiting').waitFor();
      await page.getByLabel('Device', { exact: true }).selectOption('phone');
      await page.getByRole('button', { name: 'Measure', exact: true }).click();
      const results = page.getByRole('region', { name: 'Results' });
      await results.waitFor();
      expect(await results.locator('tbody tr').innerText()).toMatch(/phone\s+net\.onnx\s+latency\s+CPU, 1 threads\s+1/);
      await page.getByRole('button', { name: 'Measure', exact: true }).click();
      await page.getByText('This was measured already').waitFor();
      here.abort();
      await gone;
      await card.getByText(/gone since/).waitFor();
    }));

  test('without its server a lab shows what it knew, and can be started from here', () =>
    visit('lab', async (page) => {
      await page.locator('.device').waitFor();
      await lab!.close();
      await page.getByText('No server runs this lab').waitFor();
      expect(await page.getByRole('region', { name: 'Results' }).locator('tbody tr').count()).toBe(1);
      await page.getByRole('button', { name: 'Start', exact: true }).click();
      await page.getByRole('heading', { name: 'Measure a model' }).waitFor();
    }));
});
