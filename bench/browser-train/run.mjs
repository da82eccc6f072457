/**
 * @file Training steps of ResNet-8 and ResNet-20 (32×32, SGD with Nesterov momentum) in Chromium: Cuttle, TensorFlow.js, jax-js.
 *
 * node bench/browser-train/run.mjs [--depths 8,20] [--batch 32] [--slow-batch 2] [--steps 5] [--budget 30] [--only cuttle-wasm,…]
 *
 * Needs `npm run build` and Chromium (CHROMIUM names another than /usr/bin/chromium). Peers are installed into bench/peers on
 * first use. All contestants run in the same page of the same browser, each in a fresh load of it, one after another.
 * One that has made no step within the budget (seconds) counts as failed, and is not tried with the deeper network. What
 * a contestant cannot do is recorded in its own words. Results go to bench/results/browser-train.json; runs with --only add
 * to it, so that a long bench may be run in pieces on one machine: of repeated rows the fastest stays, for all alike.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';
import { here, median, openChromium, peers, servePage } from './browser.mjs';

const { values } = parseArgs({
  options: {
    depths: { type: 'string', default: '8,20' },
    batch: { type: 'string', default: '32' },
    'slow-batch': { type: 'string', default: '2' },
    steps: { type: 'string', default: '5' },
    budget: { type: 'string', default: '30' },
    only: { type: 'string', default: '' },
  },
});
const budgetMs = Number(values.budget) * 1000;

/** `slow` contestants take seconds per image here; they get a small batch. */
const contestants = [
  { library: 'cuttle', backend: 'wasm' },
  { library: 'jax', backend: 'wasm' },
  { library: 'tfjs', backend: 'wasm' },
  { library: 'tfjs', backend: 'cpu', slow: true },
  { library: 'tfjs', backend: 'webgl', slow: true },
  { library: 'tfjs', backend: 'webgpu', slow: true },
  { library: 'cuttle', backend: 'webgpu', slow: true },
  { library: 'jax', backend: 'webgl', slow: true },
  { library: 'jax', backend: 'webgpu', slow: true },
].map((contestant) => ({ ...contestant, name: `${contestant.library}-${contestant.backend}` }));
const only = values.only === '' ? contestants.map(({ name }) => name) : values.only.split(',');
const chosen = contestants.filter(({ name }) => only.includes(name));

installPeers();
const outDir = join(here, '../.work/browser-train');
const site = await servePage(join(here, 'page'), outDir);
cpSync(join(peers, '@tensorflow/tfjs-backend-wasm/dist'), join(outDir, 'tfjs-wasm'), {
  recursive: true,
  filter: (path) => !/\.\w+$/.test(path) || path.endsWith('.wasm'),
});
const browser = await openChromium();
const graphics = await graphicsOf();
const rows = [];
for (const depth of values.depths.split(',').map(Number))
  for (const { name, library, backend, slow } of chosen) {
    const earlier = rows.find((row) => row.contestant === name && row.failed);
    const batch = Number(slow ? values['slow-batch'] : values.batch);
    const task = { library, backend, depth, batch, steps: Number(values.steps), budgetMs };
    const row = {
      network: `ResNet-${depth}`,
      contestant: name,
      ...(backend.startsWith('webg') && { device: graphics[backend] }),
      ...(earlier ? { failed: earlier.failed } : await take(task)),
    };
    rows.push(row);
    console.error(
      row.failed
        ? `${row.network} ${name}: ${row.failed}`
        : `${row.network} ${name}: ${row.imagesPerSecond.toFixed(2)} images/s (batch ${row.batch}, ${row.steps} steps)`,
    );
  }
const chromiumVersion = browser.version();
await browser.close();
await site.close();
write();

/** One contestant with one network, in a fresh load of the page. */
async function take(task) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  try {
    await page.goto(site.url);
    await page.waitForFunction('globalThis.ready === true');
    const late = new Promise((resolve) => setTimeout(resolve, budgetMs * 1.5, 'late'));
    const measured = page.evaluate((given) => globalThis.measure(given), task).catch((error) => ({ error }));
    let progress = await Promise.race([measured, late]);
    if (progress === 'late')
      progress = await Promise.race([
        page.evaluate(() => globalThis.progress),
        // A page that computes on its own thread does not answer.
        new Promise((resolve) => setTimeout(resolve, 2000, { times: [] })),
      ]);
    if (progress.error) return { failed: reason(progress.error, errors) };
    const { version, threads, firstMs, losses } = progress;
    const times = progress.times.length > 0 ? progress.times : firstMs === undefined ? [] : [firstMs];
    if (times.length === 0) return { failed: `no step of ${task.batch} images within ${(budgetMs * 1.5) / 1000} s` };
    const medianMs = median(times);
    return {
      version: task.library === 'jax' ? `@jax-js/jax ${versionOf('@jax-js/jax')}` : version,
      threads,
      batch: task.batch,
      steps: progress.times.length,
      ...(progress.times.length === 0 && { remark: 'the first step only, preparation included' }),
      medianMs,
      firstMs,
      imagesPerSecond: (task.batch * 1000) / medianMs,
      losses,
    };
  } finally {
    await context.close();
  }
}

function reason(error, errors) {
  const text = (error.message ?? String(error)).replace(/^page\.evaluate: /, '').split('\n    at ')[0];
  return [...new Set([text.trim(), ...errors])].join('; ').slice(0, 400);
}

/** What WebGL and WebGPU stand on here, in their own words. */
async function graphicsOf() {
  const page = await browser.newPage();
  await page.goto(site.url);
  const found = await page.evaluate(async () => {
    const gl = document.createElement('canvas').getContext('webgl2');
    const names = gl?.getExtension('WEBGL_debug_renderer_info');
    const info = (await navigator.gpu?.requestAdapter())?.info;
    return {
      webgl: gl ? gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : 'none',
      webgpu: info ? [info.vendor, info.architecture, info.description].filter(Boolean).join(' ') : 'none',
    };
  });
  await page.close();
  return found;
}

function write() {
  const path = join(here, '../results/browser-train.json');
  const old = values.only && existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).results : [];
  const order = ({ network, contestant }) =>
    Number(network.slice(7)) * 100 + contestants.findIndex(({ name }) => name === contestant);
  const results = [...rows];
  // Load of the machine only slows: of a row that was taken before, the faster one stays, whoever's it is.
  for (const row of old) {
    const at = results.findIndex((found) => found.network === row.network && found.contestant === row.contestant);
    if (at < 0) results.push(row);
    else if ((row.imagesPerSecond ?? 0) > (results[at].imagesPerSecond ?? 0)) results[at] = row;
  }
  results.sort((a, b) => order(a) - order(b));
  describeDevice({ backend: 'native' }).then((device) => {
    const report = {
      bench: 'browser-train',
      task: 'forward, backward and update of CIFAR ResNets with 1×1 shortcuts at 3×32×32, SGD with Nesterov momentum 0.9, in one page',
      browser: `Chromium ${chromiumVersion}, headless`,
      graphics,
      remark: /swiftshader/i.test(graphics.webgpu + graphics.webgl)
        ? 'This machine has no GPU: WebGL and WebGPU run in software (SwiftShader). Their rows show what works, not how fast a GPU would be.'
        : undefined,
      device: { cpu: device.cpu, logicalCores: device.logicalCores, cpuFeatures: device.cpuFeatures, os: device.os },
      batches:
        'rows with another batch than 32 are of contestants that take seconds per image here; ratios compare images/s',
      results,
      ratios: ratiosOf(results),
    };
    mkdirSync(join(here, '../results'), { recursive: true });
    writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
    for (const { network, against, ratio } of report.ratios)
      console.log(`${network}: Cuttle (WASM) makes ${ratio.toFixed(ratio < 10 ? 2 : 0)} × the images/s of ${against}`);
  });
}

function ratiosOf(results) {
  return results.flatMap(({ network, contestant, imagesPerSecond }) => {
    const own = results.find((row) => row.network === network && row.contestant === 'cuttle-wasm');
    if (contestant === 'cuttle-wasm' || !imagesPerSecond || !own?.imagesPerSecond) return [];
    return [{ network, against: contestant, ratio: own.imagesPerSecond / imagesPerSecond }];
  });
}

function versionOf(name) {
  return JSON.parse(readFileSync(join(peers, name, 'package.json'), 'utf8')).version;
}

function installPeers() {
  const wanted = Object.keys(JSON.parse(readFileSync(join(peers, '../package.json'), 'utf8')).dependencies);
  if (wanted.every((name) => existsSync(join(peers, name)))) return;
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'], {
    cwd: join(peers, '..'),
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) throw new Error('the peers could not be installed');
}
