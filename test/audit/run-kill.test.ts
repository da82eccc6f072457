/** @file The command killed (SIGKILL) at any point and started again: nothing is lost, nothing is there twice. */
import { spawn } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, rmSync, truncateSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cuttle, expectRefusal } from '../cli/cli.js';
import { journalOf, recordsOf, scratch, workersBuilt, writeCorpus } from './corpus.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** Starts the command and kills it once the journal has `lines`, or right away; resolves when it is gone. */
async function killedAfter(argv: readonly string[], out: string, lines: number): Promise<'killed' | 'done'> {
  const child = spawn(process.execPath, [main, ...argv], { stdio: 'ignore' });
  const timer = setInterval(() => {
    if (journalOf(out).length >= lines) child.kill('SIGKILL');
  }, 5);
  return await new Promise((done) =>
    child.on('exit', (_, signal) => {
      clearInterval(timer);
      done(signal === 'SIGKILL' ? 'killed' : 'done');
    }),
  );
}

/** Processes of this machine whose command line names `text`. */
function processesNaming(text: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

describe.skipIf(!workersBuilt || process.platform !== 'linux')('a run that is killed', () => {
  test('goes on where it was, as often as it is killed', async () => {
    const folder = scratch();
    const [apps, out, clean] = ['apps', 'out', 'clean'].map((name) => join(folder, name)) as [string, string, string];
    const { different, models } = writeCorpus(apps, 60);
    const argv = ['audit', apps, '--out', out, '--workers', '2'];
    let kills = 0;
    for (const lines of [0, 1, 7, 20, 41]) if ((await killedAfter(argv, out, lines)) === 'killed') kills++;
    expect(kills).toBeGreaterThanOrEqual(3);
    // Orphans end by themselves.
    await expect.poll(() => processesNaming(out), { timeout: 10_000 }).toEqual([]);

    // A kill in mid-write: half a line at the journal's end. And a record whose line is missing.
    const journal = join(out, 'journal.jsonl');
    const last = readFileSync(journal, 'utf8').trimEnd().split('\n').at(-1)!;
    truncateSync(journal, statSync(journal).size - last.length - 1);
    appendFileSync(journal, last.slice(0, last.length / 2));
    const records = Object.keys(recordsOf(out)).length;

    const before = journalOf(out).length;
    const outcome = await cuttle([...argv, '--json']);
    expect(outcome.code).toBe(0);
    const summary = JSON.parse(outcome.out) as Readonly<Record<string, unknown>>;
    expect(summary).toMatchObject({
      items: 62,
      apps: different,
      models,
      failed: [],
      unavailable: [],
      doneNow: 62 - before,
    });
    expect(Object.keys(recordsOf(out)).length).toBeGreaterThanOrEqual(records);

    expect((await cuttle(['audit', apps, '--out', clean])).code).toBe(0);
    expect(recordsOf(out)).toEqual(recordsOf(clean));
    expect(readFileSync(join(out, 'plan.jsonl'))).toEqual(readFileSync(join(clean, 'plan.jsonl')));
    const items = journalOf(out).map(({ item }) => item);
    expect([...items].sort((a, b) => a - b)).toEqual(Array.from({ length: 62 }, (_, i) => i));
    expect(readdirSync(out).sort()).toEqual(['journal.jsonl', 'plan.jsonl', 'records', 'run.json']);
    // Nothing half-written is left among the records.
    expect(Object.keys(recordsOf(out)).every((name) => /^[0-9a-f]{64}\.json$/.test(name))).toBe(true);
  }, 180_000);

  test('the command ends in good order, with its document and nothing left behind', async () => {
    const folder = scratch();
    const [apps, out] = [join(folder, 'apps'), join(folder, 'out')];
    const { different } = writeCorpus(apps, 6);
    const child = spawn(process.execPath, [main, 'audit', apps, '--out', out, '--workers', '2', '--json']);
    let text = '';
    child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
    const code = await new Promise((done) => child.on('close', done));
    expect({ code, summary: JSON.parse(text) as unknown }).toMatchObject({ code: 0, summary: { apps: different } });
    expect(readdirSync(out).sort()).toEqual(['journal.jsonl', 'plan.jsonl', 'records', 'run.json']);
  });

  test('Ctrl-C is one line and exit code 1; another run and missing paths are refused', async () => {
    const folder = scratch();
    const apps = join(folder, 'apps');
    writeCorpus(apps, 12);
    const out = join(folder, 'out');
    const controller = new AbortController();
    const stopped = await cuttle(['audit', apps, '--out', out, '--workers', '1'], {
      signal: controller.signal,
      onLine: () => controller.abort(),
    });
    expectRefusal(stopped, 1, /interrupted/);
    expectRefusal(await cuttle(['audit', join(apps, '0'), '--out', out]), 2, /other sources/);
    expectRefusal(await cuttle(['audit', join(folder, 'none'), '--out', join(folder, 'x')]), 3, /does not exist/);
    expectRefusal(await cuttle(['audit', '--out', join(folder, 'y')]), 2, /nothing to audit/);
    const { code, out: text } = await cuttle(['audit', apps, '--out', out]);
    expect({ code, text }).toEqual({
      code: 0,
      text: expect.stringMatching(/\d+ apps and models, 3 with 3 models/) as string,
    });
    rmSync(out, { recursive: true });
  });
});
