/** @file `cuttle lab` and `cuttle adapt --device` on the command line, with a real server and a real agent. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runNodeAgent } from '../../src/measure/lab/node-agent.js';
import { cuttle, digitsModel, expectRefusal, isBuilt, jsonOf, scratchFolder, writeModel, type Outcome } from './cli.js';

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const model = writeModel(folder, 'resnet.onnx', digitsModel('resnet-8'));

test.each([
  ['an action that is none', ['fly'], 2, /no 'lab fly'/],
  ['nobody to join', ['join'], 2, /join whom/],
  ['no address', ['join', 'http://['], 2, /no address/],
  ['no token', ['join', 'http://127.0.0.1:1'], 2, /needs the join token/],
  ['nothing to submit', ['submit'], 2, /submit what/],
  ['no question', ['query'], 2, /query what/],
  ['half of a phone', ['join', 'http://127.0.0.1:1', '--token', 'x', '--android'], 2, /needs --program/],
  ['nothing to cancel', ['cancel'], 2, /cancel which/],
  ['a folder that is no lab’s', ['devices', '--lab', folder], 3, /no lab's folder/],
  ['a URL without a token', ['devices', '--lab', 'http://127.0.0.1:1'], 2, /owner’s token/],
  ['half of a TLS pair', ['serve', '--tls-cert', 'x'], 2, /go together/],
  ['an unknown kind', ['submit', model, '--kind', 'magic'], 2, /--kind/],
] as const)('lab refuses %s', async (_, words, code, message) => {
  expectRefusal(await cuttle(['lab', ...words]), code, message);
});

test('adapt refuses a profile beside a device', async () => {
  const words = ['adapt', model, '--data', 'mnist', '--budget', '50%', '--out', at('never')];
  expectRefusal(await cuttle([...words, '--profile', 'x.json', '--device', 'phone']), 2, /--profile and --device/);
});

describe.skipIf(!isBuilt)('a lab with one device', { timeout: 240_000 }, () => {
  const dir = at('the-lab');
  const lines: string[] = [];
  const stop = new AbortController();
  const leave = new AbortController();
  let served: Promise<Outcome>;
  let agent: Promise<void>;
  let url = '';
  let token = '';
  beforeAll(async () => {
    await new Promise<void>((resolve, reject) => {
      const words = ['lab', 'serve', '--dir', dir, '--port', '0'];
      const onLine = (line: string): void => {
        lines.push(line);
        const said = /^lab at (\S+), join token (\S+)$/.exec(line);
        if (said === null) return;
        [, url, token] = said as unknown as [string, string, string];
        resolve();
      };
      served = cuttle(words, { signal: stop.signal, onLine });
      served.then(({ err }) => reject(new Error(err.join('\n'))), reject);
    });
    await new Promise<void>((resolve) => {
      const onEvent = ({ kind }: { readonly kind: string }): void => (kind === 'waiting' ? resolve() : undefined);
      agent = runNodeAgent({ url, token, name: 'pocket phone', memory: at('memory'), signal: leave.signal, onEvent });
      agent.catch(() => undefined);
    });
  });
  afterAll(async () => {
    leave.abort();
    stop.abort();
    await served;
  });

  test('the server says how to come in, and draws it', () => {
    const text = lines.join('\n');
    expect(text).toContain(`browsers open ${url}/#token=${token}`);
    expect(text).toContain(`cuttle lab join ${url} --token ${token}`);
    expect(text).toMatch(/adb reverse/);
    expect(text).toMatch(/[▀▄█]{5}/);
  });

  test('devices, submit, jobs, results in every form', async () => {
    const devices = (await jsonOf(['lab', 'devices', '--lab', dir])) as { devices: { name: string; live: boolean }[] };
    expect(devices.devices).toMatchObject([{ name: 'pocket phone', live: true }]);
    expect((await cuttle(['lab', 'devices', '--lab', dir])).out).toMatch(/pocket phone +(waiting|measuring) +node/);
    const words = ['lab', 'submit', model, '--lab', dir, '--device', 'all', '--runs', '3', '--warm-up', '1'];
    const sweep = ['--backend', 'native,wasm', '--threads', '1,2', '--batch', '1'];
    const outcome = await cuttle([...words, ...sweep, '--wait']);
    expect(outcome.code).toBe(0);
    expect(outcome.out.match(/ done /g)).toHaveLength(4);
    expect(outcome.out).toMatch(/p50/);
    expect(await jsonOf([...words, ...sweep])).toMatchObject({ added: 0 });

    const jobs = (await jsonOf(['lab', 'jobs', '--lab', dir])) as { jobs: { state: string }[] };
    expect(jobs.jobs.map(({ state }) => state)).toEqual(['done', 'done', 'done', 'done']);
    const csv = await cuttle(['lab', 'results', '--lab', dir, '--csv']);
    expect(csv.out.trimEnd().split('\r\n')).toHaveLength(5);
    const written = ['--csv', at('r.csv'), '--parquet', at('r.parquet')];
    expect((await cuttle(['lab', 'results', '--lab', dir, ...written])).out).toMatch(/4 results in/);
    expect(readFileSync(at('r.csv'), 'utf8')).toBe(csv.out);
    expect(readFileSync(at('r.parquet')).subarray(0, 4).toString()).toBe('PAR1');
    expect(existsSync(join(dir, 'results.duckdb'))).toBe(true);
    const sql = 'SELECT backend, count(*) AS n FROM results GROUP BY ALL ORDER BY backend';
    expect(await jsonOf(['lab', 'query', sql, '--lab', dir])).toMatchObject({
      rows: [
        { backend: 'native', n: 2 },
        { backend: 'wasm', n: 2 },
      ],
    });
  });

  test('a device that is not there, and cancelling', async () => {
    const words = ['lab', 'submit', model, '--lab', dir];
    expectRefusal(await cuttle([...words, '--device', 'nobody']), 2, /no device 'nobody'.*pocket phone/);
    // No agent has this back end, so the job waits.
    const { jobs } = (await jsonOf([...words, '--backend', 'webgpu'])) as { jobs: { id: string; state: string }[] };
    expect(jobs).toMatchObject([{ state: 'queued' }]);
    const cancelled = await jsonOf(['lab', 'cancel', jobs[0]!.id, '--lab', dir]);
    expect(cancelled).toMatchObject({ jobs: [{ state: 'cancelled' }] });
    expectRefusal(await cuttle(['lab', 'cancel', jobs[0]!.id, '--lab', dir]), 2, /cancelled already/);
  });

  test('adapt --device: measured there, searched here; a second search measures nothing, not even with the lab stopped', async () => {
    const quick = ['--limit', '200', '--epochs', '1', '--max-exits', '3', '--effort', '300', '--head', 'pool'];
    const words = ['adapt', model, '--data', 'mnist', ...quick, '--out', at('out'), '--lab', dir];
    const heard: string[] = [];
    const onLine = (line: string): void => void heard.push(line);
    const found = (await jsonOf([...words, '--budget', '95%', '--device', 'pocket phone'], { onLine })) as {
      latencyFrom: string;
      device: { executionProvider: string };
      backbone: { latencyMs: number };
      designs: { latencyMs: { predicted: number; measured: number | null } }[];
      artefacts: { design: string[] };
    };
    expect(heard.join('\n')).toMatch(/measuring on the other device/);
    expect(found).toMatchObject({ latencyFrom: 'profile', device: { executionProvider: 'CPU' } });
    expect(found.designs[0]!.latencyMs.measured).toBeNull();
    expect(found.designs[0]!.latencyMs.predicted).toBeLessThanOrEqual(0.95 * found.backbone.latencyMs * 1.000001);
    expect(found.artefacts.design[0]).toMatch(/design-95pc-pocket-phone\.json$/);

    // The device's own times decided, not this machine's.
    const results = (await jsonOf(['lab', 'results', '--lab', dir])) as {
      results: { spec: { kind: string }; value: { segmentsMs: number[] } }[];
    };
    const { value } = results.results.find(({ spec }) => spec.kind === 'exit-costs')!;
    expect(found.backbone.latencyMs).toBeCloseTo(
      value.segmentsMs.reduce((sum, ms) => sum + ms, 0),
      9,
    );

    // The same artefact, handed over as a file, for a device ten times as slow.
    const slower = (ms: readonly number[]): number[] => ms.map((one) => 10 * one);
    const { segmentsMs, ...rest } = value as typeof value & { headsMs: number[]; exitMs: number[]; backboneMs: number };
    const ten = {
      ...{ ...rest, segmentsMs: slower(segmentsMs), headsMs: slower(rest.headsMs), exitMs: slower(rest.exitMs) },
      backboneMs: 10 * rest.backboneMs,
    };
    writeFileSync(at('slow.json'), JSON.stringify(ten));
    const slow = (await jsonOf([...words, '--budget', '95%', '--profile', at('slow.json')], {
      onLine,
    })) as typeof found;
    expect(slow.backbone.latencyMs / found.backbone.latencyMs).toBeCloseTo(10, 6);

    expectRefusal(await cuttle([...words, '--budget', '95%', '--device', 'nobody']), 2, /no device 'nobody'/);
    const webgpu = [...words, '--budget', '95%', '--device', 'pocket phone', '--device-backend', 'webgpu'];
    expectRefusal(await cuttle(webgpu), 4, /no back end 'webgpu'/);

    leave.abort();
    await expect(agent).rejects.toThrow();
    const absent = [
      ...words,
      '--budget',
      '95%',
      '--device',
      'pocket phone',
      '--threads',
      '2',
      '--device-patience',
      '0.1',
    ];
    expectRefusal(await cuttle(absent), 1, /did not take the job/);
    stop.abort();
    expect((await served).code).toBe(0);
    const again = await jsonOf([...words, '--budget', '90%', '--device', 'pocket phone'], { onLine });
    expect(again).toMatchObject({ latencyFrom: 'profile' });
    expect(heard.join('\n')).toMatch(/has measured it already/);
    // Without a server there is no one to ask, and nothing is made up.
    expectRefusal(await cuttle(absent), 1, /no server runs the lab/);
    expect((await cuttle(['lab', 'devices', '--lab', dir])).out).toMatch(/pocket phone +gone/);
  });
});
