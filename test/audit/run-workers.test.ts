/** @file Runs over a collection: the same records whoever does what, and workers that die, hang or eat memory. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  DEFAULT_WORKER_BYTES,
  findFiles,
  localExecutor,
  modelBytesWithin,
  readRecords,
  runAudit,
  RunFolder,
  type AppRecord,
  type RunSummary,
  type WorkerOptions,
} from '../../src/audit/node.js';
import {
  apk,
  hostileWorker,
  journalOf,
  onnxModel,
  put,
  recordsOf,
  scratch,
  workersBuilt,
  writeCorpus,
} from './corpus.js';

/** Runs over a folder and gives the summary without what differs from run to run. */
async function audit(
  apps: string,
  out: string,
  options: Partial<WorkerOptions> & { readonly signal?: AbortSignal; readonly onDone?: (done: number) => void } = {},
): Promise<RunSummary> {
  const { signal, onDone, ...workers } = options;
  await using folder = await RunFolder.open(out, { paths: [apps] }, () => findFiles([apps], out));
  await using executor = localExecutor({ workers: 2, workFolder: folder.work, ...workers });
  return await runAudit(folder, {
    executor,
    maxModelBytes: modelBytesWithin(workers.memoryBytes ?? DEFAULT_WORKER_BYTES),
    ...(signal && { signal }),
    onProgress: ({ done }) => onDone?.(done),
  });
}

async function allRecords(out: string): Promise<readonly AppRecord[]> {
  const records: AppRecord[] = [];
  for await (const record of readRecords(out)) records.push(record);
  return records;
}

describe.skipIf(!workersBuilt)('a run', () => {
  test('gives every app one record, models in it; the same bytes with one worker and with three', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    const { different, models } = writeCorpus(apps, 30);
    const one = await audit(apps, join(folder, 'one'), { workers: 1 });
    const three = await audit(apps, join(folder, 'three'), { workers: 3 });
    expect(recordsOf(join(folder, 'three'))).toEqual(recordsOf(join(folder, 'one')));
    expect({ ...three, seconds: 0 }).toEqual({ ...one, seconds: 0 });
    expect(one).toMatchObject({ items: 32, apps: different, nothing: 2, doneNow: 32, failed: [], unavailable: [] });
    expect(one.duplicates).toBe(30 - different);
    expect(one.models).toBe(models);
    expect(one.formats).toEqual({ onnx: models });
    // Records in the order of the plan, each once; of copies the first names it.
    const records = await allRecords(join(folder, 'one'));
    const locators = records.map(({ origin }) => origin.locator);
    expect(new Set(locators).size).toBe(different);
    expect(locators).toEqual([...locators].sort());
    const model = records.find(({ models }) => models.length > 0)!.models[0]!;
    expect(model.content).toMatchObject({ status: 'read', totals: { storedParams: 61_706 } });
    expect(model.path).toMatch(/^app-\d+\.apk!\/assets\/net\.dat$/);
    expect(readdirSync(join(folder, 'one')).sort()).toEqual(['journal.jsonl', 'plan.jsonl', 'records', 'run.json']);
  });

  test('names the first of two copies, whichever was done first', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    const app = apk(1, { 'a.onnx': onnxModel(1) });
    put(apps, 'a-first.apk', app);
    put(apps, 'b-second.apk', app);
    const out = join(folder, 'out');
    // The second alone is done first: its record stands when the first is audited.
    const summary = await (async () => {
      await using run = await RunFolder.open(out, { paths: [apps] }, () => findFiles([apps], out));
      await using executor = localExecutor({ workers: 1, workFolder: run.work });
      const items = [];
      for await (const item of run.items()) items.push(item);
      const outcome = await executor.run(
        { item: items[1]!, file: items[1]!.file!, records: run.records, maxModelBytes: 1 << 20 },
        new AbortController().signal,
      );
      if (outcome.status !== 'recorded') throw new Error(outcome.status);
      await run.note({ item: 1, outcome });
      return await runAudit(run, { executor, maxModelBytes: 1 << 20 });
    })();
    expect(summary).toMatchObject({ apps: 1, duplicates: 1, doneNow: 1, models: 1 });
    const other = join(folder, 'alone');
    await audit(apps, other);
    expect(recordsOf(out)).toEqual(recordsOf(other));
    expect((await allRecords(out))[0]!.models[0]!.path).toBe('a-first.apk!/assets/a.onnx');
  });

  test('tries an app that kills its worker once more, then records why it failed; the rest is not touched', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    for (const [i, name] of [
      'die',
      'eat',
      'good-a',
      'hang',
      'heap',
      'once-die',
      'once-hang',
      'throw',
      'good-b',
    ].entries())
      put(apps, `${name}.apk`, apk(i, { 'a.onnx': onnxModel(i) }));
    const out = join(folder, 'out');
    const summary = await audit(apps, out, { script: hostileWorker(folder), timeMs: 3000, memoryBytes: 200 * 2 ** 20 });
    const failed = Object.fromEntries(summary.failed.map(({ locator, reason }) => [locator, reason]));
    expect(failed).toEqual({
      'die.apk': expect.stringMatching(/failed twice: its process ended by SIGKILL/) as string,
      'eat.apk': 'the audit failed twice: it needed more than 200 MiB of memory',
      'hang.apk': 'the audit failed twice: it took longer than 3 s',
      'heap.apk': expect.stringMatching(/failed twice: it (ran out of memory|needed more than 200 MiB)/) as string,
      'throw.apk': 'internal error: a defect',
    });
    expect(summary).toMatchObject({ apps: 9, models: 4, doneNow: 9 });
    const records = await allRecords(out);
    expect(records.map(({ identifier, app }) => [identifier, app !== null])).toContainEqual(['once-hang.apk', true]);
    expect(records.find(({ identifier }) => identifier === 'die.apk')).toMatchObject({
      app: null,
      failure: failed['die.apk'],
      models: [],
    });
    expect(existsSync(join(out, 'work'))).toBe(false);
  });

  test('ends at once when it is told to, and goes on from there', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    writeCorpus(apps, 30);
    const out = join(folder, 'out');
    const controller = new AbortController();
    const stopped = audit(apps, out, {
      signal: controller.signal,
      onDone: (done) => done >= 8 && controller.abort(new Error('enough')),
    });
    await expect(stopped).rejects.toThrow('enough');
    const before = journalOf(out).length;
    expect(before).toBeGreaterThanOrEqual(8);
    const summary = await audit(apps, out);
    expect(summary.doneNow).toBe(32 - before);
    await audit(apps, join(folder, 'clean'));
    expect(recordsOf(out)).toEqual(recordsOf(join(folder, 'clean')));
    expect((await audit(apps, out)).doneNow).toBe(0);
  });

  test('tells files that are gone, and audits them when they are back', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    put(apps, 'a.apk', apk(1));
    const lost = put(apps, 'b.apk', apk(2));
    const out = join(folder, 'out');
    await (await RunFolder.open(out, { paths: [apps] }, () => findFiles([apps], out)))[Symbol.asyncDispose]();
    rmSync(lost);
    const first = await audit(apps, out);
    expect(first.unavailable).toEqual([
      { locator: 'b.apk', reason: expect.stringMatching(/does not exist/) as string },
    ]);
    put(apps, 'b.apk', apk(2));
    expect(await audit(apps, out)).toMatchObject({ apps: 2, doneNow: 1, unavailable: [] });
  });

  test('one process at a time; another run is refused', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    put(apps, 'a.apk', apk(1));
    const out = join(folder, 'out');
    {
      await using held = await RunFolder.open(out, { paths: [apps] }, () => findFiles([apps], out));
      expect(held.resumed).toBe(false);
      await expect(audit(apps, out)).rejects.toMatchObject({ code: 'platform/locked' });
    }
    await expect(RunFolder.open(out, { paths: ['other'] }, () => findFiles([], out))).rejects.toMatchObject({
      code: 'audit/run-folder',
      kind: 'usage',
    });
    // A refused opening leaves no lock behind.
    expect((await audit(apps, out)).apps).toBe(1);
  });

  test('reads an ncnn network with the weights beside it', async () => {
    const folder = scratch();
    const param = ['7767517', '2 2', 'Input in 0 1 in 0=4', 'InnerProduct fc 1 1 in out 0=2 1=1 2=8'].join('\n');
    const weights = new Uint8Array(
      new Float32Array([0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((x, i) => (i === 0 ? 0 : x))).buffer,
    );
    const apps = join(folder, 'apps');
    put(apps, 'net.param', param);
    put(apps, 'net.bin', weights);
    put(apps, 'app.apk', apk(1, { 'net.param': new TextEncoder().encode(param), 'net.bin': weights }));
    put(apps, 'alone.apk', apk(2, { 'net.param': new TextEncoder().encode(param) }));
    const out = join(folder, 'out');
    await audit(apps, out);
    const weightsOf = (record: AppRecord): readonly (string | null)[] =>
      record.models.map(({ content }) => (content.status === 'read' ? content.analysis.identity.weights : 'unread'));
    const hashes = Object.fromEntries(
      (await allRecords(out)).map((record) => [record.origin.locator, weightsOf(record)]),
    );
    expect(hashes['app.apk']).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(hashes['net.param']).toEqual(hashes['app.apk']);
    expect(hashes['alone.apk']).toEqual([null]);
  });
});
