/** @file What every view owes its readers: contrast in both themes, phones, keys, little to load. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { browserTest } from '../browser/harness.js';
import { buildPage, fits, studioPages } from './studio-page.js';
import { fullWorkspace } from './studio-workspace.js';

/** Every view, and what shows it whole. */
const VIEWS: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  home: (page) => page.getByRole('heading', { name: 'Models' }).waitFor(),
  'model?path=progressive.onnx': async (page) => {
    await page.getByRole('application').waitFor();
    await page.getByLabel('Cut between device and server').selectOption({ index: 4 });
    await page.getByRole('searchbox').fill('gemm');
  },
  designs: (page) => page.locator('.tile').first().waitFor(),
  try: async (page) => {
    await page.locator('.thumbs button').first().click();
    await page.getByText('Taken for').waitFor();
  },
  split: async (page) => {
    await page.getByRole('button', { name: 'Play' }).click();
    await page.getByRole('region', { name: 'Policies over the minute' }).waitFor();
  },
  'runs?start=adapt': (page) => page.getByText('No run was started').waitFor(),
  'compare?a=backbone.onnx&b=progressive.onnx': (page) => page.getByRole('row', { name: /^MACs/ }).waitFor(),
  lab: (page) => page.getByText('There is no device lab').waitFor(),
  audit: (page) => page.getByRole('region', { name: 'Networks' }).waitFor(),
  nowhere: (page) => page.getByRole('alert').waitFor(),
};

/** In the page: texts whose contrast with what is painted behind them is below WCAG AA (1.4.3), and how low. */
const POOR = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    const node = element.closest?.('g.node, g.badge');
    if (node) for (const part of node.querySelectorAll(':scope > rect')) {
      const style = getComputedStyle(part);
      const [r, g, b, a] = rgba(style.fill);
      layers.unshift([r, g, b, a * Number(style.fillOpacity)]);
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.textContent.trim();
    if (text === '' || element.closest('script, style, noscript, title, .unseen, :disabled, datalist') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), ground);
    const [light, dark] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    texts++;
    if (ratio < (large ? 3 : 4.5)) found.push(text.slice(0, 40) + ': ' + ratio.toFixed(2));
  }
  return { texts, found };
})()`;

interface Poor {
  readonly texts: number;
  readonly found: readonly string[];
}

describe.skipIf(!browserTest)('every view', { timeout: 60_000 }, () => {
  const { visit } = studioPages(fullWorkspace);

  test.each(Object.entries(VIEWS))('%s: contrast by light and in the dark, and no wider than a phone', (view, show) =>
    visit(view, async (page) => {
      await show(page);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const { texts, found } = await page.evaluate<Poor>(POOR);
        expect(texts).toBeGreaterThan(10);
        expect({ colorScheme, found }).toEqual({ colorScheme, found: [] });
      }
      await page.setViewportSize({ width: 390, height: 760 });
      expect(await fits(page)).toBe(true);
      const edge = "document.querySelector('nav [aria-current]')?.getBoundingClientRect().right ?? 0";
      await expect.poll(() => page.evaluate<number>(edge)).toBeLessThanOrEqual(390);
    }),
  );

  test('what is too pale would be found', () =>
    visit('home', async (page) => {
      await page.getByRole('heading', { name: 'Models' }).waitFor();
      await page.addStyleTag({ content: 'main td { color: #8a8a8a !important }' });
      const { found } = await page.evaluate<Poor>(POOR);
      expect(found.join()).toMatch(/KiB: 3\.4/);
    }));

  test('the theme is chosen by button and kept', () =>
    visit('home', async (page) => {
      await page.getByRole('button', { name: 'Theme: system' }).click();
      await page.getByRole('button', { name: 'Theme: light' }).click();
      const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
      const dark = await ground();
      await page.reload();
      await page.getByRole('button', { name: 'Theme: dark' }).waitFor();
      expect(await ground()).toBe(dark);
      await page.getByRole('button', { name: 'Theme: dark' }).click();
      expect(await ground()).not.toBe(dark);
    }));

  test('by keys alone: past the navigation, through every control, each with its place shown', () =>
    visit('designs', async (page) => {
      await page.locator('.tile').first().waitFor();
      await page.evaluate('document.activeElement.blur(); getSelection().removeAllRanges()');
      await page.getByRole('link', { name: 'To the content' }).focus();
      await page.keyboard.press('Enter');
      expect(await page.evaluate<string>('document.activeElement.id')).toBe('main');
      const controls = await page.evaluate<number>(
        "document.querySelectorAll('main :is(a[href], button, input, select)').length",
      );
      const reached = new Set<string>();
      for (let i = 0; i < controls + 8; i++) {
        await page.keyboard.press('Tab');
        const at = await page.evaluate<{ place: string; outline: string }>(`(() => {
          const active = document.activeElement;
          const all = [...document.querySelectorAll('main :is(a[href], button, input, select)')];
          return { place: String(all.indexOf(active)), outline: active === document.body ? 'body' : getComputedStyle(active).outlineStyle };
        })()`);
        if (at.outline === 'body') break;
        expect(at.outline).not.toBe('none');
        if (at.place !== '-1') reached.add(at.place);
      }
      expect(reached.size).toBe(controls);
      // The slider moves by keys, and the answer with it.
      const slider = page.getByRole('slider', { name: /^Budget/ });
      await slider.focus();
      const before = await slider.getAttribute('aria-valuetext');
      await page.keyboard.press('ArrowRight');
      expect(await slider.getAttribute('aria-valuetext')).not.toBe(before);
    }));
});

describe.skipIf(!browserTest)('what is loaded', { timeout: 60_000 }, () => {
  test('the first page has less than 300 KB gzip; no runtime is in the page, nor an address of another host', async () => {
    const app = await buildPage();
    const html = readFileSync(join(app, 'index.html'), 'utf8');
    const first = ['index.html', ...[...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, path]) => path!)];
    expect(first.length).toBeGreaterThanOrEqual(3);
    const bytes = first.reduce((sum, path) => sum + gzipSync(readFileSync(join(app, path))).length, 0);
    expect(bytes).toBeLessThan(300_000);
    const files = readdirSync(join(app, 'assets'));
    expect(files.filter((name) => name.endsWith('.wasm'))).toEqual([]);
    const all = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(app, 'assets', name))).length, 0);
    expect(all).toBeLessThan(300_000);
    expect(html).not.toMatch(/https?:\/\//);
  });
});
