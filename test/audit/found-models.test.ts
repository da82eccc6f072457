/** Models taken out of audited apps again, and measured. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cuttle, scratchFolder } from '../cli/cli.js';
import { FakePhone, serveFakeAdb } from '../measure/fake-adb.js';
import { encodeModel } from '../../src/onnx/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { writeZip } from './zip-writer.js';

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const shared = resolve(import.meta.dirname, '../../../shared/models/formats/mlperf-tiny');
const onnx = encodeModel(buildArchitecture('lenet-5', { classes: 10, input: [1, 28, 28], seed: 1 }));
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(async () => {
  mkdirSync(at('apps'));
  const tflite = existsSync(shared) ? readFileSync(join(shared, 'kws_ref_model_float32.tflite')) : undefined;
  if (tflite === undefined) console.log('no ../shared: the TensorFlow Lite model is left out');
  const entries = [
    { name: 'assets/net.dat', data: onnx },
    ...(tflite ? [{ name: 'assets/kws.tflite', data: tflite }] : []),
  ];
  writeFileSync(at('apps/one.zip'), writeZip(entries));
  // The same model in a second app is taken and measured once.
  writeFileSync(at('apps/two.zip'), writeZip([{ name: 'other/name.bin', data: onnx }]));
  const { code, err } = await cuttle(['audit', at('apps'), '--out', at('run'), '--workers', '1', '--json']);
  expect({ code, err: code === 0 ? [] : err }).toEqual({ code: 0, err: [] });
}, 60_000);

describe('cuttle audit extract', () => {
  test('gives each distinct model once, byte for byte, under its checksum', async () => {
    const { code, out } = await cuttle(['audit', 'extract', at('run'), '--out', at('models'), '--json']);
    expect(code).toBe(0);
    const { files, missed } = JSON.parse(out) as { files: readonly { file: string }[]; missed: readonly unknown[] };
    expect(missed).toEqual([]);
    expect(files.length).toBe(existsSync(shared) ? 2 : 1);
    for (const { file } of files)
      expect(sha(readFileSync(at(`models/${file}`)))).toMatch(new RegExp(`^${file.slice(0, 16)}`));
    expect(files.map(({ file }) => file)).toContain(`${sha(onnx).slice(0, 16)}.dat`);
    expect((await cuttle(['audit', 'extract', at('run'), '--out', at('models')])).code).toBe(2);
    expect((await cuttle(['audit', 'extract', folder, '--out', at('else')])).code).toBe(3);
  });

  test('an app that has changed costs its models, with a reason', async () => {
    const apps = at('changing');
    mkdirSync(apps);
    writeFileSync(join(apps, 'app.zip'), writeZip([{ name: 'a.onnx', data: onnx }]));
    await cuttle(['audit', apps, '--out', at('run-2'), '--workers', '1']);
    const other = encodeModel(buildArchitecture('lenet-5', { classes: 7, input: [1, 28, 28], seed: 1 }));
    writeFileSync(join(apps, 'app.zip'), writeZip([{ name: 'a.onnx', data: other }]));
    const { out } = await cuttle(['audit', 'extract', at('run-2'), '--out', at('models-2'), '--json']);
    expect(JSON.parse(out)).toMatchObject({
      files: [],
      missed: [{ reason: expect.stringContaining('has changed') as string }],
    });
  });
});

describe('cuttle audit bench', () => {
  test('measures on this computer, and goes on where it was', async () => {
    const words = ['audit', 'bench', at('run'), '--threads', '1', '--openings', '2', '--runs', '3', '--json'];
    const { code, out, err } = await cuttle(words);
    expect({ code, err: code === 0 ? [] : err }).toEqual({ code: 0, err: [] });
    const { measurements } = JSON.parse(out) as {
      measurements: readonly { model: string; latencyMs?: { p50: number }; failure?: string }[];
    };
    expect(measurements.map(({ failure }) => failure ?? '')).toEqual(measurements.map(() => ''));
    expect(measurements.map(({ model }) => model)).toContain(sha(onnx));
    for (const { latencyMs } of measurements) expect(latencyMs!.p50).toBeGreaterThan(0);
    const again = JSON.parse((await cuttle(words)).out) as { measurements: readonly unknown[]; skipped: number };
    expect(again).toMatchObject({ measurements: [], skipped: measurements.length });
    expect(readdirSync(at('run/measurements')).length).toBe(measurements.length);
  }, 60_000);

  test.skipIf(!existsSync(shared))('measures on a phone with the framework’s program', async () => {
    const phone = new FakePhone();
    phone.program = () => ({
      stdout:
        'INFO: count=20 first=1000 curr=900 min=880 max=1100 avg=950 std=19\nINFO: Inference timings in us: Init: 500, First inference: 1000, Warmup (avg): 960, Inference (avg): 950\n',
    });
    const server = await serveFakeAdb(phone);
    writeFileSync(at('benchmark_model'), 'binary');
    const words = ['--android', '--program', at('benchmark_model'), '--plans', '1,4a2', '--adb-port', `${server.port}`];
    const { code, out } = await cuttle(['audit', 'bench', at('run'), ...words, '--json']);
    await server.close();
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      device: 'Acme Phone 7',
      measurements: [
        { backend: 'cpu', threads: 1, latencyMs: { mean: 0.95, p90: 1.1 }, cv: 0.02 },
        { backend: 'cpu', threads: 4, affinity: '2 fastest' },
      ],
    });
  });
});
