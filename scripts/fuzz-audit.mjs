/**
 * Reads damaged apps for as long as asked: every fixture, with bytes changed and ends cut, through every reader that
 * its files reach. Any error but a problem of the app ends it with the seed of the failing run.
 * `node scripts/fuzz-audit.mjs [RUNS] [SEED]`; needs dist/ (npm run build).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { auditApp, nodeHost } from '../dist/audit/node.js';

const [runs = 10_000, first = 1] = process.argv.slice(2).map(Number);
const folder = join(import.meta.dirname, '../test/fixtures/audit');
const files = readdirSync(folder).filter((name) => /\.(apk|dex|so|class)$/.test(name));
const seeds = files.map((name) => new Uint8Array(readFileSync(join(folder, name))));
// Stored, so that changes reach the files inside and not only their compression.
seeds.push(zipSync(Object.fromEntries(files.map((name, i) => [name, seeds[i]])), { level: 0 }));

/** A small generator of numbers (mulberry32). */
function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const edges = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
const conditions = { intact: 0, odd: 0, damaged: 0 };
let slowest = 0;
const began = performance.now();
for (let run = 0; run < runs; run++) {
  const random = numbers(first + run);
  const below = (n) => Math.floor(random() * n);
  const seed = seeds[below(seeds.length)];
  const changed = seed.slice(0, random() < 0.15 ? below(seed.length) : seed.length);
  for (let i = below(8); i >= 0 && changed.length > 0; i--)
    changed[below(changed.length)] = random() < 0.5 ? edges[below(edges.length)] : below(256);
  const start = performance.now();
  try {
    const { app } = await auditApp(changed, 'fuzz.bin', { host: nodeHost, limits: { maxTotalBytes: 64 * 2 ** 20 } });
    conditions[app.condition]++;
  } catch (cause) {
    console.error(`run with seed ${first + run} failed`);
    throw cause;
  }
  const ms = performance.now() - start;
  if (ms > 2000) throw new Error(`run with seed ${first + run} took ${ms.toFixed(0)} ms`);
  slowest = Math.max(slowest, ms);
}
const seconds = (performance.now() - began) / 1000;
const megabytes = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ runs, first, seconds, slowestMs: slowest, peakMegabytes: megabytes, conditions }));
