/** @file The report of an audit: what it holds, that it stays one file, and that hostile names stay text. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { compareRuns, studyOf } from '../../src/audit/store/index.js';
import { renderAuditReport } from '../../src/report/index.js';
import { appRecord, digest, scratch, writeRun } from './store-records.js';

const HOSTILE = `"><img src=x onerror=alert(1)></details><script>alert(2)</script>`;

const apps = [
  appRecord('org.one', {
    models: [
      {
        name: 'base',
        path: 'one.apk!/assets/face.tflite',
        task: { modality: 'vision', task: 'face-detection' },
        macs: 4_000_000,
        layers: ['a', 'b', 'c', 'd'],
      },
    ],
  }),
  appRecord('org.two', {
    models: [
      { name: 'tuned', path: `two.apk!/assets/${HOSTILE}.tflite`, macs: 5_000_000, layers: ['a', 'b', 'c', 'e'] },
      { name: HOSTILE, path: 'two.apk!/b.bin', confidence: 'suspected', disguise: 'encrypted', unread: HOSTILE },
    ],
  }),
  appRecord(HOSTILE, {
    models: [{ name: 'base', path: 'three.apk!/x.tflite', macs: 4_000_000, layers: ['a', 'b', 'c', 'd'] }],
  }),
];
const measured = {
  schema: 1,
  model: digest('base'),
  device: HOSTILE,
  backend: 'cpu',
  batch: 1,
  latencyMs: { p50: 2, p90: 3, mean: 2 },
} as const;

describe('the page', async () => {
  const folder = writeRun(scratch(), apps, { a: measured });
  const { study } = await studyOf(folder);
  const page = renderAuditReport({ title: HOSTILE, study });

  test('shows the figures, a section per app and per model, and links that lead there', () => {
    for (const heading of [
      'Frameworks',
      'Tasks',
      'Sizes',
      'Optimisation',
      'Uniqueness',
      'Lineage',
      'Latency and energy',
    ])
      expect(page).toContain(`<h2>${heading}</h2>`);
    expect(page.match(/<details class="entry" id="app-/g)).toHaveLength(3);
    expect(page.match(/<details class="entry" id="model-/g)).toHaveLength(3);
    const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    expect(ids.size).toBe([...page.matchAll(/ id="(?!made)([^"]+)"/g)].length + 1);
    const broken = [...page.matchAll(/href="#([^"]*)"/g)].filter(([, target]) => !ids.has(target));
    expect(broken).toEqual([]);
  });

  test('keeps hostile names text', () => {
    expect(page).not.toContain('<img');
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page.match(/<details/g)!.length).toBe(page.match(/<\/details>/g)!.length);
    expect(page).toContain('alert(1)');
  });

  test('asks nothing of any host, and allows its own script alone', () => {
    expect([...page.matchAll(/(?:src|href)="(?!#)([^"]*)"/g)]).toEqual([]);
    const script = /<script>([\s\S]*?)<\/script>/.exec(page)![1]!;
    const checksum = createHash('sha256').update(script).digest('base64');
    expect(page).toContain(
      `default-src 'none';style-src 'unsafe-inline';img-src data:;script-src 'sha256-${checksum}'`,
    );
  });

  test('says what changed since an earlier audit', async () => {
    const before = writeRun(scratch(), apps.slice(0, 1));
    const changed = renderAuditReport({ title: 'x', study, change: await compareRuns(before, folder) });
    expect(changed).toContain('<h2>Since the earlier audit</h2>');
    expect(changed).toMatch(/2\s+models\s+that\s+were\s+added/);
    const cells = /<td>models<\/td>\s*((?:<td class="n">\d+<\/td>\s*)+)/.exec(changed)![1]!;
    expect([...cells.matchAll(/\d+/g)].map(Number)).toEqual([1, 3, 2, 0, 0, 1]);
  });
});

test('a run without models is a page, too', async () => {
  const { study } = await studyOf(writeRun(scratch(), []));
  const page = renderAuditReport({ title: 'nothing', study });
  expect(page).not.toContain('NaN');
  expect(page).toContain('0 apps');
});
