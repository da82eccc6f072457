/** @file As a new user: the command over a demo's folder, then the budget, an image, the split, in one sitting. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserTest, openChromium, root, type Chromium } from '../browser/harness.js';
import { demoLikeWorkspace } from './studio-workspace.js';

describe.skipIf(!browserTest)('a first hour', { timeout: 60_000 }, () => {
  let chromium: Chromium;
  let command: ChildProcess;
  let url = '';
  let ended: Promise<number | null>;
  beforeAll(async () => {
    const folder = await demoLikeWorkspace();
    command = spawn(process.execPath, [join(root, 'dist/cli/main.js'), 'studio', folder, '--port', '0', '--json']);
    ended = new Promise((resolve) => command.once('close', resolve));
    url = await new Promise((resolve, reject) => {
      let text = '';
      command.stderr!.on('data', (part: Buffer) => {
        text += part.toString();
        const found = /open at (http:\/\/127\.0\.0\.1:\d+\/)/.exec(text)?.[1];
        if (found !== undefined) resolve(found);
      });
      command.once('close', () => reject(new Error(text)));
    });
    chromium = await openChromium();
  });
  afterAll(async () => {
    command?.kill('SIGKILL');
    await chromium?.close();
  });

  test('demo folder → studio → move the budget → try an image → read the split → Ctrl-C', async () => {
    await using opened = await chromium.open(url, { awaitReady: false });
    const { page } = opened;
    const foreign: string[] = [];
    page.on('request', (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(url)) foreign.push(request.url());
    });
    await page.getByRole('link', { name: 'Move the budget' }).click();
    const accuracy = page.locator('.tile', { hasText: 'accuracy' }).locator('b');
    await accuracy.waitFor();
    const slider = page.getByRole('slider', { name: /^Budget/ });
    await slider.fill('25');
    const little = parseFloat(await accuracy.innerText());
    await slider.fill('100');
    expect(parseFloat(await accuracy.innerText())).toBeGreaterThan(little);

    await page.getByRole('link', { name: 'Try an image with this design' }).click();
    await page.getByRole('button', { name: 'digit.png' }).click();
    await page.getByText('Taken for').waitFor();
    expect(await page.locator('.verdict').innerText()).toMatch(/stopped it in/);

    await page.getByRole('link', { name: 'Split', exact: true }).click();
    await page.locator('.decision').waitFor();
    expect(await page.getByText(/Where the time goes: device .* · link .* · server/).count()).toBe(1);
    expect(foreign).toEqual([]);
    expect(opened.console.filter((line) => line.startsWith('error'))).toEqual([]);

    command.kill('SIGINT');
    expect(await ended).toBe(0);
    // What is open says so, and what to do.
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.getByText('The studio does not answer.').waitFor();
    await page.getByText(/cuttle studio/).waitFor();
  });
});
