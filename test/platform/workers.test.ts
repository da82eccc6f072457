import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coresInCpuInfo } from '../../src/platform/node/cpu.js';
import { joinPath, makeTemporaryFolder, removeFolder, writeFileAtomic } from '../../src/platform/node/files.js';
import { createWorkerPool, WorkerError, workerUrl, type WorkerPool } from '../../src/platform/node/workers.js';

// Speaks the pool's protocol by hand, so that the test needs no compiled code.
const SCRIPT = `
const { parentPort } = require('node:worker_threads');
parentPort.on('message', async (request) => {
  if (request === 'die') process.exit(7);
  if (request === 'refuse') return parentPort.postMessage({ ok: false, error: { kind: 'invalid', code: 'x/y', message: 'no', hint: 'h' } });
  if (request === 'slow') await new Promise((resolve) => setTimeout(resolve, 50));
  parentPort.postMessage({ ok: true, value: request === 'slow' ? 'slow' : request * 2 });
});`;

let folder: string;
let pool: WorkerPool<unknown, unknown>;

beforeAll(async () => {
  folder = await makeTemporaryFolder();
  await writeFileAtomic(joinPath(folder, 'worker.cjs'), SCRIPT);
  pool = createWorkerPool(pathToFileURL(joinPath(folder, 'worker.cjs')), { size: 2 });
});
afterAll(async () => {
  await pool.close();
  await removeFolder(folder);
});

describe('worker pool', () => {
  test('answers every request with its own result', async () => {
    const results = await Promise.all(Array.from({ length: 50 }, (_, index) => pool.run(index)));
    expect(results).toEqual(Array.from({ length: 50 }, (_, index) => index * 2));
  });

  test('an error thrown inside keeps its kind and code', async () => {
    await expect(pool.run('refuse')).rejects.toMatchObject({ kind: 'invalid', code: 'x/y', hint: 'h' });
  });

  test('a worker that dies fails its own request only', async () => {
    const results = await Promise.allSettled([pool.run('die'), pool.run(1), pool.run('die'), pool.run(2), pool.run(3)]);
    expect(results.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
  });

  test('a request that cannot be cloned is refused and harms no other', async () => {
    await expect(pool.run(() => 1)).rejects.toThrow();
    expect(await pool.run(4)).toBe(8);
  });

  test('abort rejects running and waiting requests; the pool goes on', async () => {
    const controller = new AbortController();
    const jobs = Array.from({ length: 6 }, () => pool.run('slow', { signal: controller.signal }));
    controller.abort(new Error('enough'));
    for (const job of jobs) await expect(job).rejects.toThrow('enough');
    await expect(pool.run(1, { signal: controller.signal })).rejects.toThrow('enough');
    expect(await pool.run(5)).toBe(10);
  });

  test('a closed pool refuses', async () => {
    const other = createWorkerPool(pathToFileURL(joinPath(folder, 'worker.cjs')), { size: 1 });
    const job = other.run('slow');
    const outcome = expect(job).rejects.toBeInstanceOf(WorkerError);
    await other.close();
    await outcome;
    await expect(other.run(1)).rejects.toBeInstanceOf(WorkerError);
  });
});

test('worker scripts are looked for in dist/ from sources, beside the module once compiled', () => {
  expect(workerUrl('file:///a/src/b/dist/data/x.js', './w.js').href).toBe('file:///a/src/b/dist/data/w.js');
  expect(() => workerUrl('file:///a/src/data/x.ts', './w.js')).toThrow(/\/a\/dist\/data\/w\.js/);
});

test('hyper-threads are not counted as cores', () => {
  const block = (socket: number, core: number): string =>
    `processor : 1\nphysical id\t: ${socket}\ncore id\t\t: ${core}\n`;
  expect(coresInCpuInfo([block(0, 0), block(0, 1), block(0, 0), block(0, 1), block(1, 0)].join('\n'))).toBe(3);
  expect(coresInCpuInfo('processor : 0\nBogoMIPS : 50\n')).toBeUndefined();
});
