/** @file `cuttle offload`: the same labels with a server and without, one JSON document, clear refusals. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { decodeModel } from '../../src/onnx/index.js';
import { imageFile } from '../data/files.js';
import { plainServer, type PlainServer } from '../split/plain-server.js';
import { cuttle, digitsModel, expectRefusal, jsonOf, scratchFolder, writeModel } from './cli.js';

const folder = scratchFolder();
const data = ['--data', 'mnist', '--limit', '120'];
let path = '';
let server: PlainServer;
beforeAll(async () => {
  const candidates = findCandidates(digitsModel('resnet-8'));
  const { model } = attachExits(candidates, [candidates.all[2]!, candidates.all[4]!], { kind: 'pool' }, 1);
  path = writeModel(folder, 'net.onnx', model);
  server = await plainServer(decodeModel(readFileSync(path)));
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

interface Report {
  readonly samples: number;
  readonly accuracy: number | null;
  readonly bytesSent: number;
  readonly plan: { readonly cut: number };
  readonly computed: readonly { readonly where: string; readonly answers: number }[];
  readonly answers: readonly {
    readonly label: string;
    readonly where: string;
    readonly failure?: { readonly kind: string };
  }[];
  readonly events: readonly { readonly kind: string; readonly ms: number }[];
}

const run = async (...argv: string[]): Promise<Report> =>
  (await jsonOf(['offload', path, '--threads', '1', ...argv])) as unknown as Report;

test('images by the server, decisions and requests among the events', { timeout: 120_000 }, async () => {
  const report = await run('--server', server.url, ...data, '--minimise', 'device');
  expect(report.samples).toBe(report.answers.length);
  expect(report.plan.cut).toBe(0);
  expect(report.computed.some(({ where }) => where === 'server')).toBe(true);
  expect(report.bytesSent).toBeGreaterThan(0);
  expect(report.accuracy).toBeGreaterThanOrEqual(0);
  const kinds = new Set(report.events.map(({ kind }) => kind));
  expect([...kinds]).toEqual(expect.arrayContaining(['probe', 'decision', 'offload']));
  const times = report.events.map(({ ms }) => ms);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});

test('a server that is not there: the device answers, and says why', { timeout: 120_000 }, async () => {
  const report = await run('--server', 'http://127.0.0.1:9', ...data, '--window', '3', '--deadline', '10s');
  expect(report.answers.every(({ where, failure }) => where === 'device' && failure?.kind === 'unreachable')).toBe(
    true,
  );
  expect(report.bytesSent).toBe(0);
});

test('one image, without a server', async () => {
  const image = join(folder, 'digit.png');
  writeFileSync(image, await imageFile('png', [200], { width: 28, height: 28 }));
  const report = await run('--input', image, '--repeat', '3');
  expect(report).toMatchObject({ samples: 3, accuracy: null, bytesSent: 0 });
  const { out } = await cuttle(['offload', path, '--input', image]);
  expect(out).toMatch(/computed on the device in/);
});

test('refusals', async () => {
  expectRefusal(await cuttle(['offload', path]), 2, /--input FILE/);
  expectRefusal(await cuttle(['offload', path, ...data, '--deadline', 'soon']), 2, /no.* duration|not a duration/);
  expectRefusal(
    await cuttle(['offload', path, ...data, '--server', 'x', '--profile', join(folder, 'none.json')]),
    3,
    /none\.json/,
  );
});
