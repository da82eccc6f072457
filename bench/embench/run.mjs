/**
 * @file The findings on latency, over architectures and platforms: how badly MACs predict, what memory binds, how ranks change between
 * platforms, how batches and threads scale, what a predictor learned from profiles is worth.
 *
 * node bench/embench/run.mjs [native] [wasm] [chromium] [profiles] [probes] [batch] [harness] [report] [--seconds 0.1] [--openings 3] [--networks a,b]
 *
 * Needs `npm run build`, and Chromium for that step (CHROMIUM names another than /usr/bin/chromium). Without names all steps run.
 * Every step writes bench/.work/embench/STEP.json after each network and may be run by itself on a quiet machine; `report` joins
 * what is there into bench/results/embench.json.
 */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodeModel } from '../../dist/onnx/index.js';
import {
  analyseProfile,
  measureOpening,
  measureRoofline,
  probeNetworks,
  summariseOpenings,
  variantOf,
} from '../../dist/measure/index.js';
import { describeDevice, measureInterleaved, profileModel } from '../../dist/runtime/index.js';
import { networks } from './networks.mjs';
import { writeReport } from './report.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const work = join(here, '../.work/embench');
mkdirSync(work, { recursive: true });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '0.1' },
    openings: { type: 'string', default: '3' },
    networks: { type: 'string' },
    child: { type: 'string' },
  },
});
const openings = Number(values.openings);
const plan = { warmup: 3, runs: 8, minSeconds: Number(values.seconds), maxSeconds: 10 * Number(values.seconds) };
const chosen = values.networks?.split(',');
const PROBE_COUNT = 90;
const BATCHES = [1, 2, 4, 8, 16, 32];
const BATCHED = ['resnet-20', 'vgg-11', 'mobilenet-v2', 'densenet-40', 'lenet-5'];

const steps = {
  native: () => onPlatforms('native', ['native-1', 'native-2']),
  wasm: () => onPlatforms('wasm', ['wasm-1', 'wasm-2']),
  chromium,
  profiles,
  probes,
  batch,
  harness,
  report: () => writeReport(work, join(here, '../results/embench.json')),
};

if (values.child !== undefined) await child(values.child);
else
  for (const [name, step] of Object.entries(steps)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const start = performance.now();
    await step();
    console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }

function save(name, value) {
  writeFileSync(join(work, `${name}.json`), `${JSON.stringify(value, null, 2)}\n`);
}

/** What a step wrote before; with `--networks` the others' rows are kept. */
function saved(name) {
  const file = join(work, `${name}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** A process for each platform: one has only one count of threads in WebAssembly. */
async function onPlatforms(step, platforms) {
  const rows = {};
  for (const platform of platforms) {
    rows[platform] = await new Promise((resolve, reject) => {
      const list = [];
      const worker = fork(fileURLToPath(import.meta.url), [
        '--child',
        platform,
        ...process.argv.slice(2).filter((word) => word.startsWith('--') || /[\d,]/.test(word)),
      ]);
      worker.on('message', (row) => {
        list.push(row);
        save(step, { ...rows, [platform]: list });
      });
      worker.on('exit', (code) => (code === 0 ? resolve(list) : reject(new Error(`${platform} ended with ${code}`))));
    });
  }
}

/** Inside the process: every network opened by turns. */
async function child(platform) {
  const [backend, threads] = platform.split('-');
  const list = (await networks(chosen)).map(({ name, model }) => ({
    name,
    ...variantOf(model, { batch: 1 }),
    openings: [],
  }));
  // The first round in WebAssembly does not count: what later networks find compiled, the first ones must wait for.
  for (let round = backend === 'wasm' ? -1 : 0; round < openings; round++)
    for (const { bytes, inputs, openings: done } of list) {
      const session = { backend, threads: Number(threads) };
      const given = round < 0 ? { ...plan, runs: 1, minSeconds: 0 } : plan;
      const opening = await measureOpening({ model: bytes, inputs, session, plan: given });
      if (round >= 0) done.push(opening);
    }
  for (const { name, macs, params, openings: done } of list) {
    const { typicalMs, latencyMs, cv, spread, background, noise, loadMs, firstMs } = summariseOpenings(done, {
      batch: 1,
    });
    process.send({ name, macs, params, typicalMs, p90: latencyMs.p90, cv, spread, background, noise, loadMs, firstMs });
    console.error(
      `${platform} ${name}: ${typicalMs.value.toFixed(3)} ms (${typicalMs.low.toFixed(3)} – ${typicalMs.high.toFixed(3)})`,
    );
  }
  process.disconnect();
}

/** In Chromium, one thread, with its processor throttled: a stand-in for slower phones that keeps everything else. */
async function chromium() {
  const { openChromium, servePage } = await import('../browser-train/browser.mjs');
  const outDir = join(work, 'page');
  const site = await servePage(join(here, 'page'), outDir);
  const list = await networks(chosen);
  for (const { name, model } of list)
    writeFileSync(join(outDir, `${name}.onnx`), encodeModel(variantOf(model, { batch: 1 }).model));
  const browser = await openChromium();
  const rows = { browser: browser.version(), 'chromium-1x': [], 'chromium-4x': [], 'chromium-6x': [] };
  const page = await browser.newPage();
  const devtools = await page.context().newCDPSession(page);
  await page.goto(site.url);
  await page.waitForFunction('globalThis.ready === true');
  for (const { name } of list) {
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: 1 });
    await page.evaluate(([url]) => globalThis.openNetwork(url, 1), [`${name}.onnx`]);
    for (const rate of [1, 4, 6]) {
      await devtools.send('Emulation.setCPUThrottlingRate', { rate });
      const timed = await page.evaluate((given) => globalThis.timeNetwork(given), {
        ...plan,
        warmup: 1,
        runs: 4,
        // The throttle stops the thread for stretches: short measurements would see all or none of one.
        minSeconds: Math.max(0.25, 2 * plan.minSeconds),
      });
      rows[`chromium-${rate}x`].push({ name, ...timed });
      console.error(`chromium ${rate}x ${name}: ${timed.mean.toFixed(3)} ms`);
    }
    save('chromium', rows);
  }
  await browser.close();
  await site.close();
}

/** Every network under the profiler on one thread: layers, what binds them, whether the parts make up the whole. */
async function profiles() {
  const session = { backend: 'native', threads: 1 };
  const known = chosen === undefined ? undefined : saved('profiles');
  const rows = {
    device: await describeDevice(session),
    roofline: known?.roofline ?? (await measureRoofline(session)),
    networks: known?.networks.filter(({ name }) => !chosen.includes(name)) ?? [],
  };
  for (const { name, group, model, accuracy } of await networks(chosen)) {
    const profile = await profileModel(model, {
      ...session,
      openings,
      warmup: 5,
      runs: 30,
      minSeconds: plan.minSeconds,
      maxSeconds: 1,
    });
    const { accounted, bounds, operators } = analyseProfile(model, profile, rows.roofline);
    const { latencyMs, quietMs, kernelMs, profiledMs, profilerMs } = profile;
    rows.networks.push({
      name,
      group,
      accuracy,
      latencyMs,
      quietMs,
      kernelMs,
      profiledMs,
      profilerMs,
      accounted,
      bounds,
      operators: operators.slice(0, 5),
      profile: toDescribe(profile),
    });
    save('profiles', rows);
    console.error(
      `${name}: ${latencyMs.p50.toFixed(3)} ms, ${(100 * accounted.ofLatency).toFixed(1)} % explained, memory-bound ${(100 * bounds.memory).toFixed(0)} %`,
    );
  }
}

/** What a profile is described by for the predictor. */
function toDescribe({ layers, inputs, latencyMs }) {
  return { layers, inputs, latencyMs };
}

/** Made-up networks under the profiler: what the predictor learns from besides. */
async function probes() {
  const rows = [];
  for (const { name, model } of probeNetworks(PROBE_COUNT)) {
    const profile = await profileModel(model, { backend: 'native', threads: 1, openings: 2, warmup: 2, runs: 16 });
    rows.push({ name, profile: toDescribe(profile) });
  }
  save('probes', rows);
}

/** Throughput over batches, on one thread and on two. */
async function batch() {
  const rows = [];
  for (const { name, model } of await networks(chosen ?? BATCHED)) {
    for (const threads of [1, 2])
      for (const size of BATCHES) {
        const { bytes, inputs } = variantOf(model, { batch: size });
        const { samples } = await measureOpening({
          model: bytes,
          inputs,
          session: { backend: 'native', threads },
          plan: { ...plan, runs: 4 },
        });
        const sorted = [...samples].sort((a, b) => a - b);
        const ms = sorted[sorted.length >> 1];
        rows.push({ name, threads, batch: size, ms, perSecond: (1000 * size) / ms });
      }
    save('batch', rows);
    console.error(
      `${name}: ${rows
        .filter((row) => row.name === name)
        .map(({ perSecond }) => perSecond.toFixed(0))
        .join(' ')} images/s`,
    );
  }
}

/** What the toolkit adds to a bare call of ONNX Runtime, on a network of about a millisecond; both by turns in one process. */
async function harness() {
  const { default: ort } = await import('onnxruntime-node');
  const { openSession, syntheticFeeds } = await import('../../dist/runtime/index.js');
  const rows = [];
  for (const { name, model } of await networks(['resnet-20', 'resnet-32', 'mobilenet-v2-0.5'])) {
    const { bytes, model: sized } = variantOf(model, { batch: 1 });
    const feeds = syntheticFeeds(sized);
    // One session for both: two would differ by more than what is looked for.
    const create = ort.InferenceSession.create;
    let inner;
    ort.InferenceSession.create = async (...given) => (inner = await create.apply(ort.InferenceSession, given));
    const ours = await openSession(bytes, { backend: 'native', threads: 1 });
    ort.InferenceSession.create = create;
    const bare = Object.fromEntries(
      Object.entries(feeds).map(([key, { data, dims }]) => [key, new ort.Tensor('float32', data, dims)]),
    );
    const nothing = async () => undefined;
    const [bareTimes, ourTimes, empty] = await measureInterleaved(
      [() => inner.run(bare), () => ours.run(feeds), nothing],
      { warmup: 50, runs: 400, minSeconds: 1 },
    );
    const row = {
      name,
      bareMs: bareTimes.p50,
      oursMs: ourTimes.p50,
      overhead: ourTimes.p50 / bareTimes.p50 - 1,
      emptyMs: empty.p50,
    };
    rows.push(row);
    console.error(
      `${name}: ${row.bareMs.toFixed(4)} bare, ${row.oursMs.toFixed(4)} ms through openSession (${(100 * row.overhead).toFixed(2)} %), an empty call ${(1000 * row.emptyMs).toFixed(2)} µs`,
    );
    await ours.release();
  }
  save('harness', rows);
}
