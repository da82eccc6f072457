/** @file A server's life: models that change under it, threads that die, TLS, and the command from start to SIGTERM. */
import { spawn } from 'node:child_process';
import { readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/platform/index.js';
import { inferRequest, readServerReport } from '../../src/split/oip/index.js';
import { LocalEngine } from '../../src/split/server/local-engine.js';
import { startServer } from '../../src/split/server/server.js';
import { ThreadEngine } from '../../src/split/server/thread-engine.js';
import { isBuilt } from '../cli/cli.js';
import { noise } from '../exits/networks.js';
import { allDoors, grpcDoor, httpDoor, modelFolder, plainModel, putModel, refusalOf, serve } from './serving.js';

const input = noise(createRandom(1), [1, 3, 8, 8]);
const ask = (model: string) => inferRequest(model, [{ name: 'input', tensor: input }]);

describe('hot reload', () => {
  test('a changed file takes the place of the old one, a broken one does not, a removed one goes', async () => {
    const folder = modelFolder({ 'net.onnx': plainModel(1) });
    const server = await serve({ models: [folder] });
    const door = httpDoor(server.url, true);
    const logits = async (): Promise<string> =>
      Buffer.from((await door.infer(ask('net'))).outputs[0]!.tensor.bytes).toString('hex');
    /** Two looks: a file is loaded when it has settled. */
    const settle = async (): Promise<void> => {
      await server.look();
      await server.look();
    };
    const before = await logits();
    putModel(join(folder, 'new.tmp'), plainModel(2));
    renameSync(join(folder, 'new.tmp'), join(folder, 'net.onnx'));
    await server.look();
    expect(await logits()).toBe(before);
    await server.look();
    const after = await logits();
    expect(after).not.toBe(before);

    writeFileSync(join(folder, 'net.onnx'), 'no model');
    await settle();
    expect(await logits()).toBe(after);
    expect(await door.ready()).toBe(true);
    expect(server.metrics()).toMatch(/cuttle_model_loads_total\{outcome="failed"\} 1/);

    putModel(join(folder, 'other/3/model.onnx'), plainModel(3));
    await settle();
    expect(await door.modelReady('other', '3')).toBe(true);

    rmSync(join(folder, 'net.onnx'));
    await settle();
    expect((await refusalOf(door.infer(ask('net')))).status).toBe('not-found');
  });

  test('requests under way finish on the old model; none fails while files change', { timeout: 30_000 }, async () => {
    const folder = modelFolder({ 'net.onnx': plainModel(1) });
    const server = await serve({ models: [folder], watchMs: 5 });
    const door = grpcDoor(server.url, 'gRPC');
    let done = false;
    const asking = Promise.all(
      [0, 1, 2].map(async () => {
        let count = 0;
        for (; !done; count++) await door.infer(ask('net'));
        return count;
      }),
    );
    const digests = new Set<string>();
    for (let seed = 2; seed < 6; seed++) {
      putModel(join(folder, 'next.tmp'), plainModel(seed));
      renameSync(join(folder, 'next.tmp'), join(folder, 'net.onnx'));
      utimesSync(join(folder, 'net.onnx'), seed, seed);
      await expect.poll(() => digests.add(server.models[0]!.digest).size, { timeout: 10_000 }).toBe(seed - 1);
    }
    done = true;
    for (const count of await asking) expect(count).toBeGreaterThan(3);
  });

  test('nothing to serve is refused at the start', async () => {
    const engines = [new LocalEngine()];
    await expect(startServer({ models: [modelFolder({})], engines, port: 0 })).rejects.toThrow(/there is no model/);
    await expect(startServer({ models: ['/no/such/file.onnx'], engines, port: 0 })).rejects.toThrow(/does not exist/);
    const folder = modelFolder({ 'a/net.onnx': plainModel(), 'b/net.onnx': plainModel() });
    const twice = [join(folder, 'a'), join(folder, 'b')];
    await expect(startServer({ models: twice, engines, port: 0 })).rejects.toThrow(/would both be version 1 of 'net'/);
  });
});

describe('TLS', () => {
  const fixture = (name: string): string =>
    readFileSync(resolve(import.meta.dirname, '../fixtures/split', name), 'utf8');
  const tls = { cert: fixture('tls-cert.pem'), key: fixture('tls-key.pem') };

  test('both versions of HTTP and all protobuf doors on one port', async () => {
    const server = await serve({
      models: [modelFolder({ 'net.onnx': plainModel() })],
      tls,
      tokens: new Map([['open-sesame', 'ali']]),
    });
    expect(server.url).toMatch(/^https:/);
    for (const protocol of ['gRPC', 'gRPC-Web', 'Connect'] as const)
      expect(
        (await grpcDoor(server.url, protocol, { ca: tls.cert, token: 'open-sesame' }).infer(ask('net'))).model,
      ).toBe('net');
    const status = await new Promise((done, fail) =>
      httpsRequest(
        `${server.url}/v2/models/net`,
        { ca: tls.cert, headers: { authorization: 'Bearer open-sesame' } },
        (response) => {
          response.resume();
          done([response.statusCode, response.httpVersion]);
        },
      )
        .on('error', fail)
        .end(),
    );
    expect(status).toEqual([200, '1.1']);
    await expect(fetch(server.url.replace('https', 'http'))).rejects.toThrow();
    await expect(
      serve({ models: [modelFolder({ 'net.onnx': plainModel() })], tls: { cert: 'x', key: 'y' } }),
    ).rejects.toThrow(/cannot be used/);
  });
});

describe('a thread that dies', () => {
  /** Knows any model; dies of the first request, answers later ones. */
  const script = (folder: string): URL => {
    const path = join(folder, 'thread.mjs');
    writeFileSync(
      path,
      `import { parentPort } from 'node:worker_threads';
      import { existsSync, writeFileSync } from 'node:fs';
      const loaded = new Set();
      parentPort.on('message', ({ id, do: what, key, request }) => {
        if (what === 'load') loaded.add(request.key);
        else if (!loaded.has(key)) throw new Error('not loaded');
        if (what === 'run' && !existsSync(${JSON.stringify(join(folder, 'died'))})) {
          writeFileSync(${JSON.stringify(join(folder, 'died'))}, '');
          throw new Error('out of order');
        }
        const value = what === 'run' ? { results: [], computeMs: 1 } : { digest: 'x' };
        parentPort.postMessage({ id, ok: true, value });
      });`,
    );
    return pathToFileURL(path);
  };

  test('is replaced by one that knows the same models', async () => {
    const deaths: string[] = [];
    const engine = new ThreadEngine({}, (why) => deaths.push(why), script(modelFolder({})));
    await engine.load({ key: 'k', path: 'p' });
    const { signal } = new AbortController();
    await expect(engine.run('k', [], signal)).rejects.toThrow(/thread died: out of order/);
    expect((await engine.run('k', [], signal)).computeMs).toBe(1);
    expect(deaths).toEqual(['out of order']);
    await engine.close();
    await expect(engine.run('k', [], signal)).rejects.toThrow(/not there/);
  });
});

describe.skipIf(!isBuilt)('with threads', () => {
  test('every door is answered from a thread', { timeout: 30_000 }, async () => {
    const engine = new ThreadEngine({ threads: 1 }, () => undefined);
    const server = await serve({ models: [modelFolder({ 'net.onnx': plainModel() })], engines: [engine] });
    for (const door of allDoors(server.url))
      expect(readServerReport((await door.infer(ask('net'))).parameters)!.batch).toBe(1);
  });

  test('the command serves until SIGTERM, finishes what has begun, and ends with 0', { timeout: 60_000 }, async () => {
    const folder = modelFolder({ 'net.onnx': plainModel() });
    const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
    const child = spawn(process.execPath, [main, 'serve', folder, '--port', '0', '--batch-delay', '400', '--json']);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const ended = new Promise((done) => child.on('close', done));
    await expect.poll(() => err, { timeout: 20_000 }).toMatch(/"listening"/);
    const listening = err.split('\n').find((line) => line.includes('"listening"'))!;
    const { url } = JSON.parse(listening) as { url: string };
    const door = httpDoor(url, true);
    await door.infer(ask('net'));
    // This one waits for company while the server is told to stop.
    const last = door.infer(ask('net'));
    await wait(100);
    child.kill('SIGTERM');
    await wait(100);
    await expect(fetch(`${url}/v2/health/live`)).rejects.toThrow();
    expect((await last).model).toBe('net');
    expect(await ended).toBe(0);
    const result = JSON.parse(out) as { inferences: number; url: string };
    expect(result).toMatchObject({ url, inferences: 2, failed: 0 });
    for (const line of err.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('event');
  });
});
