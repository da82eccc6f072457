/** @file A studio with its page built from sources, opened in Chromium. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect } from 'vitest';
import { openStudio, type Studio } from '../../src/studio/index.js';
import { openChromium, root, type Chromium } from '../browser/harness.js';

/** Builds the page into a folder of its own; it goes away with the test file. */
export async function buildPage(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), 'cuttle-page-'));
  afterAll(() => rmSync(outDir, { recursive: true, force: true }));
  await build({
    configFile: join(root, 'studio/vite.config.ts'),
    logLevel: 'error',
    build: { outDir, emptyOutDir: true },
  });
  return outDir;
}

/** What the tests of a file share. */
export interface StudioPages {
  /** Opens a view (`model?path=…`) and hands it over; fails where the page reports an error or asks a foreign host. */
  readonly visit: (
    view: string,
    use: (page: Page) => Promise<void>,
    size?: { width: number; height: number },
  ) => Promise<void>;
  readonly studio: () => Studio;
}

/** Opens a studio on a folder, and Chromium, for the tests of a file. */
export function studioPages(folder: () => Promise<string>): StudioPages {
  let studio: Studio;
  let chromium: Chromium;
  beforeAll(async () => {
    studio = await openStudio({ folder: await folder(), port: 0, version: '0', app: await buildPage() });
    chromium = await openChromium();
  }, 120_000);
  afterAll(async () => {
    await chromium?.close();
    await studio?.close();
  });
  return {
    studio: () => studio,
    async visit(view, use, size = { width: 1180, height: 860 }) {
      await using opened = await chromium.open('about:blank', { awaitReady: false });
      const { page } = opened;
      const foreign: string[] = [];
      page.on('request', (request) => {
        if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(studio.url)) foreign.push(request.url());
      });
      await page.setViewportSize(size);
      await page.goto(`${studio.url}#/${view}`);
      await use(page);
      expect(foreign).toEqual([]);
      // Chromium itself writes down every refusal of the server; whether the page shows it is the test's matter.
      const told = /^error: (?!Failed to load resource: the server responded with a status of 4)/;
      expect(opened.console.filter((line) => told.test(line))).toEqual([]);
    },
  };
}

/** Whether the page is no wider than its window, so that nothing must be scrolled sideways. */
export async function fits(page: Page): Promise<boolean> {
  return await page.evaluate('document.documentElement.scrollWidth <= innerWidth');
}
