/** @file Jobs over a real Redis: several workers, one of them killed, and the run itself killed; the same records as one process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cuttle, expectRefusal } from '../cli/cli.js';
import { journalOf, recordsOf, scratch, workersBuilt, writeCorpus } from './corpus.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const server = '/usr/bin/redis-server';
const possible = existsSync(server) && workersBuilt;
if (!existsSync(server)) console.warn(`skipped: no ${server} here`);

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}

/** Resolves when somebody listens at a port of this machine. */
async function answering(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('connect', () => done(true)).on('error', () => done(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nobody answers at port ${port}`);
}

describe.skipIf(!possible)('jobs over Redis', () => {
  const folder = scratch();
  const apps = join(folder, 'apps');
  const started: ChildProcess[] = [];
  let url = '';
  let total = { different: 0, models: 0 };

  beforeAll(async () => {
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    started.push(
      spawn(
        server,
        ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
        { stdio: 'ignore' },
      ),
    );
    await answering(port);
    total = writeCorpus(apps, 40);
  });
  afterAll(() => {
    for (const child of started) child.kill('SIGKILL');
  });

  const worker = (...flags: readonly string[]): ChildProcess => {
    const child = spawn(
      process.execPath,
      [main, 'audit', 'worker', '--queue', url, '--workers', '1', '--lock', '2', ...flags],
      { stdio: 'ignore' },
    );
    started.push(child);
    return child;
  };
  const ended = (child: ChildProcess): Promise<unknown> =>
    child.exitCode !== null || child.signalCode !== null
      ? Promise.resolve()
      : new Promise((done) => child.on('exit', done));
  const run = (out: string): readonly string[] => ['audit', apps, '--out', out, '--queue', url, '--json'];

  test('three workers, two killed in mid-work, and the run killed, too: the same records as one process', async () => {
    const [out, clean] = [join(folder, 'out'), join(folder, 'clean')];
    const workers = [worker(), worker(), worker()];
    // The run itself is killed once some is done, and started again.
    const first = spawn(process.execPath, [main, ...run(out)], { stdio: 'ignore' });
    started.push(first);
    await expect.poll(() => journalOf(out).length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(4);
    first.kill('SIGKILL');
    workers[0]!.kill('SIGKILL');
    await ended(first);
    const again = cuttle(run(out));
    await expect.poll(() => journalOf(out).length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(14);
    workers[1]!.kill('SIGKILL');
    const outcome = await again;
    expect({ code: outcome.code, err: outcome.code === 0 ? [] : outcome.err }).toEqual({ code: 0, err: [] });
    expect(JSON.parse(outcome.out)).toMatchObject({
      items: 42,
      apps: total.different,
      models: total.models,
      nothing: 2,
      failed: [],
      unavailable: [],
    });
    expect((await cuttle(['audit', apps, '--out', clean, '--workers', '2'])).code).toBe(0);
    expect(recordsOf(out)).toEqual(recordsOf(clean));
    expect(
      journalOf(out)
        .map(({ item }) => item)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 42 }, (_, i) => i));
    workers[2]!.kill('SIGINT');
    await ended(workers[2]!);
    expect(workers[2]!.exitCode).toBe(0);
  }, 180_000);

  test('Redis that goes away and comes back, with what it knew or empty, is waited for', async () => {
    const [out, clean] = [join(folder, 'away'), join(folder, 'never-away')];
    const data = join(folder, 'data');
    mkdirSync(data);
    const port = await freePort();
    const flags = ['--port', String(port), '--bind', '127.0.0.1', '--dir', data, '--save', '', '--appendonly'];
    const redis = async (keeps: boolean): Promise<ChildProcess> => {
      const child = spawn(server, [...flags, keeps ? 'yes' : 'no', '--appendfsync', 'always'], { stdio: 'ignore' });
      started.push(child);
      await answering(port);
      return child;
    };
    const at = `redis://127.0.0.1:${port}`;
    let now = await redis(true);
    const serving = worker('--queue', at);
    const done = cuttle(['audit', apps, '--out', out, '--queue', at, '--json']);
    for (const [lines, keeps] of [
      [3, true],
      [15, false],
    ] as const) {
      await expect.poll(() => journalOf(out).length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(lines);
      now.kill('SIGKILL');
      await ended(now);
      await sleep(500);
      now = await redis(keeps);
    }
    const outcome = await done;
    expect({ code: outcome.code, err: outcome.code === 0 ? [] : outcome.err }).toEqual({ code: 0, err: [] });
    expect(JSON.parse(outcome.out)).toMatchObject({ apps: total.different, models: total.models, failed: [] });
    expect((await cuttle(['audit', apps, '--out', clean, '--workers', '1'])).code).toBe(0);
    expect(recordsOf(out)).toEqual(recordsOf(clean));
    serving.kill('SIGKILL');
  }, 180_000);

  test('a worker that sees the files elsewhere maps their paths; one that does not see them says so', async () => {
    const [there, here] = [join(folder, 'there'), join(folder, 'here')];
    // The same folder by another path, as where machines mount it differently.
    mkdirSync(there);
    symlinkSync(there, here);
    const outcome = cuttle(['audit', apps, '--out', join(there, 'out'), '--queue', url, '--limit', '3']);
    const mapped = worker('--map', `${there}=${here}`);
    const done = await outcome;
    mapped.kill('SIGINT');
    await ended(mapped);
    expect(done.code).toBe(0);
    expect(Object.keys(recordsOf(join(there, 'out')))).toHaveLength(3);
    const lost = cuttle(['audit', apps, '--out', join(folder, 'lost'), '--queue', url, '--limit', '1']);
    const blind = worker('--map', `${folder}=/nowhere`);
    const refused = await lost;
    expectRefusal(refused, 1, /folder of the run/);
    blind.kill('SIGKILL');
  }, 120_000);

  test('no Redis there, or no such address: one line', async () => {
    const nowhere = `redis://:very-secret@127.0.0.1:${await freePort()}`;
    const outcome = await cuttle(['audit', apps, '--out', join(folder, 'x'), '--queue', nowhere]);
    expect(expectRefusal(outcome, 1, /no Redis answers at 127\.0\.0\.1/)).not.toContain('very-secret');
    expectRefusal(await cuttle(['audit', 'worker', '--queue', 'http://x']), 2, /redis:/);
  }, 60_000);
});
