/**
 * @file Throughput and memory of `cuttle audit` over a collection of apps as in the wild, beside unzip + grep of the same apps (a floor:
 * it finds names and magic numbers, and reads nothing) and androguard (a peer: it finds what code calls, and no models).
 *
 * After a build, on Linux:
 *   node bench/audit-throughput/run.mjs corpus [--apps 1024] [--seed 1]   makes the apps in bench/.work (5 GB)
 *   node bench/audit-throughput/run.mjs sample [--take 200]               ours and the floor by turns on apps drawn at random
 *   node bench/audit-throughput/run.mjs peer [--peers 5]                  androguard and ours on the first apps of that sample
 *   node bench/audit-throughput/run.mjs whole                             ours on all apps
 *   node bench/audit-throughput/run.mjs memory                            archives with an entry of 2 GiB, and odd models
 *
 * Each step writes its part of bench/results/audit-throughput.json. Every contestant gets two processes. Processor time is that of
 * all processes of a contestant, starts included; memory is their resident bytes added up, sampled every 25 ms.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createRandom } from '../../dist/platform/index.js';
import { makeCorpus } from './corpus.mjs';
import { writeLargeArchives } from './large.mjs';
import { measured } from './measured.mjs';

const root = resolve(import.meta.dirname, '../..');
const work = join(root, 'bench/.work/audit-throughput');
const apps = join(work, 'apps');
const resultFile = join(root, 'bench/results/audit-throughput.json');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    apps: { type: 'string', default: '1024' },
    seed: { type: 'string', default: '1' },
    take: { type: 'string' },
    peers: { type: 'string', default: '5' },
    turns: { type: 'string', default: '1' },
    shared: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
  },
});
const PROCESSES = 2;
const BAR = { androguard: 20, memoryMiB: 400 };
/** The study, and the mean size of an app on Google Play in 2023 (erev0s.com, over a million apps). */
const STUDY = { apps: 16_000, meanMB: 45 };
const MiB = 2 ** 20;
const round = (value, digits = 3) => Number(value.toPrecision(digits));

const corpus = await makeCorpus({ work, root, folder: apps, count: Number(values.apps), seed: Number(values.seed) });

function note(part, value) {
  const old = existsSync(resultFile) ? JSON.parse(readFileSync(resultFile, 'utf8')) : {};
  const machine = { cpu: cpus()[0].model, cores: cpus().length, node: process.version, platform: process.platform };
  const all = { ...old, machine, corpus, bars: BAR, [part]: value };
  // The peer's processor time per app and per byte, as far as it was measured, against ours over all apps.
  if (all.whole !== undefined && all.peer !== undefined) {
    const { whole, peer } = all;
    const per = (key) => round(peer.androguard.cpuSeconds / peer.androguard[key] / (whole.cpuSeconds / whole[key]));
    all.androguardScaled = { cpuPerApp: per('apps'), cpuPerMB: per('MB') };
  }
  mkdirSync(join(root, 'bench/results'), { recursive: true });
  writeFileSync(resultFile, `${JSON.stringify(all, null, 2)}\n`);
  console.log(part, JSON.stringify(value, null, 1));
}

/** Apps drawn without replacement, always the same for a seed. */
function drawn(take) {
  const random = createRandom(Number(values.seed) + 1);
  const names = readdirSync(apps).sort();
  for (let i = names.length - 1; i > 0; i--) {
    const k = Math.floor(random.next() * (i + 1));
    [names[i], names[k]] = [names[k], names[i]];
  }
  return names.slice(0, take).map((name) => join(apps, name));
}

const sizeOf = (files) => files.reduce((sum, file) => sum + statSync(file).size, 0);

/** A folder that holds just these files, without copying them. */
function gathered(files) {
  const folder = join(work, `set-${createHash('sha1').update(files.join()).digest('hex').slice(0, 8)}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const file of files) symlinkSync(file, join(folder, basename(file)));
  return folder;
}

function figures({ code, seconds, cpuSeconds, peak }, files, bytes) {
  return {
    ...(code !== 0 && { code }),
    apps: files,
    MB: round(bytes / 1e6, 4),
    seconds: round(seconds),
    cpuSeconds: round(cpuSeconds),
    appsPerMinute: round((60 * files) / seconds),
    MBPerSecond: round(bytes / 1e6 / seconds),
    peakMiB: Math.round(peak.rss / MiB),
    peakPrivateMiB: Math.round(peak.private / MiB),
  };
}

const audit = async (paths, out, workers = PROCESSES) => {
  rmSync(out, { recursive: true, force: true });
  const run = await measured(process.execPath, [
    join(root, 'dist/cli/main.js'),
    ...['audit', ...paths, '--out', out, '--workers', String(workers), '--json'],
  ]);
  if (run.code !== 0) throw new Error(`audit ended with ${run.code}: ${run.err}`);
  return { ...run, summary: JSON.parse(run.out) };
};

/** What anybody would do first: unpack everything, look for names and magic numbers of models and libraries. */
const floor = (files) =>
  measured('/bin/bash', [
    '-c',
    `printf '%s\\0' "$@" | xargs -0 -n 1 -P ${PROCESSES} bash -c 'unzip -l "$1" | grep -ciE "\\.(tflite|onnx|param|mnn|caffemodel|mlmodel|pb)$"; unzip -p "$1" | grep -caE "TFL3|ORTM|7767517|org/tensorflow/lite|ai/onnxruntime|Lcom/google/mlkit"; :' floor`,
    'floor',
    ...files,
  ]);

const steps = {
  corpus: async () => note('corpus', corpus),
  sample: async () => {
    const files = drawn(Number(values.take ?? 200));
    const bytes = sizeOf(files);
    const folder = gathered(files);
    // Both read the same files from memory rather than from the disk.
    for (const file of files) readFileSync(file);
    const turns = [];
    for (let turn = 0; turn < Number(values.turns); turn++) {
      const ours = await audit([folder], join(work, 'out-sample'));
      const grep = await floor(files);
      turns.push({ ours, grep });
    }
    const middle = (key) => [...turns].sort((a, b) => a[key].seconds - b[key].seconds)[(turns.length - 1) >> 1][key];
    const [ours, grep] = [middle('ours'), middle('grep')];
    const perSecond = bytes / 1e6 / ours.seconds;
    note('sample', {
      machineShared: values.shared,
      load: loadavg()[0],
      turns: turns.length,
      ours: { ...figures(ours, files.length, bytes), models: ours.summary.models, formats: ours.summary.formats },
      unzipGrep: figures(grep, files.length, bytes),
      oursToFloor: { seconds: round(ours.seconds / grep.seconds), cpu: round(ours.cpuSeconds / grep.cpuSeconds) },
      study: {
        ...STUDY,
        hoursByApps: round(STUDY.apps / (files.length / ours.seconds) / 3600),
        hoursByBytes: round((STUDY.apps * STUDY.meanMB) / perSecond / 3600),
      },
    });
  },
  peer: async () => {
    const files = drawn(Number(values.peers));
    const bytes = sizeOf(files);
    for (const file of files) readFileSync(file);
    const ours = await audit([gathered(files)], join(work, 'out-peer'));
    const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
    const peer = await measured(python, [join(import.meta.dirname, 'peer.py'), String(PROCESSES), ...files]);
    if (peer.code !== 0) throw new Error(`androguard ended with ${peer.code}: ${peer.err}`);
    const rows = peer.out
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    note('peer', {
      machineShared: values.shared,
      load: loadavg()[0],
      ours: figures(ours, files.length, bytes),
      androguard: { ...figures(peer, files.length, bytes), failed: rows.filter(({ failure }) => failure).length },
      androguardToOurs: { seconds: round(peer.seconds / ours.seconds), cpu: round(peer.cpuSeconds / ours.cpuSeconds) },
    });
  },
  whole: async () => {
    const files = readdirSync(apps).sort();
    const ours = await audit([apps], join(work, 'out-whole'));
    const { models, formats, failed, unavailable } = ours.summary;
    note('whole', {
      machineShared: values.shared,
      load: loadavg()[0],
      ...figures(ours, files.length, corpus.bytes),
      models,
      formats,
      failed: failed.length + unavailable.length,
    });
  },
  memory: async () => {
    const large = await writeLargeArchives(join(work, 'memory'));
    const rows = {};
    for (const [name, path] of [
      ...Object.entries(large),
      ['all models of ../shared', join(root, '../shared/models')],
    ]) {
      if (!existsSync(path)) continue;
      const run = await audit([path], join(work, 'out-memory'));
      rows[name] = {
        seconds: round(run.seconds),
        peakMiB: Math.round(run.peak.rss / MiB),
        peakPrivateMiB: Math.round(run.peak.private / MiB),
        largestProcessMiB: Math.round(run.peak.largest / MiB),
        processes: run.peak.processes - 1,
        apps: run.summary.apps,
        models: run.summary.models,
        failed: run.summary.failed,
      };
    }
    note('memory', rows);
  },
};

const wanted = positionals.length > 0 ? positionals : Object.keys(steps);
for (const step of wanted) {
  if (steps[step] === undefined) throw new Error(`no step '${step}': ${Object.keys(steps).join(', ')}`);
  await steps[step]();
}
