/** @file A studio with its page built from sources, opened in Chromium. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect } from 'vitest';
import { openStudio, type Studio } from '../../src/studio/index.js';
import { openChromium, root, type Chromium } from '../browser/harness.js';

/** Newest change among the page's sources: a page built from the same ones is taken again. */
function newestSource(): number {
  const newest = (folder: string): number =>
    Math.max(
      ...readdirSync(folder, { withFileTypes: true }).map((entry) => {
        const path = join(folder, entry.name);
        return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
      }),
    );
  return Math.round(Math.max(newest(join(root, 'src')), newest(join(root, 'studio'))));
}

/** A build that has not ended by then was cut off. */
const BUILD_MS = 100_000;

/** The page, built from sources; once for all test files that want it. Its folder. */
export async function buildPage(): Promise<string> {
  const cache = join(root, 'node_modules/.cache/cuttle-studio');
  const outDir = join(cache, String(newestSource()));
  const lock = `${outDir}.lock`;
  mkdirSync(cache, { recursive: true });
  for (;;) {
    if (existsSync(outDir)) return outDir;
    try {
      mkdirSync(lock);
      break;
    } catch {
      const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
      if (since !== undefined && Date.now() - since > BUILD_MS) rmSync(lock, { recursive: true, force: true });
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  try {
    for (const name of readdirSync(cache)) {
      const path = join(cache, name);
      if (path !== lock && Date.now() - statSync(path).mtimeMs > 10 * BUILD_MS) rmSync(path, { recursive: true });
    }
    await build({
      configFile: join(root, 'studio/vite.config.ts'),
      logLevel: 'error',
      build: { outDir: `${outDir}.new`, emptyOutDir: true },
    });
    renameSync(`${outDir}.new`, outDir);
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
  return outDir;
}

/** What the tests of a file share. */
export interface StudioPages {
  /** Opens a view (`model?path=…`) and hands it over; fails where the page reports an error or asks a foreign host. */
  readonly visit: (
    view: string,
    use: (page: Page) => Promise<void>,
    size?: { width: number; height: number },
    scheme?: 'light' | 'dark',
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
    async visit(view, use, size = { width: 1180, height: 860 }, scheme = 'light') {
      await using opened = await chromium.open('about:blank', { awaitReady: false });
      const { page } = opened;
      const foreign: string[] = [];
      page.on('request', (request) => {
        if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(studio.url)) foreign.push(request.url());
      });
      page.setDefaultTimeout(15_000);
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme: scheme });
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
