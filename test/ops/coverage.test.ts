/** @file docs/coverage.md says what the tables say, and the tables hold what users are told they hold. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { coverageMarkdown, gradientNotes, knownOps, opKey, operatorCoverage } from '../../src/ops/index.js';

const file = new URL('../../docs/coverage.md', import.meta.url);

test('docs/coverage.md is up to date (node scripts/coverage.mjs, or CUTTLE_UPDATE=1 with this test, rewrites it)', () => {
  if (process.env.CUTTLE_UPDATE) writeFileSync(file, coverageMarkdown());
  expect(existsSync(file) ? readFileSync(file, 'utf8') : '').toBe(coverageMarkdown());
});

test('the families that users bring have shapes and costs', () => {
  const rows = operatorCoverage();
  expect(rows.filter((row) => row.shape).length).toBeGreaterThanOrEqual(200);
  // Trees and support vectors: their work depends on the data.
  const uncosted = rows.filter((row) => row.shape && !row.cost).map((row) => row.op);
  expect(uncosted).toEqual(['SVMClassifier', 'SVMRegressor', 'TreeEnsembleClassifier', 'TreeEnsembleRegressor']);
  expect(rows.filter((row) => row.cost && !row.shape)).toEqual([]);
});

test('a reason is given only for operators that are known and have no gradient', () => {
  const known = new Map(knownOps().map((record) => [opKey(record.op, record.domain), record]));
  for (const key of Object.keys(gradientNotes)) {
    expect(known.has(key), key).toBe(true);
    expect(known.get(key)!.vjp ?? known.get(key)!.expand, key).toBeUndefined();
  }
});

test('an operator is differentiated in one way, and each without a gradient has its reason', () => {
  for (const { op, domain, vjp, expand } of knownOps()) expect(vjp && expand, opKey(op, domain)).toBeUndefined();
  const unexplained = operatorCoverage().filter((row) => !row.gradient && row.note.trim() === '');
  expect(unexplained.map((row) => opKey(row.op, row.domain))).toEqual([]);
});

test('at least 120 operators of ai.onnx have a gradient', () => {
  expect(operatorCoverage().filter((row) => row.domain === 'ai.onnx' && row.gradient).length).toBeGreaterThanOrEqual(
    120,
  );
});
