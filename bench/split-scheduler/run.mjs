/**
 * @file Time of one decision over 60 cuts × (20 thresholds + 6 exits alone) × 8 bit-widths, for goals of different kinds.
 *
 * After a build: node bench/split-scheduler/run.mjs   → bench/results/split-scheduler.json
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandom } from '../../dist/platform/index.js';
import { describeDevice } from '../../dist/runtime/index.js';
import { Scheduler } from '../../dist/split/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const [C, T, B] = [60, 20, 8];
/** Six exits, each of which may be the end for everybody, beside the thresholds. */
const R = T + 6;
const random = createRandom(1);
const column = (length, scale) => Float64Array.from({ length }, () => scale * random.next());
const scheduler = new Scheduler({
  cuts: Array.from({ length: C }, (_, i) => i),
  rules: Array.from({ length: R }, (_, i) => (i < T ? { threshold: 0.5 + i / 40 } : { exit: i - T })),
  bits: [2, 3, 4, 5, 6, 8, 12, 32],
  deviceMs: column(C * R, 100),
  serverMs: column(C * R * B, 20),
  sent: column(C * R, 1),
  bytes: column(C * B, 50_000),
  packMs: column(C * B, 1),
  unpackMs: column(C * B, 1),
  accuracy: column(C * R * B, 1),
  responseBytes: 100,
  tail: { deviceMs: column(C * R, 120), sent: column(C * R, 1).map(Math.round), serverMs: column(C * R * B, 25) },
  power: { compute: 5, send: 2, idle: 1 },
});
const within = (metric, op, value) => ({ metric, op, value });
const goals = {
  'fastest within 1 pp': {
    constraints: [within('accuracy', '>=', 0.6)],
    targets: [{ metric: 'throughput', goal: 'max' }],
  },
  'deadline, least server time': {
    constraints: [within('latency', '<=', 60), within('accuracy', '>=', 0.5)],
    targets: [
      { metric: 'server', goal: 'min', tolerance: 1 },
      { metric: 'accuracy', goal: 'max' },
    ],
  },
  'all six metrics, relaxed': {
    constraints: [
      within('accuracy', '>=', 0.3),
      within('energy', '<=', 900),
      within('device', '<=', 90),
      within('latency', '<=', 0.001),
    ],
    targets: ['throughput', 'server', 'latency'].map((metric) => ({ metric, goal: 'min', tolerance: 5 })),
  },
};
const rows = Object.entries(goals).map(([name, goal]) => {
  const times = [];
  for (let i = 0; i < 1200; i++) {
    const conditions = {
      deviceScale: 1 + random.next(),
      serverScale: 1,
      latencyMs: 40,
      bytesPerMs: 3000 * random.next(),
    };
    const start = performance.now();
    scheduler.decide(goal, conditions);
    if (i >= 200) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { goals: name, p50Ms: Number(times[500].toFixed(3)), p99Ms: Number(times[990].toFixed(3)) };
});
const report = {
  ...{ bench: 'split-scheduler', barMs: 2, papersMs: 14, configurations: C * R * B },
  met: rows.every((row) => row.p99Ms < 2),
  device: await describeDevice({ backend: 'native', threads: 1 }),
  rows,
};
mkdirSync(join(here, '../results'), { recursive: true });
writeFileSync(join(here, '../results/split-scheduler.json'), `${JSON.stringify(report, null, 2)}\n`);
for (const row of rows) console.log(JSON.stringify(row));
