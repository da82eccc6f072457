/** @file The lab's server over real HTTP: who may ask what, what agents hear, what a killed server remembers. */
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GiveUpError } from '../../src/measure/lab/agent.js';
import { LabClient } from '../../src/measure/lab/client.js';
import { openLabClient, readLab } from '../../src/measure/lab/lab-folder.js';
import { ModelStore } from '../../src/measure/lab/models.js';
import { addressed } from '../../src/measure/lab/page-files.js';
import { LabService } from '../../src/measure/lab/service.js';
import type { Lab } from '../../src/measure/lab/server.js';
import { sha256 } from '../../src/platform/node/hash.js';
import { openLineLog } from '../../src/platform/node/line-log.js';
import { agentOf, fakeAgent, lab, labFolder, madeUp, ownerOf, smallModel, testDevice, uploaded } from './labs.js';

/** A bare request, with headers that `fetch` would not send. */
async function ask(
  { port }: Pick<Lab, 'port'>,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
  body = '',
): Promise<{ readonly status: number; readonly text: string; readonly headers: Readonly<Record<string, unknown>> }> {
  return await new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, text, headers: response.headers }));
    });
    asked.on('error', reject).end(body);
  });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const until = async (check: () => boolean | Promise<boolean>): Promise<void> => {
  for (let i = 0; i < 500; i++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it never came');
};

describe('who may ask', () => {
  test('a foreign host name or origin learns nothing, with the right token either', async () => {
    const opened = await lab({ names: ['lab.example'] });
    const own = bearer(opened.file.ownerToken);
    const here = `127.0.0.1:${opened.port}`;
    const status = async (headers: Readonly<Record<string, string>>) =>
      (await ask(opened, '/lab/v1/devices', { ...own, ...headers })).status;
    expect(await status({ host: here })).toBe(200);
    expect(await status({ host: 'localhost:1' })).toBe(200);
    expect(await status({ host: '192.168.7.9:8420' })).toBe(200);
    expect(await status({ host: '[fd00::1]:8420' })).toBe(200);
    expect(await status({ host: 'LAB.example' })).toBe(200);
    for (const host of ['evil.example', '127.0.0.1.evil.example', '1.2.3.4.5', '999.1.1.1', 'localhost.evil'])
      expect(await status({ host }), host).toBe(421);
    expect(await status({ host: here, origin: `http://${here}` })).toBe(200);
    expect(await status({ host: here, origin: 'http://evil.example' })).toBe(403);
    expect(await status({ host: here, origin: 'null' })).toBe(403);
    // Pages too, so that a rebound name does not even get the form.
    expect((await ask(opened, '/', { host: 'evil.example' })).status).toBe(421);
  });

  test('every request needs its own kind of token', async () => {
    const opened = await lab();
    const { ownerToken, joinToken } = opened.file;
    const joined = await agentOf(opened).join({ name: 'phone', description: testDevice });
    const other = await agentOf(opened).join({ name: 'tablet', description: testDevice });
    const digest = 'a'.repeat(64);
    const table: readonly (readonly [method: string, path: string, allowed: readonly string[]])[] = [
      ['POST', '/lab/v1/agents', [ownerToken, joinToken]],
      ['POST', `/lab/v1/agents/${joined.id}/lease`, [joined.secret]],
      ['POST', `/lab/v1/agents/${joined.id}/leases/12345678/beat`, [joined.secret]],
      ['POST', `/lab/v1/agents/${joined.id}/leases/12345678/result`, [joined.secret]],
      ['POST', '/lab/v1/agents/nobody/lease', []],
      ['GET', `/lab/v1/models/${digest}`, [ownerToken, joined.secret, other.secret]],
      ['PUT', `/lab/v1/models/${digest}`, [ownerToken]],
      ['POST', '/lab/v1/jobs', [ownerToken]],
      ['GET', '/lab/v1/jobs', [ownerToken]],
      ['POST', '/lab/v1/jobs/j1/cancel', [ownerToken]],
      ['GET', '/lab/v1/devices', [ownerToken]],
      ['GET', '/lab/v1/results', [ownerToken]],
    ];
    for (const [method, path, allowed] of table)
      for (const token of ['', 'wrong', ownerToken, joinToken, joined.secret, other.secret]) {
        const { status } = await ask(opened, path, token === '' ? {} : bearer(token), method);
        expect(status === 401, `${method} ${path}`).toBe(!allowed.includes(token));
      }
    expect((await ask(opened, '/lab/v1')).status).toBe(200);
  });

  test('tokens are kept from others on the machine, and none stands in the journal', async () => {
    const folder = labFolder();
    const opened = await lab({ folder });
    const { secret } = await agentOf(opened).join({ name: 'phone', description: testDevice });
    for (const name of ['lab.json', 'server.json', 'journal.jsonl'])
      expect(statSync(join(folder, name)).mode & 0o077, name).toBe(0);
    expect(readFileSync(join(folder, 'journal.jsonl'), 'utf8')).not.toContain(secret);
  });

  test('no path leads to other files', async () => {
    const opened = await lab();
    const modules = /\/modules\/[\w-]+/.exec((await ask(opened, '/')).text)![0];
    const own = bearer(opened.file.ownerToken);
    for (const path of [
      '/lab/v1/models/..%2flab.json',
      '/lab/v1/models/../lab.json',
      '/lab/v1/models/%2e%2e%2flab.json',
      `/lab/v1/models/${'a'.repeat(63)}/`,
      `${modules}/cuttle/../../package.json`,
      `${modules}/cuttle/ir/..%2f..%2f..%2fpackage.json`,
      `${modules}/cuttle/platform/node/files.js`,
      `${modules}/cuttle/cli/main.js`,
      `${modules}/zod/package.json`,
      `${modules}/zod/../../package.json`,
      `${modules}/onnxruntime-web/../package.json`,
      '/modules/guessed/cuttle/ir/index.js',
      '/etc/passwd',
      '//etc/passwd',
    ]) {
      const { status, text } = await ask(opened, path, own);
      expect(status, path).toBeGreaterThanOrEqual(400);
      expect(text, path).not.toMatch(/ownerToken|"dependencies"|root:/);
    }
  });

  test('sizes: models, messages, and what a body must be', async () => {
    const opened = await lab({ maxModelBytes: 1000 });
    const own = bearer(opened.file.ownerToken);
    const bytes = 'x'.repeat(1001);
    expect((await ask(opened, `/lab/v1/models/${sha256(bytes)}`, own, 'PUT', bytes)).status).toBe(413);
    expect((await ask(opened, `/lab/v1/models/${'0'.repeat(64)}`, own, 'PUT', 'x')).text).toMatch(/have the SHA-256/);
    expect((await ask(opened, '/lab/v1/jobs', own, 'POST', '{}')).text).toMatch(/content-type/);
    const json = { ...own, 'content-type': 'application/json' };
    expect((await ask(opened, '/lab/v1/jobs', json, 'POST', '{')).text).toMatch(/not JSON/);
    expect((await ask(opened, '/lab/v1/jobs', json, 'POST', '{}')).text).toMatch(/broken at 'devices'/);
    expect((await ask(opened, '/lab/v1/jobs', own, 'DELETE')).status).toBe(404);
    const description = { ...testDevice, cpu: 'x'.repeat(1000) };
    await expect(agentOf(opened).join({ name: 'phone', description })).rejects.toThrow(/'description.cpu'/);
    await expect(agentOf(opened).join({ name: '../phone', description: testDevice })).rejects.toThrow(/'name'/);
  });
});

describe('the page', () => {
  test('is served with what threads need, and its modules name addresses', async () => {
    const opened = await lab();
    const page = await ask(opened, '/');
    expect(page.status).toBe(200);
    expect(page.headers['cross-origin-embedder-policy']).toBe('require-corp');
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'/);
    const modules = /\/modules\/[\w-]+/.exec(page.text)![0];
    const { status, text, headers } = await ask(opened, `${modules}/cuttle/runtime/ort-web.js`);
    expect([status, headers['cache-control']]).toEqual([200, 'private, max-age=31536000, immutable']);
    expect(text).toContain(`import('${modules}/onnxruntime-web/ort.wasm.min.mjs')`);
    expect((await ask(opened, `${modules}/onnxruntime-web/ort.wasm.min.mjs`)).status).toBe(200);
    // Everything that the page and its worker load is there, and no bare name is left.
    const seen = new Set<string>();
    const visit = async (path: string): Promise<void> => {
      if (seen.has(path) || /\/platform\/node\/|ort-node|\/onnxruntime-web\//.test(path)) return;
      seen.add(path);
      const found = await ask(opened, path);
      expect(found.status, path).toBe(200);
      const imports = /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;
      for (const [, from, lazily] of found.text.matchAll(imports)) {
        const target = (from ?? lazily)!;
        expect(target, `${path} imports it`).toMatch(/^[./]/);
        await visit(new URL(target, `http://lab${path}`).pathname);
      }
    };
    for (const entry of ['main.js', 'job-worker.js']) await visit(`${modules}/cuttle/measure/lab/page/${entry}`);
    expect(seen.size).toBeGreaterThan(100);
  });

  test('bare names become addresses, whatever way they are imported', () => {
    expect(addressed("import * as z from 'zod/mini';")).toMatch(
      /^import \* as z from '\/modules\/[\w-]+\/zod\/mini\/index.js';$/,
    );
    expect(addressed('export { x } from "zod/mini"')).toMatch(
      /^export \{ x \} from "\/modules\/[\w-]+\/zod\/mini\/index.js"$/,
    );
    expect(addressed("await import('onnxruntime-web/wasm')")).toMatch(/import\('\/modules\/[\w-]+\/onnxruntime-web\//);
    expect(addressed("import { a } from './b.js';")).toBe("import { a } from './b.js';");
    expect(addressed("import('sharp')")).toBe("import('sharp')");
  });
});

describe('jobs', () => {
  test('submitted, done, read; the folder tells the same with and without a server', async () => {
    const folder = labFolder();
    const opened = await lab({ folder });
    const owner = await openLabClient(folder);
    const stop = new AbortController();
    const agent = fakeAgent(agentOf(opened), 'phone', { signal: stop.signal, execute: async () => madeUp(7) });
    await until(async () => (await owner.devices()).length === 1);
    const spec = await uploaded(owner, smallModel());
    const { jobs, added } = await owner.submit({ devices: ['phone'], specs: [spec] });
    expect(added).toBe(1);
    expect(await owner.settled(jobs[0]!.id)).toMatchObject({ state: 'done', runBy: 'phone', attempts: 1 });
    expect(await owner.result(jobs[0]!.id)).toMatchObject({ value: { latencyMs: { p50: 7 } } });
    expect((await owner.submit({ devices: ['phone'], specs: [spec] })).added).toBe(0);
    stop.abort();
    await expect(agent).rejects.toThrow();
    await opened.close();
    await expect(openLabClient(folder)).rejects.toThrow(/no server runs the lab/);
    expect((await readLab(folder)).results()).toMatchObject([{ runBy: 'phone', value: { latencyMs: { p50: 7 } } }]);
  });

  test('unknown devices and models are refused with what there is', async () => {
    const opened = await lab();
    const owner = ownerOf(opened);
    const spec = await uploaded(owner, smallModel());
    await expect(owner.submit({ devices: ['phone'], specs: [spec] })).rejects.toThrow(/no device 'phone'/);
    const model = 'b'.repeat(64);
    await expect(owner.submit({ devices: [], specs: [{ ...spec, model }] })).rejects.toThrow(/holds no model b/);
    expect([await owner.holds(spec.model), await owner.holds(model)]).toEqual([true, false]);
    await expect(owner.cancel('nothing')).rejects.toThrow(/no job/);
  });

  test('failures are told, lies are not kept, and what was given up is done by another attempt', async () => {
    const opened = await lab();
    const owner = ownerOf(opened);
    const spec = await uploaded(owner, smallModel());
    const stop = new AbortController();
    let gaveUp = 0;
    const agent = fakeAgent(agentOf(opened), 'phone', {
      signal: stop.signal,
      execute: async ({ spec: { runs }, attempt }) => {
        if (runs === 1) throw new TypeError('no such kernel');
        if (runs === 2 && attempt === 1) throw new GiveUpError(`busy ${++gaveUp}`);
        return madeUp();
      },
    });
    await until(async () => (await owner.devices()).length === 1);
    const { jobs } = await owner.submit({
      devices: [],
      specs: [
        { ...spec, runs: 1 },
        { ...spec, runs: 2 },
      ],
    });
    expect(await owner.settled(jobs[0]!.id)).toMatchObject({ state: 'failed', error: { message: 'no such kernel' } });
    expect(await owner.settled(jobs[1]!.id)).toMatchObject({ state: 'done', attempts: 2 });
    stop.abort();
    await expect(agent).rejects.toThrow();

    const joined = await agentOf(opened).join({ name: 'liar', description: testDevice });
    const liar = agentOf(opened).as(joined.secret);
    await owner.submit({ devices: [], specs: [{ ...spec, runs: 3 }] });
    expect((await liar.lease(joined.id, { lease: 'lease-liar', waitMs: 0 })).job).not.toBeNull();
    const lie = liar.settle(joined.id, 'lease-liar', { kind: 'done', value: { latencyMs: -1 } });
    await expect(lie).rejects.toThrow(/the result of a 'latency' job is broken/);
  });

  test('cancelled while it runs: the agent stops measuring', async () => {
    const opened = await lab({ leaseMs: 150 });
    const owner = ownerOf(opened);
    const stop = new AbortController();
    const seen: string[] = [];
    const agent = fakeAgent(agentOf(opened), 'phone', {
      signal: stop.signal,
      execute: (_job, _model, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      onEvent: ({ kind }) => seen.push(kind),
    });
    const { jobs } = await owner.submit({ devices: [], specs: [await uploaded(owner, smallModel())] });
    await until(() => seen.includes('started'));
    await owner.cancel(jobs[0]!.id);
    await until(() => seen.includes('stopped'));
    expect(await owner.job(jobs[0]!.id)).toMatchObject({ state: 'cancelled' });
    await expect(owner.cancel(jobs[0]!.id)).rejects.toThrow(/cancelled already/);
    stop.abort();
    await expect(agent).rejects.toThrow();
  });

  test('a stopped agent gives its job back at once', async () => {
    const opened = await lab();
    const owner = ownerOf(opened);
    const stop = new AbortController();
    let started = false;
    const agent = fakeAgent(agentOf(opened), 'phone', {
      signal: stop.signal,
      execute: (_job, _model, signal) => {
        started = true;
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      },
    });
    const { jobs } = await owner.submit({ devices: [], specs: [await uploaded(owner, smallModel())] });
    await until(() => started);
    stop.abort();
    await expect(agent).rejects.toThrow();
    expect(await owner.job(jobs[0]!.id)).toMatchObject({ state: 'queued', attempts: 1 });
  });
});

test('a model that is not ONNX is timed, and nothing else', async () => {
  const opened = await lab();
  const owner = ownerOf(opened);
  await agentOf(opened).join({ name: 'phone', description: testDevice });
  const spec = await uploaded(owner, new TextEncoder().encode('TFL3'), { format: 'tflite', kind: 'profile' });
  await expect(owner.submit({ devices: ['phone'], specs: [spec] })).rejects.toMatchObject({
    ...{ kind: 'unsupported', code: 'lab/format' },
  });
});

test('a lab that slept ends no lease, for nobody could be heard; one that was awake does', async () => {
  let time = 0;
  await using journal = await openLineLog(join(labFolder(), 'journal.jsonl'));
  const models = new ModelStore(labFolder());
  const limits = { leaseMs: 1000, maxAttempts: 3, maxDevices: 10, maxJobs: 10 };
  const service = new LabService({ id: 'lab', journal, models, ...limits, time: () => time });
  const { id } = await service.join({ name: 'phone', description: testDevice });
  const bytes = new TextEncoder().encode('model');
  await models.put(sha256(bytes), bytes);
  const base = {
    kind: 'latency',
    model: sha256(bytes),
    name: 'm',
    backend: 'native',
    dims: {},
    runs: 1,
    warmup: 0,
  } as const;
  const { jobs } = await service.submit({ devices: [], specs: [base] });
  await service.lease(id, 'lease-one', 0, undefined, new AbortController().signal);
  const state = (): string => service.queue.job(jobs[0]!.id)!.state;
  time = 60_000;
  await service.expire();
  expect(state()).toBe('running');
  expect(await service.beat(id, 'lease-one')).toBe('go');
  for (let check = 0; check < 4; check++) {
    time += 400;
    await service.expire();
  }
  expect(state()).toBe('queued');
});

describe('a killed server', () => {
  test('comes back with devices, leases and jobs; agents go on as if nothing had been', async () => {
    const folder = labFolder();
    const first = await lab({ folder });
    const owner = ownerOf(first);
    const agent = agentOf(first);
    const joined = await agent.join({ name: 'phone', description: testDevice });
    const own = agent.as(joined.secret);
    const spec = await uploaded(owner, smallModel());
    await owner.submit({ devices: ['phone'], specs: [1, 2, 3].map((runs) => ({ ...spec, runs })) });
    await own.lease(joined.id, { lease: 'lease-one', waitMs: 0 });
    await own.settle(joined.id, 'lease-one', { kind: 'done', value: madeUp(1) });
    await own.lease(joined.id, { lease: 'lease-two', waitMs: 0 });
    // What a kill leaves: no goodbye, the address of the dead server, half a line at the journal's end.
    const journal = readFileSync(join(folder, 'journal.jsonl'));
    const address = readFileSync(join(folder, 'server.json'));
    await first.close();
    writeFileSync(join(folder, 'journal.jsonl'), journal);
    writeFileSync(join(folder, 'server.json'), address);
    appendFileSync(join(folder, 'journal.jsonl'), '{"kind":"settled","at":1,"jo');

    const second = await lab({ folder, port: first.port });
    expect(second.file).toEqual(first.file);
    // An answer that was lost is asked for again.
    expect(await own.settle(joined.id, 'lease-one', { kind: 'done', value: madeUp(1) })).toBe(true);
    expect(await own.beat(joined.id, 'lease-two')).toBe('go');
    expect(await own.settle(joined.id, 'lease-two', { kind: 'done', value: madeUp(2) })).toBe(true);
    expect((await own.lease(joined.id, { lease: 'lease-three', waitMs: 0 })).job!.spec.runs).toBe(3);
    expect((await owner.jobs()).map(({ state, attempts }) => [state, attempts])).toEqual([
      ['done', 1],
      ['done', 1],
      ['running', 1],
    ]);
    await expect(lab({ folder })).rejects.toThrow(/already runs this lab/);
  });

  test('a journal that is no journal is refused, not overwritten', async () => {
    const folder = labFolder();
    await (await lab({ folder })).close();
    writeFileSync(join(folder, 'journal.jsonl'), 'hello\n');
    await expect(lab({ folder })).rejects.toThrow(/line 1 of the journal is not JSON/);
    expect(readFileSync(join(folder, 'journal.jsonl'), 'utf8')).toBe('hello\n');
  });
});

test('a lab that cannot be reached, and something else at its address, are told apart from refusals', async () => {
  const opened = await lab();
  await opened.close();
  const dead = new LabClient({ url: opened.url, token: 'x' });
  await expect(dead.devices()).rejects.toMatchObject({ code: 'lab/unreachable' });
  const alive = new LabClient({ url: (await lab()).url, token: 'x' });
  await expect(alive.devices()).rejects.toMatchObject({ code: 'lab/token', kind: 'usage' });
});
