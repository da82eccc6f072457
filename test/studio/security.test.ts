/** @file What the studio refuses: foreign names, foreign pages, paths that lead out, uploads that are too large, whoever lacks the token. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStudio, type Studio } from '../../src/studio/index.js';
import { digitsModel } from '../cli/cli.js';
import { encodeModel } from '../../src/onnx/index.js';

const scratch = mkdtempSync(join(tmpdir(), 'cuttle-guard-'));
const workspace = join(scratch, 'open');
const outside = join(scratch, 'closed');
const app = join(scratch, 'app');
const model = encodeModel(digitsModel());
let studio: Studio;
let guarded: Studio;

beforeAll(async () => {
  for (const folder of [workspace, outside, join(outside, 'deep'), join(app, 'assets')])
    mkdirSync(folder, { recursive: true });
  writeFileSync(join(workspace, 'net.onnx'), model);
  writeFileSync(join(workspace, '.hidden.onnx'), model);
  writeFileSync(join(outside, 'secret.onnx'), model);
  writeFileSync(join(outside, 'secret.png'), 'secret');
  symlinkSync(join(outside, 'secret.onnx'), join(workspace, 'link.onnx'));
  symlinkSync(outside, join(workspace, 'way-out'));
  symlinkSync(join(workspace, 'net.onnx'), join(workspace, 'same.onnx'));
  writeFileSync(join(app, 'index.html'), '<!doctype html><title>page</title>');
  writeFileSync(join(app, 'assets', 'a.js'), '');
  writeFileSync(join(scratch, 'beside.js'), 'secret');
  const given = { folder: workspace, port: 0, version: '0', app, uploadBytes: model.length + 10 };
  studio = await openStudio(given);
  guarded = await openStudio({ ...given, host: '0.0.0.0', token: 'a-long-enough-token' });
});
afterAll(async () => {
  await studio?.close();
  await guarded?.close();
  rmSync(scratch, { recursive: true, force: true });
});

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly of?: Studio;
}

/** One request with any headers at all; browsers' own rules do not apply here. */
async function ask(path: string, { method = 'GET', headers = {}, body, of = studio }: Asked = {}) {
  const { port } = new URL(of.url);
  return await new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const own = { 'x-cuttle-studio': '1' };

describe('who may ask', () => {
  test('this machine, by its own names', async () => {
    const { port } = new URL(studio.url);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`])
      expect((await ask('/api/workspace', { headers: { host } })).status).toBe(200);
  });

  test.each([
    'evil.example',
    'evil.example:PORT',
    '127.0.0.1:1',
    '127.0.0.1.evil.example:PORT',
    'localhost:PORT@evil',
    'other',
  ])('no foreign name that points here: %j (DNS rebinding)', async (name) => {
    const host = name.replace('PORT', new URL(studio.url).port);
    for (const path of ['/api/workspace', '/', '/assets/a.js'])
      expect([400, 421]).toContain((await ask(path, { headers: { host } })).status);
  });

  test.each([
    ['a foreign origin', { origin: 'http://evil.example' }],
    ['an opaque origin', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a page that a browser calls foreign', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }],
    ['another port, as a browser says it', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' }],
    ['a link to the API', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
  ])('no foreign page: %s', async (_, headers) => {
    expect((await ask('/api/workspace', { headers })).status).toBe(403);
    expect((await ask('/api/stop?id=1', { method: 'POST', headers: { ...own, ...headers } })).status).toBe(403);
  });

  test('a link from elsewhere opens the page itself', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await ask('/', { headers })).status).toBe(200);
  });

  test('nothing is changed without the header of the page (CSRF)', async () => {
    for (const path of ['/api/upload?name=x.onnx', '/api/jobs', '/api/stop?id=1', '/api/try?path=net.onnx']) {
      const { status, text } = await ask(path, { method: 'POST', body: '{}' });
      expect({ status, text }).toEqual({ status: 403, text: expect.stringContaining('studio/header') as string });
    }
    // A foreign page may ask whether it could send such a header: the answer grants nothing.
    const asked = { origin: 'http://evil.example', 'access-control-request-method': 'POST' };
    const preflight = await ask('/api/jobs', { method: 'OPTIONS', headers: asked });
    expect(preflight.status).toBe(403);
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('with another host than this machine, only who has the token', async () => {
    const asked = (authorization?: string) =>
      ask('/api/workspace', { of: guarded, headers: authorization === undefined ? {} : { authorization } });
    expect((await asked()).status).toBe(401);
    expect((await asked('Bearer wrong-token-here')).status).toBe(401);
    expect((await asked('Bearer a-long-enough-tokenx')).status).toBe(401);
    expect((await asked('Bearer a-long-enough-token')).status).toBe(200);
    // The page itself holds no secret, and its address tells no server the token.
    expect((await ask('/', { of: guarded })).status).toBe(200);
    expect(new URL(guarded.url)).toMatchObject({ hash: '#token=a-long-enough-token', search: '' });
    expect(
      (
        await ask('/api/workspace', {
          of: guarded,
          headers: { authorization: 'Bearer a-long-enough-token', origin: 'http://evil.example' },
        })
      ).status,
    ).toBe(403);
  });

  test('every answer forbids frames, guessing and foreign code', async () => {
    for (const path of ['/', '/api/workspace', '/api/nothing']) {
      const { headers } = await ask(path);
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' });
      expect(headers['content-security-policy']).toMatch(
        /default-src 'none'.*script-src 'self';.*frame-ancestors 'none'/,
      );
      expect(headers['content-security-policy']).not.toMatch(/script-src[^;]*(unsafe|http)/);
    }
  });
});

describe('which files', () => {
  test('those of the folder, links inside it included', async () => {
    for (const path of ['net.onnx', 'same.onnx']) expect((await ask(`/api/model?path=${path}`)).status).toBe(200);
  });

  test.each([
    '../closed/secret.onnx',
    'way-out/secret.onnx',
    'way-out/deep/../secret.onnx',
    'link.onnx',
    './../open/../closed/secret.onnx',
    '.hidden.onnx',
    '/etc/hosts.onnx',
    '//etc/hosts.onnx',
    'C:/x.onnx',
    '..\\closed\\secret.onnx',
    'net.onnx/../../closed/secret.onnx',
    'x\u0000.onnx',
  ])('nothing elsewhere: %j', async (path) => {
    const given = encodeURIComponent(path);
    for (const asked of [
      `/api/model?path=${given}`,
      `/api/compare?a=net.onnx&b=${given}`,
      `/api/split?path=${given}`,
    ]) {
      const { status, text } = await ask(asked);
      expect({ asked, status }).toEqual({ asked, status: 403 });
      expect(text).not.toContain('secret'.repeat(2));
    }
    const run = JSON.stringify({ verb: 'eval', model: path, data: 'mnist' });
    expect([400, 403]).toContain((await ask('/api/jobs', { method: 'POST', headers: own, body: run })).status);
  });

  test('an absolute path, whatever it names', async () => {
    for (const path of [join(outside, 'secret.png'), join(workspace, 'net.onnx')])
      expect((await ask(`/api/image?path=${encodeURIComponent(path)}`)).status).toBe(path.endsWith('png') ? 403 : 400);
    expect((await ask(`/api/image?path=way-out/secret.png`)).status).toBe(403);
  });

  test('links that lead out are not listed either', async () => {
    const found = JSON.parse((await ask('/api/workspace')).text) as { models: { path: string }[] };
    expect(found.models.map(({ path }) => path)).toEqual(['net.onnx', 'same.onnx']);
  });

  test('of the page itself, only its own', async () => {
    for (const path of [
      '/../beside.js',
      '/assets/..%2f..%2fbeside.js',
      '/%2e%2e/beside.js',
      '/assets/',
      '/assets',
      '/.hidden',
    ])
      expect({ path, status: (await ask(path)).status }).toEqual({ path, status: 404 });
  });
});

describe('what is taken', () => {
  const upload = (name: string, body: Uint8Array | string, headers = {}) =>
    ask(`/api/upload?name=${encodeURIComponent(name)}`, { method: 'POST', headers: { ...own, ...headers }, body });

  test('a model, under a new name', async () => {
    expect((await upload('new.onnx', model)).status).toBe(201);
    expect(readFileSync(join(workspace, 'new.onnx')).equals(Buffer.from(model))).toBe(true);
    expect((await upload('new.onnx', model)).status).toBe(409);
  });

  test('nothing above the limit, said or streamed', async () => {
    expect((await upload('large.onnx', new Uint8Array(model.length + 11))).status).toBe(413);
    const streamed = { 'transfer-encoding': 'chunked' };
    expect((await upload('large.onnx', new Uint8Array(model.length + 11), streamed)).status).toBe(413);
    expect(existsSync(join(workspace, 'large.onnx'))).toBe(false);
  });

  test('nothing but what it claims to be', async () => {
    expect((await upload('broken.onnx', 'no model')).status).toBe(422);
    expect((await upload('page.html', '<script>')).status).toBe(400);
    for (const name of ['../out.onnx', 'a/b.onnx', '.hidden.onnx', '-rf.onnx', 'a\\b.onnx'])
      expect({ name, status: (await upload(name, model)).status }).toEqual({ name, status: 400 });
    expect(existsSync(join(scratch, 'out.onnx'))).toBe(false);
  });

  test.each([
    [{ verb: 'serve', models: ['x'] }, 400],
    [{ verb: 'train', arch: '--out', data: 'mnist', out: 'x.onnx' }, 400],
    [{ verb: 'train', arch: 'lenet-5', data: '/etc', out: 'x.onnx' }, 400],
    [{ verb: 'train', arch: 'lenet-5', data: './way-out', out: 'x.onnx' }, 403],
    [{ verb: 'train', arch: 'lenet-5', data: 'mnist', out: '../x.onnx' }, 403],
    [{ verb: 'train', arch: 'lenet-5', data: 'mnist', out: 'way-out/x.onnx' }, 403],
    [{ verb: 'demo', out: 'x', extra: 1 }, 400],
    [{ verb: 'adapt', model: 'net.onnx', data: 'mnist', out: 'y', budgets: ['50%; rm -rf /'] }, 400],
  ])('no run but those of the form: %j', async (run, status) => {
    expect((await ask('/api/jobs', { method: 'POST', headers: own, body: JSON.stringify(run) })).status).toBe(status);
    expect(JSON.parse((await ask('/api/jobs')).text)).toEqual([]);
  });
});
