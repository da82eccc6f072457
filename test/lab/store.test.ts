/** @file Results as tables: rows, CSV, the database beside the journal, Parquet. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ResultView } from '../../src/measure/lab/protocol.js';
import { resultsCsv } from '../../src/measure/lab/result-rows.js';
import { openResultStore, queryResults, writeResultsParquet } from '../../src/measure/lab/result-store.js';
import { openDuckDB } from '../../src/platform/node/duckdb.js';
import { labFolder, madeUp } from './labs.js';

const result = (id: string, change: Partial<ResultView> = {}): ResultView => ({
  id,
  device: null,
  spec: {
    ...{ kind: 'latency', model: 'a'.repeat(64), name: 'net.onnx', backend: 'native', dims: {}, runs: 5, warmup: 1 },
    batch: 4,
  },
  state: 'done',
  attempts: 1,
  submittedAt: 0,
  settledAt: 1000,
  runBy: 'phone',
  value: madeUp(2.5),
  before: { batteryLevel: 0.9 },
  ...change,
});

test('CSV: one line per result, awkward names kept whole and harmless', () => {
  const [head, line, formula] = resultsCsv([
    result('j1', { runBy: 'a "b", c' }),
    result('j2', { runBy: '=1+1' }),
  ]).split('\r\n');
  expect(head).toMatch(/^job,device,kind,model,/);
  expect(line).toMatch(/^j1,"a ""b"", c",latency,net.onnx,a+,native,CPU,onnxruntime-node 1\.30\.0,1,4,2\.5,/);
  expect(formula).toMatch(/^j2,'=1\+1,/);
});

test('the database follows the journal, and is made anew where it is another version’s', async () => {
  const path = join(labFolder(), 'results.duckdb');
  const first = await openResultStore(path, [result('j1')]);
  await Promise.all([first.put(result('j2')), first.put(result('j2')), first.put(result('j3', { value: madeUp(9) }))]);
  await first.close();
  const second = await openResultStore(
    path,
    ['j1', 'j2', 'j3', 'j4'].map((id) => result(id)),
  );
  await second.close();
  {
    await using database = await openDuckDB(path);
    expect(await database.rows('SELECT job, p50_ms, battery_before FROM results ORDER BY job')).toEqual([
      { job: 'j1', p50_ms: 2.5, battery_before: 0.9 },
      { job: 'j2', p50_ms: 2.5, battery_before: 0.9 },
      { job: 'j3', p50_ms: 9, battery_before: 0.9 },
      { job: 'j4', p50_ms: 2.5, battery_before: 0.9 },
    ]);
    await expect(database.run('SELECT nonsense')).rejects.toThrow(/DuckDB refuses/);
    await database.run('ALTER TABLE results DROP COLUMN batch');
  }
  await (await openResultStore(path, [result('j1')])).close();
  await using database = await openDuckDB(path);
  expect(await database.rows('SELECT job, batch FROM results')).toEqual([{ job: 'j1', batch: 4 }]);
});

test('questions in SQL reach the results and nothing else', async () => {
  const results = [result('j1'), result('j2', { value: madeUp(9) })];
  expect(
    await queryResults(results, 'SELECT device, count(*) AS n, max(p50_ms) AS ms FROM results GROUP BY ALL'),
  ).toEqual([{ device: 'phone', n: 2, ms: 9 }]);
  await expect(queryResults(results, "SELECT * FROM read_text('/etc/hostname')")).rejects.toThrow(/disabled/);
  await expect(queryResults(results, 'SET enable_external_access = true')).rejects.toThrow(/locked|DuckDB refuses/);
});

test('Parquet', async () => {
  const path = join(labFolder(), "it's.parquet");
  await writeResultsParquet(path, [result('j1'), result('j2')]);
  await using database = await openDuckDB(':memory:');
  const quoted = path.replaceAll("'", "''");
  expect(await database.rows(`SELECT count(*)::INTEGER AS n, max(p50_ms) AS ms FROM '${quoted}'`)).toEqual([
    { n: 2, ms: 2.5 },
  ]);
});
