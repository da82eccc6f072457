import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  benchmarkTools,
  cleanDevice,
  describeAndroid,
  fastestMask,
  parseThreadPlan,
  prepareDevice,
  runOnDevice,
  runUnplugged,
  unpluggedScript,
  type AndroidJob,
} from '../../src/measure/android/index.js';
import { androidBatteryMeter, androidRailsMeter } from '../../src/measure/energy/android-meters.js';
import { androidSerials, openAndroid } from '../../src/platform/node/adb.js';
import { listenFor } from '../../src/platform/node/notify.js';
import { FakePhone, serveFakeAdb } from './fake-adb.js';

const tfliteOutput = `INFO: STARTING!
INFO: Loaded model /data/local/tmp/cuttle/model.tflite
INFO: Running benchmark for at least 2 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=2 first=31000 curr=29000 min=29000 max=31000 avg=30000 std=1000
INFO: count=50 first=29100 curr=28900 min=28000 max=30500 avg=29050 std=400 p5=28100 median=29000 p95=30100
INFO: Inference timings in us: Init: 12345, First inference: 31000, Warmup (avg): 30000, Inference (avg): 29050
INFO: Overall peak memory footprint (MB) via periodic monitoring: 10.5
`;

let phone: FakePhone;
let server: Awaited<ReturnType<typeof serveFakeAdb>>;
const noWait = (): Promise<void> => Promise.resolve();
const job: AndroidJob = {
  tool: benchmarkTools.tflite,
  program: new TextEncoder().encode('binary'),
  files: [{ name: 'model.tflite', bytes: new Uint8Array(200_000).fill(7) }],
  input: { name: 'input', shape: [1, 96, 96, 3] },
};
const configuration = { plan: parseThreadPlan('4a2'), delegate: 'cpu', warmup: 2, runs: 50 };

beforeEach(async () => {
  await server?.close();
  phone = new FakePhone();
  phone.program = () => ({ stdout: tfliteOutput });
  server = await serveFakeAdb(phone);
});
afterAll(() => server.close());

describe('over adb', () => {
  test('finds the phone, and says what it is', async () => {
    expect(await androidSerials({ port: server.port })).toEqual(['FAKE0001']);
    await expect(openAndroid('other', { port: server.port })).rejects.toThrow(
      /no Android device 'other'; attached: FAKE0001/,
    );
    const device = await openAndroid(undefined, { port: server.port });
    expect(await describeAndroid(device)).toMatchObject({
      model: 'Phone 7',
      soc: 'AC700',
      sdk: 34,
      abis: ['arm64-v8a', 'armeabi-v7a'],
      memoryBytes: 8_000_000_000,
      batteryMilliampHours: 4410,
      clusters: [
        { cores: [0, 1, 2, 3], maxMegahertz: 1800 },
        { cores: [4, 5, 6], maxMegahertz: 2400 },
        { cores: [7], maxMegahertz: 2900 },
      ],
    });
    await device.close();
  });

  test('no server, one clear line', async () => {
    await expect(openAndroid(undefined, { port: 1 })).rejects.toThrow(/no adb server answers at 127.0.0.1:1/);
  });

  test('pushes, cools, runs pinned to the fastest cores, reads times, cleans', async () => {
    const device = await openAndroid(undefined, { port: server.port });
    const description = await describeAndroid(device);
    let command = '';
    phone.program = (text) => {
      command = text;
      return { stdout: tfliteOutput };
    };
    phone.celsius = 45;
    let waited = 0;
    await prepareDevice(device, job);
    expect(phone.files.get('/data/local/tmp/cuttle/model.tflite')!.bytes.equals(Buffer.alloc(200_000, 7))).toBe(true);
    expect(phone.files.get('/data/local/tmp/cuttle/program')!.mode).toBe(0o755);
    const measured = await runOnDevice(
      device,
      description,
      job,
      { ...configuration, batch: 5 },
      {
        wait: (milliseconds) => {
          waited += milliseconds;
          return Promise.resolve();
        },
        coolTo: 35,
      },
    );
    expect(waited).toBe(6000);
    expect(command).toContain(
      'taskset c0 /data/local/tmp/cuttle/program --graph=/data/local/tmp/cuttle/model.tflite --num_threads=4',
    );
    expect(command).toContain('--input_layer_shape=5,96,96,3');
    expect(measured).toMatchObject({
      plan: '4a2',
      batch: 5,
      times: {
        meanMs: 29.05,
        p50Ms: 29,
        minMs: 28,
        loadMs: 12.345,
        firstMs: 31,
        runs: 50,
        peakMemoryBytes: 10.5 * 2 ** 20,
      },
    });
    await cleanDevice(device);
    expect(phone.log.at(-1)).toBe('phone: cleaned');
    await device.close();
  });

  test('a program that fails says why; a delegate that the tool lacks is refused', async () => {
    const device = await openAndroid(undefined, { port: server.port });
    const description = await describeAndroid(device);
    await prepareDevice(device, job);
    phone.program = () => ({ stdout: 'ERROR: Failed to load model\n', exitCode: 1 });
    const run = (delegate: string) =>
      runOnDevice(device, description, job, { ...configuration, delegate }, { wait: noWait });
    await expect(run('cpu')).rejects.toThrow(/ended with code 1 and said no time: ERROR: Failed to load model/);
    await expect(run('tpu')).rejects.toThrow(/no delegate 'tpu'/);
    await device.close();
  });

  test('power rails count while a cable is attached, the battery gauge refuses', async () => {
    const device = await openAndroid(undefined, { port: server.port });
    const description = await describeAndroid(device);
    await prepareDevice(device, job);
    const meter = await androidRailsMeter(device, /CPU/);
    expect(meter.source).toBe('S2M_VDD_CPUCL0');
    const { energy } = await runOnDevice(device, description, job, configuration, {
      wait: noWait,
      meter,
      idleSeconds: 0,
    });
    expect(energy).toMatchObject({ meter: 'android-rails', inferences: 52 });
    expect(energy!.totalJoules).toBeCloseTo(0.5, 9);
    await expect(androidBatteryMeter(device, { wait: noWait })).rejects.toThrow(/fed by a cable/);
    phone.powered = false;
    const gauge = await androidBatteryMeter(device, {
      intervalMs: 5,
      wait: (ms) => new Promise((r) => setTimeout(r, ms)),
    });
    const running = await gauge.start();
    await new Promise((resolve) => setTimeout(resolve, 30));
    const reading = await running.stop();
    expect(reading.totalJoules / reading.seconds).toBeCloseTo(2, 9);
    await device.close();
  });

  test('the study’s loop: power off before warm-up, Wi-Fi on before the report, power on before collecting (G6)', async () => {
    const device = await openAndroid(undefined, { port: server.port });
    const description = await describeAndroid(device);
    const listener = await listenFor('done-42', '127.0.0.1');
    const log = phone.log;
    const measured = await runUnplugged(device, description, job, configuration, {
      power: {
        off: () => {
          log.push('host: power off');
          phone.powered = false;
          return Promise.resolve();
        },
        on: () => {
          log.push('host: power on');
          phone.powered = true;
          return Promise.resolve();
        },
      },
      notification: { host: '127.0.0.1', port: listener.port, token: 'done-42', heard: (ms) => listener.heard(ms) },
      reopen: () => openAndroid(undefined, { port: server.port }),
      onStep: (step) => log.push(`host: ${step}`),
    });
    await listener.close();
    await device.close();
    expect(log).toEqual([
      'host: prepare',
      'phone: folder',
      'phone: got program',
      'phone: got model.tflite',
      'phone: got run.sh',
      'host: start',
      'phone: started',
      'host: wifi-off',
      'phone: wifi off',
      'host: power-off',
      'host: power off',
      'phone: saw power-off',
      'phone: warm-up and runs',
      'phone: wifi on',
      'phone: reports',
      'host: reported',
      'host: power-on',
      'host: power on',
      'host: collect',
      'phone: gave output',
      'phone: gave events',
      'phone: gave gauge',
      'host: clean',
      'phone: cleaned',
    ]);
    // 4 s at 3 W, less 1 W idle, over 52 inferences; the gauge's steps fall within a sample of the ends.
    expect(measured.energy).toMatchObject({ meter: 'android-battery', inferences: 52 });
    expect(measured.energy!.idleWatts).toBeCloseTo(1, 9);
    expect(measured.energy!.joules).toBeCloseTo(8, 0);
    expect(measured.times.meanMs).toBe(29.05);
  });

  test('power comes back even where the phone never reports', async () => {
    const device = await openAndroid(undefined, { port: server.port });
    const description = await describeAndroid(device);
    const listener = await listenFor('other', '127.0.0.1');
    const steps: string[] = [];
    const idle = { off: noWait, on: noWait };
    await expect(
      runUnplugged(device, description, job, configuration, {
        power: idle,
        notification: { host: '127.0.0.1', port: listener.port, token: 'never', heard: (ms) => listener.heard(ms) },
        reopen: () => openAndroid(undefined, { port: server.port }),
        timeoutMs: 50,
        onStep: (step) => steps.push(step),
      }),
    ).rejects.toThrow(/did not report/);
    expect(steps.at(-1)).toBe('power-on');
    await listener.close();
    await device.close();
  });
});

describe('the phone’s script', () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'cuttle-phone-'));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test('runs under a real shell: waits for the cable, keeps events, gauge and exit code, reports until heard', () => {
    const supply = join(root, 'supply');
    for (const name of ['usb', 'battery']) mkdirSync(join(supply, name), { recursive: true });
    writeFileSync(join(supply, 'usb/online'), '1\n');
    writeFileSync(join(supply, 'battery/current_now'), '-500000\n');
    writeFileSync(join(supply, 'battery/voltage_now'), '4000000\n');
    const bin = join(root, 'bin');
    mkdirSync(bin);
    const stub = (name: string, body: string): void => {
      writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(bin, name), 0o755);
    };
    stub('svc', `echo "svc $@" >> ${root}/calls`);
    // Refuses once, then hears the token.
    stub('nc', `read line; echo "nc $@ $line" >> ${root}/calls; [ $(grep -c nc ${root}/calls) -gt 1 ]`);
    const script = unpluggedScript('sh -c "echo out; exit 3"', { host: '10.0.0.1', port: 99, token: 't1' }, 1)
      .replaceAll('/data/local/tmp/cuttle', root)
      .replaceAll('/sys/class/power_supply', supply);
    writeFileSync(join(root, 'run.sh'), script);
    execFileSync('sh', ['-c', `(sleep 0.6; echo 0 > ${supply}/usb/online) & sh ${root}/run.sh`], {
      env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
    });
    expect(readFileSync(join(root, 'output'), 'utf8')).toBe('out\nexit=3\n');
    expect(readFileSync(join(root, 'calls'), 'utf8')).toBe(
      'svc wifi enable\nnc -w 2 10.0.0.1 99 t1\nnc -w 2 10.0.0.1 99 t1\n',
    );
    const events = [...readFileSync(join(root, 'events'), 'utf8').matchAll(/^([\d.]+) (\S+)$/gm)];
    expect(events.map((match) => match[2])).toEqual(['power-off', 'begin', 'end']);
    const times = events.map((match) => Number(match[1]));
    expect(times[1]! - times[0]!).toBeGreaterThan(0.9);
    expect(readFileSync(join(root, 'gauge'), 'utf8')).toMatch(/^[\d.]+ -500000 4000000\n/);
  });
});

describe('threads and cores', () => {
  const clusters = [
    { cores: [0, 1, 2, 3], maxMegahertz: 1800 },
    { cores: [4, 5, 6], maxMegahertz: 2400 },
    { cores: [7], maxMegahertz: 2900 },
  ];
  test('4a2 is four threads on the two fastest cores', () => {
    expect(parseThreadPlan('4a2')).toEqual({ threads: 4, fastest: 2 });
    expect(parseThreadPlan('8')).toEqual({ threads: 8 });
    expect(fastestMask(clusters, 1)).toBe('80');
    expect(fastestMask(clusters, 4)).toBe('f0');
    expect(fastestMask(clusters, 8)).toBe('ff');
    expect(() => fastestMask(clusters, 9)).toThrow(/shows 8/);
    for (const wrong of ['', '0', 'a2', '4a0', '4b2']) expect(() => parseThreadPlan(wrong)).toThrow(/no thread plan/);
  });
});

describe('the frameworks’ programs', () => {
  test('onnxruntime_perf_test', () => {
    expect(
      benchmarkTools.onnxruntime.parse(
        'Session creation time cost: 0.0123 s\nFirst inference time cost: 5 ms\nTotal inference requests: 100\nAverage inference time cost: 5.01 ms\nPeak working set size: 12345678 bytes\nMin Latency: 0.0048 s\nMax Latency: 0.0625 s\nP50 Latency: 0.005 s\nP90 Latency: 0.0055 s\n',
      ),
    ).toEqual({
      meanMs: 5.01,
      p50Ms: 5,
      p90Ms: 5.5,
      minMs: 4.8,
      maxMs: 62.5,
      loadMs: 12.3,
      firstMs: 5,
      runs: 100,
      peakMemoryBytes: 12345678,
    });
  });
  test('benchncnn, with the input as width, height, channels', () => {
    expect(benchmarkTools.ncnn.parse('  squeezenet  min =   11.66  max =   11.80  avg =   11.74\n')).toEqual({
      minMs: 11.66,
      maxMs: 11.8,
      meanMs: 11.74,
    });
    const words = benchmarkTools.ncnn.arguments(
      'm.param',
      { threads: 2, delegate: 'cpu', warmup: 1, runs: 8, input: { name: 'data', shape: [3, 240, 320] } },
      ['-1'],
    );
    expect(words).toEqual(['8', '2', '0', '-1', '0', 'param=m.param', 'shape=[320,240,3]']);
  });
  test('nothing is read out of other text', () => {
    for (const tool of Object.values(benchmarkTools)) expect(tool.parse('Segmentation fault')).toBeUndefined();
  });
});
