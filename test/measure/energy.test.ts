import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  activeEnergy,
  batteryLevelMeter,
  counterMeter,
  energyBetween,
  fitEnergyModel,
  meterWork,
  modelReading,
  parseEnergyModel,
  perInference,
  powerTrace,
  PowerTraceError,
  readingOfTrace,
  readMonitorCsv,
  scenarioCost,
  scenarios,
} from '../../src/measure/energy/index.js';
import { parseGauge, parseRails } from '../../src/measure/energy/android-meters.js';
import { raplMeter } from '../../src/measure/energy/rapl.js';

describe('power traces', () => {
  test('the area under a known waveform, idle power taken off, within half a percent (G7)', () => {
    // 1 W idle for 2 s, then 1 + 2·sin² of period 0.1 s for 5 s: mean 2 W; sampled at 5 kHz as a Monsoon does.
    const n = 35_001;
    const seconds = Float64Array.from({ length: n }, (_, i) => i / 5000);
    const watts = seconds.map((t) => (t < 2 ? 1 : 1 + 2 * Math.sin(20 * Math.PI * t) ** 2));
    const { joules, totalJoules, idleJoules } = activeEnergy(
      powerTrace(seconds, watts),
      { from: 2, to: 7 },
      { from: 0, to: 1.9 },
    );
    expect(Math.abs(totalJoules / 10 - 1)).toBeLessThan(0.005);
    expect(Math.abs(idleJoules / 5 - 1)).toBeLessThan(0.005);
    expect(Math.abs(joules / 5 - 1)).toBeLessThan(0.005);
  });

  test('straight lines are integrated exactly, ends between samples included', () => {
    const trace = powerTrace([0, 1, 4], [0, 2, 8]);
    // P = 2t throughout: ∫ from 0.5 to 3 of 2t dt = 9 − 0.25.
    expect(energyBetween(trace, { from: 0.5, to: 3 })).toBeCloseTo(8.75, 12);
    expect(energyBetween(trace, { from: 0, to: 4 })).toBeCloseTo(16, 12);
    expect(energyBetween(trace, { from: 1, to: 1 })).toBe(0);
  });

  test('refuses what would give a wrong energy', () => {
    const trace = powerTrace([0, 1], [1, 1]);
    expect(() => energyBetween(trace, { from: -1, to: 1 })).toThrow(/covers 0 s to 1 s/);
    expect(() => energyBetween(trace, { from: 1, to: 0 })).toThrow(PowerTraceError);
    expect(() => powerTrace([0, 2, 1], [1, 1, 1])).toThrow(/fall at sample 3/);
    expect(() => powerTrace([0, NaN], [1, 1])).toThrow(/sample 2/);
    expect(() => powerTrace([0], [1])).toThrow(/two samples/);
  });
});

describe('power monitor files', () => {
  test('Monsoon’s PowerTool: current in mA of the main channel times its voltage', () => {
    const trace = readMonitorCsv('Time(s),USB(mA),Main(mA),Main Voltage(V)\n0,900,100,4.0\n0.0002,900,200,4.0\n');
    expect([...trace.watts]).toEqual([0.4, 0.8]);
    expect([...trace.seconds]).toEqual([0, 0.0002]);
  });

  test('milliseconds and milliwatts, semicolons and decimal commas, lines before the header', () => {
    const trace = readMonitorCsv('Recorded by X\nTime [ms];Power [mW]\n0;1500,5\n10;2000\n');
    expect([...trace.watts]).toEqual([1.5005, 2]);
    expect([...trace.seconds]).toEqual([0, 0.01]);
  });

  test('a current alone needs a voltage', () => {
    const text = 'Timestamp(us)\tMain Avg Current(mA)\n0\t250\n1000\t250\n';
    expect(() => readMonitorCsv(text)).toThrow(/not both a current and a voltage/);
    expect([...readMonitorCsv(text, 4).watts]).toEqual([1, 1]);
  });

  test('says what is missing', () => {
    expect(() => readMonitorCsv('a,b\n1,2\n')).toThrow(/no header/);
    expect(() => readMonitorCsv('Time(s),Power(W)\n0,1\n1,oops\n')).toThrow(/sample 2/);
  });
});

describe('meters', () => {
  test('idle power is taken off, and the energy shared among inferences', async () => {
    let joules = 0;
    const meter = counterMeter('rapl', 'test', {
      wrapJoules: 1e9,
      resolutionJoules: 1e-4,
      read: () => Promise.resolve(joules),
    });
    let idled = 0;
    const result = await meterWork(
      meter,
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 40));
        joules += 8;
        return 4;
      },
      {
        idleSeconds: 1,
        wait: (seconds) => {
          idled = seconds;
          return new Promise((resolve) => setTimeout(resolve, 30));
        },
      },
    );
    expect(idled).toBe(1);
    expect(result).toMatchObject({
      meter: 'rapl',
      totalJoules: 8,
      joules: 8,
      joulesPerInference: 2,
      idleWatts: 0,
      coarse: false,
    });
  });

  test('a counter that wraps still gives the difference', async () => {
    const readings = [95, 3];
    const meter = counterMeter('rapl', 'test', {
      wrapJoules: 100,
      resolutionJoules: 1,
      read: () => Promise.resolve(readings.shift()!),
    });
    const reading = await (await meter.start()).stop();
    expect(reading.totalJoules).toBe(8);
    expect(perInference(reading, 1).coarse).toBe(true);
  });

  test('RAPL: packages summed, each wrapping on its own; parts of a package not counted twice', async () => {
    const root = mkdtempSync(join(tmpdir(), 'cuttle-rapl-'));
    try {
      const zone = (folder: string, name: string, microjoules: number): void => {
        mkdirSync(join(root, folder), { recursive: true });
        writeFileSync(join(root, folder, 'name'), `${name}\n`);
        writeFileSync(join(root, folder, 'max_energy_range_uj'), '262143328850\n');
        writeFileSync(join(root, folder, 'energy_uj'), `${microjoules}\n`);
      };
      zone('intel-rapl:0', 'package-0', 262143328850 - 1_000_000);
      zone('intel-rapl:1', 'package-1', 5_000_000);
      zone('intel-rapl:0:0', 'core', 7_000_000);
      const running = await raplMeter(root).start();
      zone('intel-rapl:0', 'package-0', 2_000_000);
      zone('intel-rapl:1', 'package-1', 9_000_000);
      expect(await running.stop()).toMatchObject({ source: 'package-0 + package-1', totalJoules: 7 });
      expect(() => raplMeter(join(root, 'nowhere'))).toThrow(/no RAPL/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test('the battery’s level: nothing is said while it charges or stands still', async () => {
    const state = { level: 0.8, charging: false };
    const meter = batteryLevelMeter(
      { name: 'test', read: () => Promise.resolve({ ...state }) },
      { milliampHours: 4000, volts: 3.85 },
    );
    const running = await meter.start();
    await expect(running.stop()).rejects.toThrow(/did not move/);
    state.level = 0.77;
    expect((await running.stop()).totalJoules).toBeCloseTo(0.03 * 4000 * 3.85 * 3.6, 6);
    state.charging = true;
    await expect(meter.start()).rejects.toThrow(/charged/);
  });

  test('an external recording is a reading of its own kind', () => {
    const trace = powerTrace([0, 1, 2, 3, 4], [1, 1, 3, 3, 3]);
    const reading = readingOfTrace(trace, { from: 2, to: 4 }, { from: 0, to: 1 }, 'a.csv');
    expect(reading).toMatchObject({
      meter: 'power-monitor',
      totalJoules: 6,
      joules: 4,
      idleWatts: 1,
      resolutionJoules: 3,
    });
  });

  test('gauges in micro- and milli-units, of either sign; rails by name', () => {
    expect(parseGauge('-500000\n4000000\n')).toBeCloseTo(2, 12);
    expect(parseGauge('500\n4000\n')).toBeCloseTo(2, 12);
    expect(parseGauge('')).toBeUndefined();
    expect([...parseRails('t=1\nCH0(T=1)[A], 1000000\nCH0(T=2)[A], 500000\nCH1(T=1)[B],250000\n')]).toEqual([
      ['A', 1.5],
      ['B', 0.25],
    ]);
  });
});

describe('the calibrated model', () => {
  const truth = (macs: number, bytes: number, seconds: number): number =>
    0.3 * (macs / 1e9) + 0.8 * (bytes / 1e9) + 1.5 * seconds;
  const runs = [
    [5e8, 2e7, 0.02],
    [1e9, 9e7, 0.03],
    [3e8, 8e7, 0.05],
    [4e9, 3e7, 0.08],
    [2e8, 1e7, 0.004],
    [7e8, 4e8, 0.09],
  ].map(([macs, bytes, seconds]) => ({
    macs: macs!,
    bytes: bytes!,
    seconds: seconds!,
    joules: truth(macs!, bytes!, seconds!),
  }));

  test('finds the coefficients that made the energies, and says what it was fitted on', () => {
    const model = fitEnergyModel(runs, 'Phone 7', 'android-rails');
    expect(model.joulesPerGmac).toBeCloseTo(0.3, 6);
    expect(model.joulesPerGigabyte).toBeCloseTo(0.8, 6);
    expect(model.watts).toBeCloseTo(1.5, 6);
    expect(model.medianError).toBeLessThan(1e-6);
    const reading = modelReading(parseEnergyModel(JSON.parse(JSON.stringify(model))), {
      macs: 1e9,
      bytes: 1e8,
      seconds: 0.01,
    });
    expect(reading.meter).toBe('model');
    expect(reading.joules).toBeCloseTo(truth(1e9, 1e8, 0.01), 6);
    expect(reading.source).toContain('Phone 7');
  });

  test('no coefficient is below zero, whatever the data', () => {
    const odd = runs.map((run) => ({ ...run, joules: 2 * run.seconds + 0.0001 - 1e-13 * run.macs }));
    const model = fitEnergyModel(odd, 'd', 'rapl');
    expect(Math.min(model.joulesPerGmac, model.joulesPerGigabyte, model.watts)).toBeGreaterThanOrEqual(0);
    expect(() => fitEnergyModel(runs.slice(0, 3), 'd', 'rapl')).toThrow(/four/);
    expect(() => parseEnergyModel({ kind: 'cuttle.energy-model' })).toThrow(/broken/);
  });
});

test('scenarios in battery share, by hand (G8)', () => {
  // 54,000 frames at 20 mJ are 1,080 J; 4,000 mAh at 3.85 V are 55,440 J.
  const cost = scenarioCost(
    scenarios['video-call'],
    { joules: 0.02, milliseconds: 30 },
    { milliampHours: 4000, volts: 3.85 },
  );
  expect(cost.joules).toBeCloseTo(1080, 9);
  expect(cost.milliampHours).toBeCloseTo(1080 / (3.85 * 3.6), 9);
  expect(cost.batteryShare).toBeCloseTo(1080 / 55440, 12);
  expect(cost.batterySharePerHour).toBeCloseTo(1080 / 55440, 12);
  expect(cost.tooSlow).toBe(false);
  expect(
    scenarioCost(scenarios['video-call'], { joules: 0.02, milliseconds: 70 }, { milliampHours: 4000, volts: 3.85 })
      .tooSlow,
  ).toBe(true);
  expect(() =>
    scenarioCost(scenarios.typing, { joules: 1, milliseconds: 1 }, { milliampHours: 0, volts: 3.85 }),
  ).toThrow(/mAh/);
});
