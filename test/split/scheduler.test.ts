/** @file The scheduler against a brute-force reference on random tables; when it runs again. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ChangeDetector,
  NO_EXITS,
  Scheduler,
  SchedulerError,
  type Conditions,
  type Constraint,
  type Goals,
  type Metric,
  type SplitTables,
} from '../../src/split/scheduler/index.js';

const METRICS: readonly Metric[] = ['latency', 'latency95', 'throughput', 'server', 'device', 'accuracy', 'energy'];

/** Tables of few different numbers, so that ties are common. */
const tablesOf = fc
  .record({ C: fc.integer({ min: 1, max: 5 }), T: fc.integer({ min: 1, max: 4 }), B: fc.integer({ min: 1, max: 3 }) })
  .chain(({ C, T, B }) => {
    const column = (length: number, max = 6): fc.Arbitrary<Float64Array> =>
      fc.array(fc.nat(max), { minLength: length, maxLength: length }).map((values) => Float64Array.from(values));
    return fc.record({
      cuts: fc.constant(Array.from({ length: C }, (_, i) => i)),
      rules: fc.constant(Array.from({ length: T }, (_, i) => (i % 2 === 1 ? { exit: i } : { threshold: i / T }))),
      bits: fc.constant(Array.from({ length: B }, (_, i) => i + 1)),
      deviceMs: column(C * T),
      serverMs: column(C * T * B),
      sent: column(C * T, 4).map((values) => values.map((v) => v / 4)),
      bytes: column(C * B, 1000),
      packMs: column(C * B, 2),
      unpackMs: column(C * B, 2),
      accuracy: column(C * T * B, 5).map((values) => values.map((v) => v / 5)),
      responseBytes: fc.constant(40),
      tail: fc.record({
        deviceMs: column(C * T),
        sent: column(C * T, 1),
        serverMs: column(C * T * B),
      }),
      power: fc.constant({ compute: 5, send: 2, idle: 1 }),
    });
  });

const conditionsOf = fc.record({
  deviceScale: fc.constantFrom(0.5, 1, 3),
  serverScale: fc.constantFrom(1, 2, 10),
  latencyMs: fc.constantFrom(0, 1, 40),
  bytesPerMs: fc.constantFrom(0, 0.5, 30, 1000),
});

const metric = fc.constantFrom(...METRICS);
const goalsOf: fc.Arbitrary<Goals> = fc.record({
  constraints: fc.array(
    fc.record({ metric, op: fc.constantFrom('<=' as const, '>=' as const), value: fc.constantFrom(0.5, 2, 5, 12, 60) }),
    { maxLength: 4 },
  ),
  targets: fc.array(
    fc.record({
      metric,
      goal: fc.constantFrom('min' as const, 'max' as const, 3),
      tolerance: fc.constantFrom(0, 0.2, 4),
    }),
    { maxLength: 3 },
  ),
  infeasible: fc.constantFrom('relax' as const, 'closest' as const),
});

/** Everything written out, one configuration at a time. */
function bruteForce(
  tables: SplitTables,
  conditions: Conditions,
  goals: Goals,
): { index: number; unmet: readonly Constraint[] } {
  interface Configuration extends Record<Metric, number> {
    index: number;
  }
  const all: Configuration[] = [];
  const [T, B] = [tables.rules.length, tables.bits.length];
  tables.cuts.forEach((_, c) =>
    tables.rules.forEach((__, t) =>
      tables.bits.forEach((___, b) => {
        const sent = tables.sent[c * T + t]!;
        const device = conditions.deviceScale * (tables.deviceMs[c * T + t]! + sent * tables.packMs[c * B + b]!);
        const server =
          conditions.serverScale * (tables.serverMs[(c * T + t) * B + b]! + sent * tables.unpackMs[c * B + b]!);
        const link = sent > 0 ? (sent * (tables.bytes[c * B + b]! + tables.responseBytes)) / conditions.bytesPerMs : 0;
        const wait = sent * conditions.latencyMs;
        const tail = tables.tail!;
        const late = tail.sent[c * T + t]!;
        all.push({
          latency95:
            conditions.deviceScale * (tail.deviceMs[c * T + t]! + late * tables.packMs[c * B + b]!) +
            late * conditions.latencyMs +
            (late > 0 ? (tables.bytes[c * B + b]! + tables.responseBytes) / conditions.bytesPerMs : 0) +
            conditions.serverScale * (tail.serverMs[(c * T + t) * B + b]! + late * tables.unpackMs[c * B + b]!),
          index: all.length,
          latency: device + wait + link + server,
          throughput: 1000 / Math.max(device, link, server),
          device,
          server,
          accuracy: tables.accuracy[(c * T + t) * B + b]!,
          energy: 5 * device + 2 * link + 1 * (wait + server),
        });
      }),
    ),
  );
  const misses = (x: Configuration, { metric: m, op, value }: Constraint): number =>
    op === '<=' ? Math.max(0, x[m] - value) : Math.max(0, value - x[m]);
  let left = all;
  let unmet: readonly Constraint[] = [];
  for (let i = 0; i < goals.constraints.length; i++) {
    const met = left.filter((x) => misses(x, goals.constraints[i]!) === 0);
    if (met.length === 0) {
      unmet = goals.infeasible === 'closest' ? [goals.constraints[i]!] : goals.constraints.slice(i);
      break;
    }
    left = met;
  }
  const keep = (score: (x: Configuration) => number, tolerance: number): void => {
    const best = left.map(score).reduce((a, b) => Math.min(a, b), Infinity);
    left = left.filter((x) => score(x) <= best + tolerance);
  };
  for (const constraint of unmet) keep((x) => misses(x, constraint), 0);
  for (const { metric: m, goal, tolerance = 0 } of goals.targets)
    keep((x) => (goal === 'min' ? x[m] : goal === 'max' ? -x[m] : Math.abs(x[m] - goal)), tolerance);
  return { index: left[0]!.index, unmet };
}

describe('the scheduler', () => {
  test('finds what brute force finds', () => {
    fc.assert(
      fc.property(tablesOf, conditionsOf, goalsOf, (tables, conditions, goals) => {
        const decision = new Scheduler(tables).decide(goals, conditions);
        const expected = bruteForce(tables, conditions, goals);
        expect(decision.index).toBe(expected.index);
        expect(decision.unmet).toEqual(expected.unmet);
        const { cut, rule, bits } = decision;
        expect((cut * tables.rules.length + rule) * tables.bits.length + bits).toBe(decision.index);
      }),
      { numRuns: 2000 },
    );
  });

  /** Device only (0 ms of link) or server only, one bit-width. */
  const two: SplitTables = {
    ...{ cuts: [0, 1], rules: [NO_EXITS], bits: [8], responseBytes: 0 },
    deviceMs: Float64Array.of(0, 100),
    serverMs: Float64Array.of(10, 0),
    sent: Float64Array.of(1, 0),
    bytes: Float64Array.of(1000, 0),
    packMs: Float64Array.of(0, 0),
    unpackMs: Float64Array.of(0, 0),
    accuracy: Float64Array.of(0.8, 0.8),
  };
  const link = { deviceScale: 1, serverScale: 1, latencyMs: 10, bytesPerMs: 100 };
  const fastest: Goals = { constraints: [], targets: [{ metric: 'latency', goal: 'min' }] };

  test('leaves the server where the link is slow or gone, and comes back', () => {
    const scheduler = new Scheduler(two);
    expect(scheduler.decide(fastest, link).cut).toBe(0);
    expect(scheduler.decide(fastest, { ...link, bytesPerMs: 5 }).cut).toBe(1);
    const gone = scheduler.decide(fastest, { ...link, bytesPerMs: 0 });
    expect(gone.cut).toBe(1);
    expect(gone.metrics.latency).toBe(100);
  });

  test('throughput is that of the slowest stage', () => {
    expect(new Scheduler(two).decide(fastest, { ...link, bytesPerMs: 20 }).metrics.throughput).toBe(1000 / 50);
  });

  test('energy is asked for only where it is known', () => {
    const goals: Goals = { constraints: [], targets: [{ metric: 'energy', goal: 'min' }] };
    expect(() => new Scheduler(two).decide(goals, link)).toThrow(SchedulerError);
    expect(new Scheduler(two).decide(fastest, link).metrics.energy).toBeUndefined();
  });

  test('so is the 95th percentile', () => {
    const goals: Goals = { constraints: [{ metric: 'latency95', op: '<=', value: 3 }], targets: [] };
    expect(() => new Scheduler(two).decide(goals, link)).toThrow(SchedulerError);
    expect(new Scheduler(two).decide(fastest, link).metrics.latency95).toBeUndefined();
  });

  test('refuses tables that do not fit and conditions that are none', () => {
    expect(() => new Scheduler({ ...two, sent: Float64Array.of(1) })).toThrow(SchedulerError);
    expect(() => new Scheduler({ ...two, bytes: Float64Array.of(1, NaN) })).toThrow(SchedulerError);
    expect(() => new Scheduler(two).decide(fastest, { ...link, deviceScale: 0 })).toThrow(SchedulerError);
    expect(() => new Scheduler(two).decide(fastest, { ...link, bytesPerMs: NaN })).toThrow(SchedulerError);
    const broken: Goals = { constraints: [], targets: [{ metric: 'latency', goal: 'min', tolerance: -1 }] };
    expect(() => new Scheduler(two).decide(broken, link)).toThrow(SchedulerError);
  });
});

describe('changes', () => {
  const at = (bytesPerMs: number): Conditions => ({ deviceScale: 1, serverScale: 1, latencyMs: 5, bytesPerMs });

  test('noise below 5 % is none', () => {
    const detector = new ChangeDetector();
    expect(detector.observe(at(100))).toBe(true);
    for (let i = 0; i < 200; i++) expect(detector.observe(at(100 + 4.9 * Math.sin(i)))).toBe(false);
  });

  test('a step is followed at once and settled within three observations', () => {
    const detector = new ChangeDetector();
    for (let i = 0; i < 10; i++) detector.observe(at(2500));
    const seen = [62, 62, 62].map((b) => detector.observe(at(b)));
    expect(seen[0]).toBe(true);
    expect(seen[2]).toBe(true);
    expect(detector.averaged()!.bytesPerMs).toBe(62);
    expect(detector.observe(at(62))).toBe(false);
  });

  test('the threshold doubles while things keep changing, and comes down when they rest', () => {
    const detector = new ChangeDetector();
    let changes = 0;
    for (let i = 0; i < 60; i++) if (detector.observe(at(i % 2 === 0 ? 80 : 120))) changes++;
    // Without the back-off it would be all 60.
    expect(changes).toBeLessThanOrEqual(22);
    for (let i = 0; i < 40; i++) detector.observe(at(100));
    expect(detector.threshold).toBe(0.05);
  });
});
