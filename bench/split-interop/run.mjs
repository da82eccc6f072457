/**
 * @file With others' software: an exported repository served by KServe's model server, each answer compared with the uncut
 * network's; and NVIDIA's `tritonclient` against `cuttle serve`.
 *
 *   python3 -m venv venv && venv/bin/pip install kserve onnxruntime 'tritonclient[http,grpc]'
 *   node bench/split-interop/run.mjs --python venv/bin/python [--triton-python OTHER/bin/python]
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Tensor } from '../../dist/ir/index.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { describeDevice, openSession } from '../../dist/runtime/index.js';
import { openCodecs, openSplitNetwork, SegmentWalk, tailTransport } from '../../dist/split/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const { values: given } = parseArgs({
  options: { python: { type: 'string' }, 'triton-python': { type: 'string' } },
});
if (given.python === undefined) throw new Error('--python FOLDER/bin/python is missing');
const root = fileURLToPath(new URL('../..', import.meta.url));
const here = (name) => join(root, 'bench/split-interop', name);
const command = join(root, 'dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'cuttle-interop-'));
const images = 8;
const seed = 1;
// Inside residual blocks too, where two tensors cross.
const CUTS = '0,4,13,14,30,50,71,73';

const model = buildArchitecture('resnet-20', { classes: 10, input: [3, 32, 32], seed });
const path = join(folder, 'resnet20.onnx');
writeFileSync(path, encodeModel(model));
const random = createRandom(seed);
const inputs = Array.from({ length: images }, () =>
  Tensor.floats(
    Float32Array.from({ length: 3 * 32 * 32 }, () => random.normal()),
    [1, 3, 32, 32],
  ),
);
const whole = await openSession(model, { threads: 1 });
const exact = [];
for (const input of inputs) exact.push((await whole.run({ input })).logits.data);

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

async function reachable(url, process, log) {
  for (let tries = 0; tries < 300; tries++) {
    if (process.exitCode !== null) throw new Error(`the server ended:\n${log()}`);
    if (
      await fetch(url).then(
        (response) => response.ok,
        () => false,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`no answer from ${url}:\n${log()}`);
}

function start(file, args) {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stdout.on('data', (chunk) => (log += chunk));
  child.stderr.on('data', (chunk) => (log += chunk));
  return { child, log: () => log, ended: new Promise((resolve) => child.on('close', resolve)) };
}

/** Every tail of a repository, asked through the split session's own transport. */
async function askTails(url, tails, bits, layout) {
  const transport = tailTransport(url, tails);
  const walk = new SegmentWalk(openSplitNetwork(model), { threads: 1 });
  const rows = [];
  for (const { cut } of tails) {
    let worst = 0;
    let same = 0;
    let bytes = 0;
    for (const [i, input] of inputs.entries()) {
      const tensors =
        cut === 0 ? { input } : (await walk.run({ from: 0, to: cut, tensors: { input } })).frontier.tensors;
      const prepared = transport.prepare({
        ...{ cut, tensors, logits: 'logits' },
        packing: { bits, layout, codec: 'stored' },
        codecs: await openCodecs(),
      });
      bytes = prepared.bytes;
      const { logits } = await prepared.send(AbortSignal.timeout(30_000));
      const difference = logits.map((value, k) => Math.abs(value - exact[i][k]));
      worst = Math.max(worst, ...difference);
      const top = (list) => list.indexOf(Math.max(...list));
      if (top([...logits]) === top([...exact[i]])) same++;
    }
    rows.push({ cut, requestBytes: bytes, largestLogitDifference: Number(worst.toFixed(6)), sameLabel: same });
  }
  await walk.release();
  return rows;
}

const repositories = [];
for (const [bits, layout] of [
  [8, 'lanes'],
  [4, 'planes'],
  [16, 'lanes'],
]) {
  const out = join(folder, `${bits}-${layout}`);
  const words = [
    'export',
    path,
    '--target',
    'oip',
    '--out',
    out,
    '--bits',
    bits,
    '--layout',
    layout,
    '--cuts',
    CUTS,
    '--json',
  ];
  const { tails } = JSON.parse(
    spawnSync(process.execPath, [command, ...words.map(String)], { encoding: 'utf8' }).stdout,
  );
  const port = await freePort();
  const { child, log, ended } = start(given.python, [here('kserve-server.py'), out, String(port)]);
  const url = `http://127.0.0.1:${port}`;
  await reachable(`${url}/v2/health/ready`, child, log);
  repositories.push({ bits, layout, tails: await askTails(url, tails, bits, layout) });
  child.kill('SIGTERM');
  await ended;
  process.stderr.write(`${bits} bits, ${layout}: ${tails.length} tails\n`);
}

async function tritonClient() {
  const python = given['triton-python'] ?? given.python;
  const { child, log, ended } = start(process.execPath, [command, 'serve', path, '--port', '0', '--json']);
  let url;
  while ((url = /"url":"http:\/\/([^"]+)"/.exec(log())?.[1]) === undefined) {
    if (child.exitCode !== null) throw new Error(log());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const asked = spawnSync(python, [here('triton-client.py'), url, 'resnet20'], { encoding: 'utf8' });
  child.kill('SIGTERM');
  await ended;
  if (asked.stdout === '') throw new Error(asked.stderr);
  return JSON.parse(asked.stdout);
}

const versions = (python, packages) =>
  JSON.parse(
    spawnSync(
      python,
      [
        '-c',
        `import json; from importlib.metadata import version; print(json.dumps({name: version(name) for name in ${JSON.stringify(packages)}}))`,
      ],
      { encoding: 'utf8' },
    ).stdout,
  );

const result = {
  bench: 'split-interop',
  machine: await describeDevice(),
  network: { architecture: 'resnet-20', seed, images },
  kserve: { versions: versions(given.python, ['kserve', 'onnxruntime']), repositories },
  tritonclient: {
    versions: versions(given['triton-python'] ?? given.python, ['tritonclient']),
    ...(await tritonClient()),
  },
};
await whole.release();
rmSync(folder, { recursive: true });
writeFileSync(join(root, 'bench/results/split-interop.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify({ ...result, machine: undefined }, null, 2));
