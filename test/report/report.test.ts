/** @file The HTML report: complete, self-contained, safe, well formed, readable. */
import { describe, expect, it } from 'vitest';
import { html, pageStyle, renderAdaptReport, svgFile, xyPlot, type AdaptReportData } from '../../src/report/index.js';
import { sampleReport } from './sample.js';

const VOID = new Set(['meta', 'img', 'br', '!doctype']);

/** Throws unless every element is closed in order; returns the element names met. */
function checkWellFormed(markup: string): Set<string> {
  const open: string[] = [];
  const names = new Set<string>();
  for (const [, closing, name, rest] of markup
    .replace(/<style>[^]*?<\/style>/g, '')
    .matchAll(/<(\/?)([!a-zA-Z][\w]*)((?:"[^"]*"|[^>"])*)>/g)) {
    names.add(name!.toLowerCase());
    if (closing) {
      if (open.pop() !== name) throw new Error(`</${name}> closes nothing`);
    } else if (!rest!.endsWith('/') && !VOID.has(name!.toLowerCase())) open.push(name!);
  }
  if (open.length > 0) throw new Error(`${open.join(', ')} left open`);
  return names;
}

describe('report', () => {
  const page = renderAdaptReport(sampleReport());

  it('is one well-formed file that loads nothing', () => {
    const names = checkWellFormed(page);
    for (const name of ['script', 'link', 'iframe', 'object', 'base']) expect(names.has(name)).toBe(false);
    expect(page).not.toMatch(/(?:src|href)="(?!data:|#)/);
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(|@import/);
    expect(page).toContain("default-src 'none'");
  });

  it('says what was found', () => {
    const text = page.replace(/\u00a0/g, ' ');
    for (const said of [
      '3.96×',
      '84.8 %',
      '−1.8 pp',
      'BranchyNet, 2 exits',
      'exit 12 → exit 24 → final',
      'is airplane',
      'progressive.onnx',
      'The 10 slowest nodes',
      '126 M MACs',
      '(not met)',
    ])
      expect(text, said).toContain(said);
    // Both sizes of the front and of the layers, the histograms, the curves.
    expect(page.match(/<svg /g)).toHaveLength(2 + 2 + 2 + 2);
    expect(page.match(/<svg [^>]*role="img" aria-label="[^"]+"/g)).toHaveLength(8);
    expect(page.match(/<img [^>]*alt="[^"]+"/g)).toHaveLength(27);
  });

  it('shows names from files as text, whatever they hold', () => {
    const evil = '<script>alert(1)</script>"\'&';
    const data = sampleReport();
    const hostile: AdaptReportData = {
      ...data,
      title: evil,
      command: evil,
      notes: [evil],
      model: { ...data.model, name: evil },
      device: [[evil, evil]],
      layers: [{ name: evil, op: evil, ms: 1, exit: evil }],
      front: [{ name: evil, kind: 'designs', points: [{ latency: 1, accuracy: 0.5, label: evil }] }],
      budgets: [{ label: evil, latencyMs: 1 }],
      examplesByExit: [
        { exit: evil, images: [{ src: 'https://example.org/x.png', label: evil, predicted: evil, confidence: 1 }] },
      ],
    };
    const text = renderAdaptReport(hostile);
    expect(text).not.toContain('<script');
    expect(text).not.toContain('example.org');
    checkWellFormed(text);
  });

  it('leaves out sections without data', () => {
    const data = sampleReport();
    const bare = renderAdaptReport({
      ...data,
      front: [],
      designs: [],
      baselines: [],
      exitHistograms: [],
      layers: [],
      examplesByExit: [],
      training: [],
      notes: [],
      artefacts: undefined,
      command: undefined,
      date: undefined,
    });
    checkWellFormed(bare);
    expect(bare).not.toContain('<svg');
    expect(bare.match(/<h2>/g)).toHaveLength(1);
  });

  it('draws odd numbers without breaking', () => {
    const data = sampleReport();
    const odd = renderAdaptReport({
      ...data,
      latencyScale: 'log',
      front: [
        { name: 'one', kind: 'designs', points: [{ latency: 3, accuracy: 0.5 }] },
        { name: 'none', kind: 'baseline', points: [] },
      ],
      layers: [{ name: 'a', op: 'Conv', ms: 0 }],
      exitHistograms: [{ design: 'x', exits: [{ name: 'final', share: 0 }] }],
      training: [{ title: 'short', xLabel: 'epoch', yLabel: 'loss', series: [{ name: 'a', points: [[1, 2]] }] }],
    });
    checkWellFormed(odd);
    expect(odd).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('has colours with enough contrast in both schemes', () => {
    const schemes = [...pageStyle().matchAll(/\{[^{}]*--page:[^{}]*\}/g)].map(([rules]) =>
      Object.fromEntries([...rules.matchAll(/--([\w]+):(#[0-9a-f]{6})/g)].map(([, name, value]) => [name!, value!])),
    );
    expect(schemes).toHaveLength(2);
    for (const colours of schemes)
      for (const ground of [colours['card']!, colours['page']!]) {
        for (const name of ['text', 'quiet', 'good', 'bad', 'accent'])
          expect(contrast(colours[name]!, ground), name).toBeGreaterThanOrEqual(4.5);
        for (let i = 0; i < 6; i++) expect(contrast(colours[`s${i}`]!, ground), `s${i}`).toBeGreaterThanOrEqual(3);
      }
  });
});

it('escapes values in templates and keeps markup', () => {
  expect(html`<p>${'a < b'} ${html`<b>${1}</b>`} ${[html`<i>x</i>`]}${undefined}</p>`.text).toBe(
    '<p>a &#60; b <b>1</b> <i>x</i></p>',
  );
});

it('makes plots that stand alone', () => {
  const file = svgFile(
    xyPlot({ title: 'x', xLabel: 'a', yLabel: 'b', series: [{ name: 's', style: 0, points: [{ x: 1, y: 2 }] }] }),
  );
  expect(file).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"[^>]*><style>/);
  checkWellFormed(file);
});

/** WCAG 2.2 contrast ratio. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string): number => {
    const [r, g, bl] = [1, 3, 5].map((at) => {
      const value = parseInt(colour.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * bl!;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}
