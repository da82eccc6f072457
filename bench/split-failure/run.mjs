/**
 * @file Failure: packets stalled with P = 0.1, 0.25, 0.5 (at the start of a request and in its middle), the server killed, the
 * link cut. Answers, deadlines, accuracy and latency of a split session beside a client that retries.
 *
 * After a build, and after bench/hapi/prepare.mjs:
 *   node bench/split-failure/run.mjs [--model bench/.work/hapi/resnet20/progressive.onnx] [--images 100] [--device full|slow]
 *
 * Server and client are processes of their own; between them a TCP proxy emulates 4G (24 Mbit/s, 40 ms there and back), as in
 * the paper. `--device slow` gives the client a tenth of a processor by a control group (Linux, as root). Each device is
 * a part of bench/results/split-failure.json. Test images are read from ../shared.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { batches, openData } from '../../dist/data/node.js';
import { readProgressive } from '../../dist/exits/index.js';
import { loadModel } from '../../dist/onnx/node.js';
import { describeDevice } from '../../dist/runtime/index.js';
import {
  bytesPerMs,
  fixedRate,
  httpTransport,
  openCodecs,
  openSplitNetwork,
  openSplitSession,
  SegmentWalk,
} from '../../dist/split/index.js';
import { openLinkProxy } from '../../dist/split/node.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const file = join(here, '../results/split-failure.json');
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(root, 'bench/.work/hapi/resnet20/progressive.onnx') },
    images: { type: 'string', default: '100' },
    device: { type: 'string', default: 'full' },
    scenario: { type: 'string' },
  },
});
const PORT = 18_231;
const DEADLINES = { full: 120, slow: 200 };
const MARGINS = { full: 4, slow: 25 };
const THRESHOLD = 0.8;
const LINK = { mbps: 24, roundTripMs: 40 };
/** First wait of the client that retries, doubled each time (SPINN §6.4). */
const BACK_OFF = 20;

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
const percentile = (list, p) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(p * list.length))];

function startServer() {
  const argv = [
    join(root, 'dist/cli/main.js'),
    'serve',
    values.model,
    '--port',
    String(PORT),
    '--json',
    '--threads',
    '1',
  ];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ready = new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => text.includes('"listening"') && resolve());
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  ready.catch(() => undefined);
  return { child, ready };
}

/** One scenario in a process of its own, perhaps with a tenth of a processor; it tells when the server is to die and rise. */
async function client(scenario, server) {
  const group = '/sys/fs/cgroup/cpu/cuttle-bench';
  const argv = [fileURLToPath(import.meta.url), '--scenario', JSON.stringify(scenario)];
  for (const name of ['model', 'images', 'device']) argv.push(`--${name}`, values[name]);
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const slow = values.device === 'slow';
  if (slow) {
    mkdirSync(group, { recursive: true });
    writeFileSync(join(group, 'cpu.cfs_period_us'), '10000');
    writeFileSync(join(group, 'cpu.cfs_quota_us'), '-1');
    writeFileSync(join(group, 'cgroup.procs'), String(child.pid));
  }
  let result;
  child.on('message', (message) => {
    // Loading is not what is measured: the processor is taken away afterwards.
    if (message === 'ready') {
      if (slow) writeFileSync(join(group, 'cpu.cfs_quota_us'), '1000');
    } else if (message === 'kill') server.current.child.kill('SIGKILL');
    else if (message === 'revive') server.current = startServer();
    else result = message;
  });
  await once(child, 'exit');
  if (slow) rmdirSync(group);
  if (result === undefined) throw new Error(`no result of ${JSON.stringify(scenario)}`);
  return result;
}

async function imagesOf(count) {
  const { test } = await openData(join(root, '../shared/data/cifar-10-images.tar.gz'), { seed: 1, limit: count });
  const preprocessing = {
    ...{ height: 32, width: 32, channels: 'rgb' },
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.247, 0.2435, 0.2616],
  };
  const samples = [];
  for await (const { images, labels } of batches(test, { batchSize: 1, preprocessing }))
    if (samples.length < count) samples.push({ feeds: { input: images }, label: Number(labels.data[0]) });
  return samples;
}

/** In the client's process: every image through a session, or through a client that retries. */
async function play({ P, afterBytes, kind, event }) {
  const model = await loadModel(values.model);
  const network = openSplitNetwork(model);
  const { info } = readProgressive(model);
  const exits = info.exits.map((_, exit) => exit).filter((exit) => exit % 3 === 2);
  const temperatures = [...exits.map((exit) => info.exits[exit].temperature), info.final.temperature];
  const design = {
    exits,
    policy: { kind: 'confidence', thresholds: THRESHOLD, temperatures },
    fallback: 'most-confident',
  };
  // Behind the first exit: there is always one on the device.
  const plan = { cut: network.exits[exits[0]].position, design, packing: { bits: 8, layout: 'planes', codec: 'lz4' } };
  const direction = { rate: fixedRate(bytesPerMs(LINK.mbps)), latencyMs: LINK.roundTripMs / 2 };
  const stalls = P > 0 ? { probability: P, ...(afterBytes && { afterBytes }) } : undefined;
  const proxy = await openLinkProxy({
    target: { host: '127.0.0.1', port: PORT },
    ...{ up: direction, down: direction, seed: 7, ...(stalls && { stalls }) },
  });
  const name = values.model
    .split('/')
    .at(-1)
    .replace(/\.onnx$/, '');
  const samples = await imagesOf(Number(values.images));
  const deadlineMs = DEADLINES[values.device];
  const session = await openSplitSession(model, {
    plan,
    ...(kind === 'session' && { server: { url: `http://127.0.0.1:${proxy.port}`, model: name } }),
    ...{ exits, marginMs: MARGINS[values.device], session: { threads: 1 } },
  });
  const walk = new SegmentWalk(network, { threads: 1 });
  const transport = httpTransport(`http://127.0.0.1:${proxy.port}`, { model: name });
  const codecs = await openCodecs();
  const rows = [];
  /** Retries until there is an answer: accuracy at the deadline follows from the time. */
  const retrying = async (feeds, undisturbedMs) => {
    const start = performance.now();
    const device = await walk.run({ from: 0, to: plan.cut, tensors: feeds, design });
    const [own] = device.answers;
    if (own) return { label: own.label, ms: performance.now() - start, where: 'device', tries: 0 };
    const { tensors } = device.frontier;
    for (let attempt = 0; ; attempt++) {
      const { cut, packing } = plan;
      const logits = network.final.output;
      const request = transport.prepare({ cut, packing, codecs, design, logits, tensors });
      try {
        const reply = await request.send(AbortSignal.timeout(Math.round(3 * undisturbedMs)));
        const label = reply.logits.indexOf(Math.max(...reply.logits));
        return { label, ms: performance.now() - start, where: 'server', tries: attempt + 1 };
      } catch {
        await new Promise((resolve) => setTimeout(resolve, BACK_OFF * 2 ** attempt));
        if (attempt === 9) return { label: -1, ms: performance.now() - start, where: 'nowhere', tries: attempt + 1 };
      }
    }
  };
  // Warm: connections, sessions.
  for (let i = 0; i < 3; i++)
    await (kind === 'session' ? session.infer(samples[i].feeds) : retrying(samples[i].feeds, 500));
  process.send('ready');
  const third = Math.floor(samples.length / 3);
  for (const [i, { feeds, label }] of samples.entries()) {
    if (event !== undefined && i === third) await (event === 'cut' ? proxy.cut(true) : process.send('kill'));
    if (event !== undefined && i === 2 * third) await (event === 'cut' ? proxy.cut(false) : process.send('revive'));
    // As a camera gives them.
    await new Promise((resolve) => setTimeout(resolve, 33));
    if (kind === 'session') {
      const answer = await session.infer(feeds, { deadlineMs });
      const { where, reason, late, times, exit } = answer;
      rows.push({ right: answer.label === label, ms: times.total, where, reason: reason ?? 'offloaded', late, exit });
    } else {
      const row = await retrying(feeds, 1.5 * LINK.roundTripMs);
      rows.push({
        right: row.label === label,
        ms: row.ms,
        where: row.where,
        tries: row.tries,
        late: row.ms > deadlineMs,
      });
    }
  }
  await session.release();
  await walk.release();
  await proxy.close();
  const count = (key) => {
    const counts = {};
    for (const row of rows) counts[row[key]] = (counts[row[key]] ?? 0) + 1;
    return counts;
  };
  const phases = [0, 1, 2].map((k) => phase(rows.slice(k * third, (k + 1) * third)));
  const times = rows.map(({ ms }) => ms);
  return {
    ...{ P, kind, ...(afterBytes && { afterBytes }), ...(event && { event }) },
    images: rows.length,
    answered: rows.filter(({ where }) => where !== 'nowhere').length,
    late: rows.filter(({ late }) => late).length,
    accuracy: rows.filter(({ right, late }) => right && !late).length / rows.length,
    accuracyWithoutDeadline: rows.filter(({ right }) => right).length / rows.length,
    meanMs: mean(times),
    p95Ms: percentile(times, 0.95),
    mostMs: Math.max(...times),
    stalled: proxy.stalled,
    where: count('where'),
    ...(kind === 'session' ? { reasons: count('reason') } : { tries: count('tries') }),
    ...(event && { phases }),
  };
}

const phase = (rows) => ({
  accuracy: rows.filter(({ right, late }) => right && !late).length / rows.length,
  meanMs: mean(rows.map(({ ms }) => ms)),
  server: rows.filter(({ where }) => where === 'server').length,
});

if (values.scenario) {
  process.send(await play(JSON.parse(values.scenario)));
  process.disconnect();
} else {
  const server = { current: startServer() };
  await server.current.ready;
  const scenarios = [
    ...[0, 0.1, 0.25, 0.5].flatMap((P) => [
      { P, kind: 'session' },
      { P, kind: 'retries' },
    ]),
    { P: 0.25, afterBytes: 1000, kind: 'session' },
    { P: 0.25, afterBytes: 1000, kind: 'retries' },
    { P: 0, kind: 'session', event: 'cut' },
    { P: 0, kind: 'session', event: 'kill' },
  ];
  const rows = [];
  for (const scenario of scenarios) {
    rows.push(await client(scenario, server));
    console.log(JSON.stringify(rows.at(-1)));
  }
  server.current.child.kill('SIGKILL');
  const sessions = rows.filter(({ kind }) => kind === 'session');
  const part = {
    ...{ images: Number(values.images), link: LINK, threshold: THRESHOLD, deadlineMs: DEADLINES[values.device] },
    marginMs: MARGINS[values.device],
    answered: sessions.every((row) => row.answered === row.images),
    late: sessions.reduce((sum, row) => sum + row.late, 0),
    rows,
  };
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const device = await describeDevice({ backend: 'native', threads: 1 });
  const paper = 'SPINN §6.4, P 0.1 to 0.5: accuracy drop 0 to 5.75 pp (CIFAR-100), baseline 11.56 to 44.1 pp';
  const devices = { ...before.devices, [values.device]: part };
  writeFileSync(file, `${JSON.stringify({ bench: 'split-failure', device, paper, devices }, null, 2)}\n`);
}
