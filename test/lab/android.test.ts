/** @file The agent for a phone over adb, with an emulated adb server: what it says of the phone, what it measures, cables that come off. */
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { benchmarkTools } from '../../src/measure/android/tools.js';
import type { AgentEvent } from '../../src/measure/lab/agent.js';
import { deviceName, runAndroidAgent, type AndroidAgentOptions } from '../../src/measure/lab/android-agent.js';
import type { LabClient } from '../../src/measure/lab/client.js';
import { openAndroid } from '../../src/platform/node/adb.js';
import { FakePhone, serveFakeAdb } from '../measure/fake-adb.js';
import { lab, labFolder, ownerOf, uploaded } from './labs.js';

const OUTPUT = `INFO: count=2 first=31000 curr=29000 min=29000 max=31000 avg=30000 std=1000
INFO: count=50 first=29100 curr=28900 min=28000 max=30500 avg=29050 std=400 p5=28100 median=29000 p95=30100
INFO: Inference timings in us: Init: 12345, First inference: 31000, Warmup (avg): 30000, Inference (avg): 29050
INFO: Overall peak memory footprint (MB) via periodic monitoring: 10.5
`;

let phone: FakePhone;
let adb: Awaited<ReturnType<typeof serveFakeAdb>>;
let owner: LabClient;
let stop: AbortController;
let events: AgentEvent[];
let agent: Promise<void>;
let failure: Error | undefined;
/** Generous: the first test loads the adb library, on machines that are busy with the other tests. */
const WAIT = 60_000;
const names = async (): Promise<readonly string[]> => {
  if (failure !== undefined) throw failure;
  return (await owner.devices()).map(({ name }) => name);
};
/** TFL3 files are not read here: the program on the phone does that. */
const model = new TextEncoder().encode('    TFL3 and so on');

async function start(change: Partial<AndroidAgentOptions> = {}): Promise<void> {
  const opened = await lab({ leaseMs: 2000 });
  owner = ownerOf(opened);
  stop = new AbortController();
  events = [];
  failure = undefined;
  agent = runAndroidAgent({
    ...{ url: opened.url, token: opened.file.joinToken, memory: labFolder(), signal: stop.signal },
    open: () => openAndroid(undefined, { port: adb.port }),
    ...{ tool: benchmarkTools.tflite, program: new TextEncoder().encode('binary') },
    onEvent: (event) => void events.push(event),
    ...change,
  });
  agent.catch((error: Error) => (failure = error));
}

beforeEach(async () => {
  phone = new FakePhone();
  phone.program = () => ({ stdout: OUTPUT });
  adb = await serveFakeAdb(phone);
});
afterEach(async () => {
  stop.abort();
  await agent.catch(() => undefined);
  await adb.close();
});
afterAll(() => adb.close());

test('joins as the phone, and measures with its framework’s program', { timeout: 3 * WAIT }, async () => {
  await start();
  await expect.poll(names, { timeout: WAIT }).toEqual(['Acme Phone 7']);
  const [device] = await owner.devices();
  expect(device!.description).toMatchObject({
    ...{
      agent: 'android',
      soc: 'Acme Phone 7 (AC700)',
      physicalCores: 8,
      os: 'Android 14 (API 34)',
      kinds: ['latency'],
    },
    state: { batteryLevel: 0.81, charging: true },
  });
  expect(device!.description.backends[0]).toEqual({ name: 'cpu', maxThreads: 8, formats: ['tflite'] });

  let command = '';
  phone.program = (given) => {
    command = given;
    return { stdout: OUTPUT };
  };
  const spec = await uploaded(owner, model, { format: 'tflite', backend: 'xnnpack', threads: 2, runs: 50, warmup: 2 });
  const { jobs } = await owner.submit({ devices: ['Acme Phone 7'], specs: [spec] });
  expect(await owner.settled(jobs[0]!.id, { maxMs: WAIT })).toMatchObject({ state: 'done', attempts: 1 });
  expect(command).toMatch(/--graph=\S+model\.tflite --num_threads=2 .*--num_runs=50 .*--use_xnnpack=true/);
  const { value, before, after } = await owner.result(jobs[0]!.id);
  expect(value).toMatchObject({
    ...{ loadMs: 12.345, firstMs: 31, latencyMs: { mean: 29.05, p50: 29, min: 28, std: 0.4, runs: 50 } },
    device: { threads: 2, executionProvider: 'xnnpack', runtime: 'TensorFlow Lite benchmark_model' },
    peakBytes: 11_010_048,
  });
  expect(value).not.toHaveProperty('latencyMs.p90');
  expect([before?.batteryLevel, after?.batteryLevel]).toEqual([0.81, 0.81]);
  expect(phone.log.at(-1)).toBe('phone: cleaned');
});

test('refuses what the program cannot do, with the reason', { timeout: 3 * WAIT }, async () => {
  await start();
  await expect.poll(names, { timeout: WAIT }).toEqual(['Acme Phone 7']);
  const tflite = await uploaded(owner, model, { format: 'tflite', backend: 'auto' });
  const specs = [
    { ...tflite, batch: 2 },
    { ...tflite, backend: 'native' },
    { ...tflite, format: 'onnx' as const },
  ];
  phone.program = () => ({ stdout: 'ERROR: delegate is not there\n', exitCode: 1 });
  const { jobs } = await owner.submit({ devices: ['Acme Phone 7'], specs: [...specs, { ...tflite, backend: 'gpu' }] });
  const settled = [];
  for (const { id } of jobs) settled.push(await owner.settled(id, { maxMs: WAIT }));
  expect(settled.map(({ state, error }) => `${state}: ${error?.message}`)).toEqual([
    expect.stringMatching(/^failed: .*neither batches/),
    expect.stringMatching(/^failed: .*no back end 'native': cpu, xnnpack/),
    expect.stringMatching(/^failed: .*does not run ONNX models/),
    expect.stringMatching(/^failed: .*ended with code 1.*delegate is not there/),
  ]);
  await expect(runAndroidAgent({ ...options(), tool: benchmarkTools.ncnn })).rejects.toThrow(/runs none of the models/);
});

const options = (): AndroidAgentOptions => ({
  ...{ url: 'http://127.0.0.1:1', token: 'x', tool: benchmarkTools.tflite, program: new Uint8Array() },
  open: () => openAndroid(undefined, { port: adb.port }),
});

test(
  'a phone that is unplugged while it measures: its job waits for it, and is done when it is back',
  { timeout: 3 * WAIT },
  async () => {
    const detached: string[] = [];
    await start({ onDetached: (why) => void detached.push(why) });
    await expect.poll(names, { timeout: WAIT }).toEqual(['Acme Phone 7']);
    let gone: Promise<void> | undefined;
    phone.program = () => {
      gone = adb.close();
      return { stdout: OUTPUT };
    };
    const spec = await uploaded(owner, model, { format: 'tflite', backend: 'cpu' });
    const { jobs } = await owner.submit({ devices: ['Acme Phone 7'], specs: [spec] });
    await expect.poll(() => detached.length, { timeout: WAIT }).toBe(1);
    await gone;
    expect(await owner.job(jobs[0]!.id)).toMatchObject({ state: 'queued', attempts: 1 });
    phone.program = () => ({ stdout: OUTPUT });
    adb = await serveFakeAdb(phone);
    expect(await owner.settled(jobs[0]!.id, { maxMs: WAIT })).toMatchObject({ state: 'done', attempts: 2 });
    expect(events.some((event) => event.kind === 'ended' && event.outcome.kind === 'given-up')).toBe(true);
  },
);

test('names of devices are made what the protocol takes', () => {
  expect(['Acme “7” / X', '...', '', 'Größe 5+', 'x'.repeat(90)].map(deviceName)).toEqual([
    ...['Acme 7  X', 'device', 'device', 'Größe 5+', 'x'.repeat(64)],
  ]);
});
