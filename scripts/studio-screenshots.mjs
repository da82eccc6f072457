/**
 * Takes the pictures of docs/pictures: every view of the studio in Chromium, over a folder that `cuttle demo` left, with an
 * audit in `audit/` and a lab in `lab/` whose server runs.
 *
 * node scripts/studio-screenshots.mjs FOLDER [OUT] [VIEW…]      (after `npm run setup`)
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { openStudio } from '../dist/studio/index.js';
import { studioPictures } from './studio-pictures.mjs';

const [folder = 'cuttle-demo', out = 'docs/pictures', ...only] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const studio = await openStudio({ folder: resolve(folder), port: 0, version: '0.1.0' });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});
for (const { name, view, width, height, scheme, prepare } of studioPictures) {
  if (only.length > 0 && !only.some((part) => name.includes(part))) continue;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  const page = await context.newPage();
  await page.goto(`${studio.url}#/${view}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await prepare?.(page);
  await page.evaluate('document.activeElement?.blur()');
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(out, `studio-${name}.png`) });
  process.stderr.write(`${name}\n`);
  await context.close();
}
await browser.close();
await studio.close();
