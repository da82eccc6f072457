/**
 * @file Memory of a page in which trainings are started, cancelled and restarted: does it stay where it was?
 *
 * node bench/browser-train/memory.mjs [--runs 200] [--warm-up 20]
 *
 * Needs `npm run build` and Chromium. Results go to bench/results/browser-memory.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';
import { here } from './browser.mjs';
import { growth, measureMemory } from './measure-memory.mjs';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '200' }, 'warm-up': { type: 'string', default: '20' } },
});
const began = performance.now();
const measured = await measureMemory({
  runs: Number(values.runs),
  warmUp: Number(values['warm-up']),
  samples: 6,
  outDir: join(here, '../.work/browser-memory'),
  onSample: (sample) => console.error(JSON.stringify(sample)),
});
const ratios = growth(measured);
const { cpu, logicalCores, os } = await describeDevice({ backend: 'native' });
const report = {
  bench: 'browser-memory',
  task: 'LeNet-5 in one page and one worker on the WASM back end: start, three steps, cancel, classify, export, release, and again',
  browser: `Chromium ${measured.browser}, headless`,
  device: { cpu, logicalCores, os },
  unit: 'bytes, after forced garbage collection',
  seconds: (performance.now() - began) / 1000,
  ...measured,
  growth: ratios,
  bar: 1.1,
  met: Object.values(ratios).every((ratio) => ratio <= 1.1),
};
mkdirSync(join(here, '../results'), { recursive: true });
writeFileSync(join(here, '../results/browser-memory.json'), `${JSON.stringify(report, null, 2)}\n`);
for (const [kind, ratio] of Object.entries(ratios)) console.log(`${kind}: × ${ratio.toFixed(3)}`);
