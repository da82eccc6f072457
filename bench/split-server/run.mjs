/**
 * @file 64 clients for four minutes against `cuttle serve` as a process of its own: errors, latency, batches, memory, and what
 * clients that leave at random points leave behind. Half of the clients send whole images, half split requests.
 *
 * node bench/split-server/run.mjs [--seconds 240] [--clients 64]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { attachExits, findCandidates } from '../../dist/exits/index.js';
import { Tensor } from '../../dist/ir/index.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { describeDevice } from '../../dist/runtime/index.js';
import {
  frameInput,
  inferRequest,
  modelDigest,
  openSplitNetwork,
  packTensors,
  readServerReport,
  replyOfHttp,
  requestToHttp,
  SegmentWalk,
  writeSplitParameters,
} from '../../dist/split/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const { values: given } = parseArgs({
  options: { seconds: { type: 'string', default: '240' }, clients: { type: 'string', default: '64' } },
});
const seconds = Number(given.seconds);
const clients = Number(given.clients);
const root = fileURLToPath(new URL('../..', import.meta.url));
const seed = 1;

const backbone = buildArchitecture('resnet-20', { classes: 10, input: [3, 32, 32], seed });
const candidates = findCandidates(backbone);
const chosen = candidates.all.filter((_, i) => i % 6 === 3);
const model = attachExits(candidates, chosen, { kind: 'msdnet', width: 16 }, 2).model;
const folder = mkdtempSync(join(tmpdir(), 'cuttle-bench-serve-'));
writeFileSync(join(folder, 'resnet20.onnx'), encodeModel(model));

/** A request body of each kind. */
async function bodies() {
  const random = createRandom(seed);
  const image = Tensor.floats(
    Float32Array.from({ length: 3 * 32 * 32 }, () => random.normal()),
    [1, 3, 32, 32],
  );
  const network = openSplitNetwork(model);
  const cut = network.exits[0].position;
  const walk = new SegmentWalk(network, { threads: 1 });
  const { frontier } = await walk.run({ from: 0, to: cut, tensors: { input: image } });
  await walk.release();
  const frame = packTensors(frontier.tensors, { bits: 4, layout: 'planes', codec: 'lz4' });
  const exits = network.exits.map(({ exit }) => exit).filter((_, i) => i > 0);
  const design = { exits, policy: { kind: 'confidence', thresholds: 0.5 }, fallback: 'most-confident' };
  const digest = await modelDigest(model);
  return {
    cut,
    cuts: network.cuts.cuts.length,
    whole: requestToHttp(
      inferRequest('resnet20', [{ name: 'input', tensor: image }], { outputs: [{ name: network.final.output }] }),
    ),
    split: requestToHttp(
      inferRequest('resnet20', [frameInput(frame)], {
        parameters: writeSplitParameters({ cut, framed: true, design, model: digest }),
      }),
    ),
  };
}

const { cut, cuts, whole, split } = await bodies();
const server = spawn(
  process.execPath,
  [join(root, 'dist/cli/main.js'), 'serve', folder, '--port', '0', '--threads', '2', '--per-client', '1000', '--json'],
  { stdio: ['ignore', 'pipe', 'pipe'] },
);
let log = '';
let out = '';
server.stderr.on('data', (chunk) => (log += chunk));
server.stdout.on('data', (chunk) => (out += chunk));
const ended = new Promise((resolve) => server.on('close', resolve));
const url = await new Promise((resolve, reject) => {
  const timer = setInterval(() => {
    const line = log.split('\n').find((text) => text.includes('"listening"'));
    if (line) {
      clearInterval(timer);
      resolve(JSON.parse(line).url);
    }
  }, 50);
  ended.then(() => reject(new Error(log)));
});
const { hostname, port } = new URL(url);

const gauge = async (name) => {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
};

const latencies = { whole: [], split: [] };
const reports = { batch: [], computeMs: [], queueMs: [] };
const errors = [];
let leavers = 0;
let running = true;

async function send({ bytes, contentType, jsonBytes }) {
  const response = await fetch(`${url}/v2/models/resnet20/infer`, {
    method: 'POST',
    body: bytes,
    headers: { 'content-type': contentType, 'inference-header-content-length': String(jsonBytes) },
  });
  const body = new Uint8Array(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${response.status}: ${new TextDecoder().decode(body)}`);
  const json = response.headers.get('inference-header-content-length');
  return replyOfHttp(body, json === null ? undefined : Number(json));
}

/** One client: its next request goes out when the last one is answered. */
async function client(kind) {
  while (running) {
    const started = performance.now();
    try {
      const reply = await send(kind === 'whole' ? whole : split);
      latencies[kind].push(performance.now() - started);
      const report = readServerReport(reply.parameters);
      for (const name of Object.keys(reports)) reports[name].push(report[name]);
    } catch (error) {
      errors.push(String(error));
    }
  }
}

/** Clients beside the measured ones that leave somewhere in their request, or before its answer. */
async function leaver(random) {
  const { bytes, jsonBytes } = split;
  const head = `POST /v2/models/resnet20/infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\nInference-Header-Content-Length: ${jsonBytes}\r\n\r\n`;
  const request = Buffer.concat([Buffer.from(head), bytes]);
  while (running) {
    await new Promise((resolve) => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined).on('close', resolve);
      const sent = random.next() < 0.5 ? request.length : Math.floor(random.next() * request.length);
      socket.write(request.subarray(0, sent));
      setTimeout(() => socket.destroy(), random.next() * 60);
    });
    leavers++;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

await send(whole);
await send(split);
const memory = [];
// Other work on the machine may hold this process back altogether: the longest such gap belongs beside the latencies.
let longestGap = 0;
let ticked = performance.now();
const ticker = setInterval(() => {
  longestGap = Math.max(longestGap, performance.now() - ticked - 100);
  ticked = performance.now();
}, 100);
const started = performance.now();
const sampler = setInterval(async () => {
  const rss = await gauge('process_resident_memory_bytes').catch(() => undefined);
  memory.push({ seconds: Math.round((performance.now() - started) / 1000), mib: Math.round(rss / 2 ** 20) });
}, 5000);
const work = [
  ...Array.from({ length: clients }, (_, i) => client(i % 2 === 0 ? 'whole' : 'split')),
  leaver(createRandom(7)),
  leaver(createRandom(8)),
];
await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
running = false;
clearInterval(sampler);
clearInterval(ticker);
await Promise.all(work);
const lasted = (performance.now() - started) / 1000;
await new Promise((resolve) => setTimeout(resolve, 1000));
const left = { queue: await gauge('cuttle_queue_requests'), running: await gauge('cuttle_running_requests') };
const text = await (await fetch(`${url}/metrics`)).text();
const dropped = [...text.matchAll(/^cuttle_dropped_total\{where="(\w+)"\} (\d+)$/gm)].map(([, where, count]) => [
  where,
  Number(count),
]);
server.kill('SIGTERM');
const exitCode = await ended;
rmSync(folder, { recursive: true });

const percentile = (list, share) => [...list].sort((a, b) => a - b)[Math.floor(share * (list.length - 1))];
const rounded = (value) => Math.round(value * 100) / 100;
const of = (list) => ({
  requests: list.length,
  p50: rounded(percentile(list, 0.5)),
  p90: rounded(percentile(list, 0.9)),
  p99: rounded(percentile(list, 0.99)),
  max: rounded(Math.max(...list)),
});
// Trend of resident memory in the second half: a least-squares line.
const later = memory.filter((sample) => sample.seconds >= seconds / 2);
const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
const [mx, my] = [mean(later.map((s) => s.seconds)), mean(later.map((s) => s.mib))];
const slope =
  later.reduce((sum, s) => sum + (s.seconds - mx) * (s.mib - my), 0) /
  later.reduce((sum, s) => sum + (s.seconds - mx) ** 2, 0);
const all = latencies.whole.length + latencies.split.length;
const result = {
  bench: 'split-server',
  machine: await describeDevice(),
  network: { architecture: 'resnet-20', exits: chosen.length, cut, cuts, seed },
  clients,
  seconds: rounded(lasted),
  longestGapOfTheClientsMs: Math.round(longestGap),
  errors: errors.length,
  firstErrors: errors.slice(0, 5),
  requestsPerSecond: rounded(all / lasted),
  latencyMs: { whole: of(latencies.whole), split: of(latencies.split) },
  batches: {
    meanSamples: rounded(mean(reports.batch)),
    computeMsP50: rounded(percentile(reports.computeMs, 0.5)),
    queueMsP50: rounded(percentile(reports.queueMs, 0.5)),
  },
  leavers: { connections: leavers, dropped: Object.fromEntries(dropped) },
  leftBehind: left,
  memoryMib: { samples: memory, growthPerMinuteInSecondHalf: rounded(slope * 60) },
  exitCode,
  summary: JSON.parse(out),
};
if (seconds >= 60) writeFileSync(join(root, 'bench/results/split-server.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify({ ...result, machine: undefined }, null, 2));
