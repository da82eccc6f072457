import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cuttle, scratchFolder } from '../cli/cli.js';
import { FakePhone, serveFakeAdb } from './fake-adb.js';

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);

describe('cuttle bench energy', () => {
  beforeAll(() => {
    // 1 W for 10 s, then 3 W for 10 s, at 4 V.
    const rows = Array.from({ length: 2001 }, (_, i) => `${i / 100},${i < 1000 ? 250 : 750}`);
    writeFileSync(at('recording.csv'), `Time(s),Main(mA)\n${rows.join('\n')}\n`);
  });
  const words = (more: string): string[] => [
    'bench',
    'energy',
    at('recording.csv'),
    '--inferences',
    '100',
    ...more.split(' '),
    '--json',
  ];

  test('energy per inference and battery share', async () => {
    const { code, out } = await cuttle(words('--volts 4 --from 12 --to 17 --idle-from 1 --idle-to 9 --battery 4000'));
    expect(code).toBe(0);
    const { energy, scenarios } = JSON.parse(out) as {
      energy: { joulesPerInference: number; meter: string };
      scenarios: readonly { scenario: string; batteryShare: number }[];
    };
    expect(energy.meter).toBe('power-monitor');
    expect(energy.joulesPerInference).toBeCloseTo(0.1, 9);
    // 54,000 frames × 0.1 J of 55,440 J.
    expect(scenarios.find(({ scenario }) => scenario === 'video-call')!.batteryShare).toBeCloseTo(5400 / 55440, 9);
  });

  test('says which meter it was, and the share per hour of each use', async () => {
    const line = '--volts 4 --from 12 --to 17 --idle-from 1 --idle-to 9 --battery 4000';
    const { out } = await cuttle(words(line).filter((word) => word !== '--json'));
    expect(out).toContain('measured by: power-monitor (recording.csv)');
    for (const use of ['listening', 'words a day', 'video call']) expect(out).toContain(use);
    // 27.5 J of 55,440 J over a day.
    expect(out).toMatch(/words a day.*0\.0\s%.*0\.00\s%/);
    // 5,400 J of 55,440 J in an hour.
    expect(out).toMatch(/video call.*9\.7\s%.*9\.74\s%/);
  });

  test('wants idle power said, once', async () => {
    expect((await cuttle(words('--volts 4'))).code).toBe(2);
    expect((await cuttle(words('--volts 4 --idle-watts 1 --idle-from 1'))).code).toBe(2);
    expect((await cuttle(words('--idle-watts 0'))).code).toBe(3);
    expect((await cuttle(words('--volts 4 --idle-watts 0 --from 12 --to 99'))).code).toBe(3);
  });
});

describe('cuttle bench android', () => {
  const phone = new FakePhone();
  let server: Awaited<ReturnType<typeof serveFakeAdb>>;
  beforeAll(async () => {
    server = await serveFakeAdb(phone);
    writeFileSync(at('benchmark_model'), 'binary');
    writeFileSync(at('model.tflite'), 'model');
  });
  afterAll(() => server.close());

  test('sweeps; what the framework refuses is listed, and the rest goes on', async () => {
    phone.program = (command) =>
      command.includes('use_gpu')
        ? { stdout: 'ERROR: no GPU\n', exitCode: 1 }
        : {
            stdout:
              'INFO: count=9 first=1000 curr=900 min=880 max=1100 avg=950 std=20\nINFO: Inference timings in us: Init: 500, First inference: 1000, Warmup (avg): 960, Inference (avg): 950\n',
          };
    const { code, out } = await cuttle([
      ...[
        'bench',
        'android',
        at('model.tflite'),
        '--program',
        at('benchmark_model'),
        '--adb',
        `127.0.0.1:${server.port}`,
      ],
      ...['--plans', '1,4a2', '--delegates', 'cpu,gpu', '--json', '--out', at('phone.json')],
    ]);
    expect(code).toBe(0);
    const { device, measurements, failures } = JSON.parse(out) as {
      device: { model: string };
      measurements: readonly { plan: string; times: { meanMs: number } }[];
      failures: readonly { delegate: string; reason: string }[];
    };
    expect(device.model).toBe('Phone 7');
    expect(measurements.map(({ plan, times }) => [plan, times.meanMs])).toEqual([
      ['1', 0.95],
      ['4a2', 0.95],
    ]);
    expect(failures.map(({ delegate }) => delegate)).toEqual(['gpu', 'gpu']);
    expect(failures[0]!.reason).toContain('ERROR: no GPU');
  });

  test('refuses another framework’s model, and unplugged runs without a switch', async () => {
    const words = [
      'bench',
      'android',
      at('model.tflite'),
      '--program',
      at('benchmark_model'),
      '--adb',
      `127.0.0.1:${server.port}`,
    ];
    expect((await cuttle([...words, '--tool', 'ncnn'])).code).toBe(2);
    expect((await cuttle([...words, '--meter', 'unplugged'])).code).toBe(2);
    expect((await cuttle([...words, '--serial', 'OTHER'])).code).toBe(1);
  });
});
