/** @file A whole benchmark in small: processes, results, files, comparison, report. No time is asserted. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  benchColumns,
  benchCsv,
  compareBenches,
  configurationName,
  parseBench,
  type BenchResult,
} from '../../src/measure/index.js';
import { benchParquet, runBench } from '../../src/measure/node.js';
import { benchReport } from '../../src/report/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { cuttle, jsonOf, scratchFolder, writeModel } from '../cli/cli.js';

const quick = { warmup: 1, runs: 3, minSeconds: 0, maxSeconds: 1 };
const model = buildArchitecture('lenet-5', { classes: 10, input: [1, 28, 28], seed: 1 });
let result: BenchResult;

beforeAll(async () => {
  result = await runBench({
    models: [{ name: 'lenet', model }],
    sweep: {
      providers: ['native', 'wasm'],
      threads: [1],
      batches: [1, 2],
      precisions: ['int8-static'],
      resolutions: [undefined, [56, 56]],
    },
    openings: 2,
    plan: quick,
    sustained: { seconds: 0.2, windowSeconds: 0.05 },
    samples: true,
  });
}, 120_000);

describe('a result', () => {
  test('is what its schema says, and survives JSON', () => {
    expect(parseBench(JSON.parse(JSON.stringify(result)))).toEqual(result);
  });

  test('has every configuration, those that cannot be among the skipped', () => {
    expect(result.entries).toHaveLength(4);
    expect(result.skipped).toHaveLength(4);
    for (const { reason, configuration } of result.skipped) {
      expect(configuration.resolution).toEqual([56, 56]);
      expect(reason).toMatch(/cannot take/);
    }
    expect(new Set(result.entries.map(({ configuration }) => configurationName(configuration))).size).toBe(4);
  });

  test('each opening has a start, a first run and every sample', () => {
    for (const {
      openings,
      typicalMs,
      latencyMs,
      memory,
      coldStartMs,
      throughput,
      configuration,
      sustained,
    } of result.entries) {
      expect(openings).toHaveLength(2);
      for (const opening of openings) {
        expect(opening.samples!.length).toBe(opening.runs);
        expect(opening.runs).toBeGreaterThanOrEqual(3);
        const { processMs, runtimeMs, readMs, loadMs, firstMs } = opening;
        expect(opening.coldStartMs).toBeCloseTo(processMs! + runtimeMs! + readMs! + loadMs + firstMs, 6);
        expect(processMs).toBeGreaterThan(0);
      }
      expect(latencyMs.runs).toBe(openings.reduce((sum, { runs }) => sum + runs, 0));
      expect(typicalMs.low).toBeLessThanOrEqual(typicalMs.value);
      expect(typicalMs.high).toBeGreaterThanOrEqual(typicalMs.value);
      expect(throughput).toBeCloseTo((1000 * configuration.batch) / typicalMs.value, 6);
      expect(coldStartMs).toBeGreaterThan(0);
      expect(memory!.peakResidentBytes).toBeGreaterThan(memory!.addedBytes);
      expect(sustained!.curve.length).toBeGreaterThan(2);
    }
  });

  test('a static quantisation without data says that it was calibrated on noise', () => {
    expect(result.settings.calibration).toBe('noise');
  });

  test('broken ones are refused by place', () => {
    expect(() => parseBench({ ...result, entries: [{}] })).toThrow(/entries\.0/);
    expect(() => parseBench({ ...result, version: 2 })).toThrow(/version 2/);
    expect(() => parseBench('no')).toThrow(/broken/);
  });
});

describe('comparison', () => {
  /** The result with times of given openings in its first entry. */
  const withTimes = (times: readonly number[]): BenchResult => {
    const [entry] = result.entries;
    const [opening] = entry!.openings;
    const mean = Math.exp(times.reduce((sum, time) => sum + Math.log(time), 0) / times.length);
    const openings = times.map((p50) => ({ ...opening!, p50 }));
    const [low, high] = [Math.min(...times), Math.max(...times)];
    return { ...result, entries: [{ ...entry!, openings, typicalMs: { value: mean, low, high, level: 0.95 } }] };
  };
  const verdict = (before: readonly number[], after: readonly number[]): string =>
    compareBenches(withTimes(before), withTimes(after)).comparisons[0]!.verdict;

  test('tells faster, slower, the same, noise, and too few', () => {
    const base = [1, 1.02, 0.98, 1.01, 0.99];
    const scaled = (factor: number): number[] => base.map((time) => time * factor);
    expect(verdict(base, scaled(1.3))).toBe('slower');
    expect(verdict(base, scaled(0.7))).toBe('faster');
    expect(verdict([1, 1.001, 0.999, 1, 1], [1.001, 1, 1, 0.999, 1])).toBe('same');
    expect(verdict([1, 1.3, 0.8, 1.1, 0.9], [1.1, 0.85, 1.2, 1.3, 0.9])).toBe('noise');
    expect(verdict([1, 1.01], [2, 2.01])).toBe('too-few');
  });

  test('says what only one of them has', () => {
    const fewer = { ...result, entries: result.entries.slice(1) };
    const { unmatched, comparisons, sameDevice } = compareBenches(result, fewer);
    expect(comparisons).toHaveLength(3);
    expect(unmatched).toMatchObject([{ only: 'before', model: 'lenet' }]);
    expect(sameDevice).toBe(true);
  });
});

describe('files', () => {
  test('CSV has a row per entry, and quotes what needs it', () => {
    const odd = {
      ...result,
      entries: result.entries.map((entry) => ({ ...entry, model: { ...entry.model, name: 'a,"b"' } })),
    };
    const lines = benchCsv([odd]).trimEnd().split('\r\n');
    expect(lines).toHaveLength(5);
    expect(lines[0]!.split(',')).toEqual(benchColumns.map(({ name }) => name));
    expect(lines[1]).toContain('"a,""b"""');
  });

  test('Parquet holds the same numbers', async (context) => {
    const duckdb = await import('@duckdb/node-api').catch(() => undefined);
    if (duckdb === undefined) return context.skip('@duckdb/node-api is not installed');
    const folder = scratch;
    const file = join(folder, 'bench.parquet');
    const { writeFileSync } = await import('node:fs');
    writeFileSync(file, await benchParquet([result]));
    const instance = await duckdb.DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(`SELECT model, threads, typical_ms, accuracy FROM '${file}'`);
    const rows = reader.getRows();
    expect(rows).toHaveLength(4);
    rows.forEach(([name, threads, typical, accuracy], i) => {
      expect([name, threads, accuracy]).toEqual(['lenet', 1n, null]);
      expect(typical).toBeCloseTo(result.entries[i]!.typicalMs.value, 9);
    });
    connection.closeSync();
    instance.closeSync();
  });

  test('the report names every model and refers to nothing outside', () => {
    const html = benchReport(result);
    expect(html).toContain('Benchmark of lenet');
    expect(html).toContain('Sustained runs');
    expect(html).toContain('Throughput over batch size');
    expect(html).not.toMatch(/(src|href)="http/);
  });
});

const scratch = scratchFolder();

describe('the command', () => {
  const file = writeModel(scratch, 'lenet.onnx', model);
  const few = '--openings 2 --runs 2 --warm-up 0 --min-seconds 0 --threads 1'.split(' ');

  test('measures, writes, compares', async () => {
    const [json, html] = [join(scratch, 'a.json'), join(scratch, 'a.html')];
    const document = await jsonOf(['bench', file, ...few, '--batch', '1,2', '--out', json, html]);
    expect(parseBench(document)).toEqual(parseBench(JSON.parse(readFileSync(json, 'utf8'))));
    expect(readFileSync(html, 'utf8')).toContain('<svg');
    const compared = await cuttle(['bench', 'compare', json, json]);
    expect(compared).toMatchObject({ code: 0, err: [] });
    expect(compared.out).toMatch(/lenet/);
    const again = await cuttle(['bench', file, ...few, '--out', json]);
    expect(again.code).toBe(2);
  });

  test.each([
    [[], 2, /no model/],
    [['x.onnx', '--threads', '0'], 2, /--threads/],
    [['x.onnx', '--provider', 'cuda'], 2, /--provider/],
    [['x.onnx', '--sustained', 'long'], 2, /--sustained/],
    [['x.onnx', '--out', 'x.xlsx'], 2, /does not end in/],
    [['compare', 'a.json'], 2, /after/],
  ] as const)('refuses %j', async (argv, code, message) => {
    const outcome = await cuttle(['bench', ...argv]);
    expect(outcome.code).toBe(code);
    expect(outcome.err.join(' ')).toMatch(message);
  });

  test('says why nothing could be measured', async () => {
    const outcome = await cuttle(['bench', file, ...few, '--resolution', '64']);
    expect(outcome.code).toBe(4);
    expect(outcome.err.join(' ')).toMatch(/cannot take a batch of 1 with inputs of 64×64/);
  });
});
