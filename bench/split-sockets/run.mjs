/**
 * @file Real sockets: server and client in two network namespaces, the kernel's token bucket (tbf) between them; what a split
 * request takes beside what the link emulator predicts.
 *
 * After a build, on Linux, as root, with iproute2:
 *   node bench/split-sockets/run.mjs --model bench/.work/hapi/resnet20/progressive.onnx
 *
 * Writes bench/results/split-sockets.json. Inputs are synthetic: bytes and times do not depend on what they show.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../../dist/onnx/node.js';
import { describeDevice, syntheticFeeds } from '../../dist/runtime/index.js';
import {
  bytesPerMs,
  ETHERNET_TCP,
  fixedRate,
  httpTransport,
  LinkModel,
  openCodecs,
  openSplitNetwork,
  SegmentWalk,
} from '../../dist/split/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const file = join(here, '../results/split-sockets.json');
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(root, 'bench/.work/hapi/resnet20/progressive.onnx') },
    client: { type: 'string' },
  },
});
const NAMES = ['cuttle-device', 'cuttle-server'];
const ADDRESSES = ['10.203.77.1', '10.203.77.2'];
const RATES = [1, 5, 24, 100];
/** Bytes that the bucket lets through at once after a pause. */
const BURST = 5000;
const REPEATS = 25;
const BAR = 0.15;

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
const within = (place, ...args) => ip('netns', 'exec', NAMES[place], ...args);

function build() {
  for (const name of NAMES) ip('netns', 'add', name);
  ip('link', 'add', 'veth0', 'netns', NAMES[0], 'type', 'veth', 'peer', 'name', 'veth0', 'netns', NAMES[1]);
  for (const place of [0, 1]) {
    within(place, 'ip', 'addr', 'add', `${ADDRESSES[place]}/24`, 'dev', 'veth0');
    for (const device of ['lo', 'veth0']) within(place, 'ip', 'link', 'set', device, 'up');
    // Packets as they go over a wire: none that is cut up only behind the bucket.
    within(place, 'ip', 'link', 'set', 'veth0', 'gso_max_segs', '1');
  }
}

function unshape(place) {
  try {
    within(place, 'tc', 'qdisc', 'del', 'dev', 'veth0', 'root');
  } catch {
    // It had no bucket.
  }
}

/** A rate in Mbit/s; 0 is the bare link. */
function shape(mbps) {
  for (const place of [0, 1])
    if (mbps === 0) unshape(place);
    else
      within(
        place,
        'tc',
        'qdisc',
        'replace',
        'dev',
        'veth0',
        'root',
        'tbf',
        ...`rate ${mbps}mbit burst ${BURST} limit 1000000`.split(' '),
      );
}

const destroy = () =>
  NAMES.forEach((name) => {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was not there.
    }
  });

/** In the device's namespace: requests at several cuts and widths over the present link. */
async function requests(mbps) {
  const model = await loadModel(values.model);
  const network = openSplitNetwork(model);
  const walk = new SegmentWalk(network, { threads: 1 });
  const codecs = await openCodecs();
  const name = values.model
    .split('/')
    .at(-1)
    .replace(/\.onnx$/, '');
  const transport = httpTransport(`http://${ADDRESSES[1]}:8000`, { model: name });
  const tensorsAt = async (cut, seed) => {
    const feeds = syntheticFeeds(model, { batch: 1, N: 1 }, seed);
    return cut === 0 ? feeds : (await walk.run({ from: 0, to: cut, tensors: feeds })).frontier.tensors;
  };
  const rows = [];
  const last = network.cuts.cuts.length - 1;
  for (const cut of [0, Math.floor(last / 8), Math.floor(last / 2)])
    for (const bits of [8, 32]) {
      const tensors = await tensorsAt(cut, 1);
      const times = [];
      let sizes;
      for (let i = 0; i < REPEATS; i++) {
        const packing = { bits, layout: 'lanes', codec: 'stored' };
        const logits = network.final.output;
        const request = transport.prepare({ cut, tensors, packing, codecs, design: undefined, logits });
        const start = performance.now();
        const reply = await request.send(AbortSignal.timeout(30_000));
        times.push(performance.now() - start - reply.report.computeMs - reply.report.queueMs);
        sizes = { up: request.bytes, down: reply.bytes };
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      rows.push({ mbps, cut, bits, ...sizes, measuredMs: median(times.slice(1)) });
    }
  await walk.release();
  return rows;
}

if (values.client) console.log(JSON.stringify(await requests(Number(values.client))));
else {
  destroy();
  build();
  const argv = [
    join(root, 'dist/cli/main.js'),
    'serve',
    values.model,
    '--host',
    ADDRESSES[1],
    '--threads',
    '1',
    '--json',
  ];
  const server = spawn('ip', ['netns', 'exec', NAMES[1], process.execPath, ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    await new Promise((resolve, reject) => {
      server.stderr.setEncoding('utf8').on('data', (text) => text.includes('"listening"') && resolve());
      server.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    });
    const measured = [];
    // Over the bare link, before and after: what both ends take themselves. The first run warms the server up, and does not count.
    for (const [run, mbps] of [0, 0, ...RATES, 0].entries()) {
      shape(mbps);
      const command = ['netns', 'exec', NAMES[0], process.execPath, fileURLToPath(import.meta.url)];
      const out = execFileSync('ip', [...command, '--model', values.model, '--client', String(mbps)]);
      if (run > 0) measured.push(...JSON.parse(out.toString().trim().split('\n').at(-1)));
    }
    const bare = measured.filter(({ mbps }) => mbps === 0);
    const rows = measured
      .filter(({ mbps }) => mbps > 0)
      .map((row) => {
        const same = bare.filter(({ cut, bits }) => cut === row.cut && bits === row.bits);
        const endsMs = Math.min(...same.map(({ measuredMs }) => measuredMs));
        const link = new LinkModel({ rate: fixedRate(bytesPerMs(row.mbps)), packets: ETHERNET_TCP });
        // What the bucket has saved up passes at once.
        const ms = (bytes) => link.transferMs(Math.max(0, bytes - BURST), 0);
        const linkMs = ms(row.up) + ms(row.down);
        const predictedMs = endsMs + linkMs;
        return { ...row, endsMs, linkMs, predictedMs, error: predictedMs / row.measuredMs - 1 };
      });
    for (const row of rows) console.log(JSON.stringify(row));
    const errors = rows.map(({ error }) => Math.abs(error));
    // Judged where the link is most of the time: elsewhere the ends' own noise is.
    const judged = rows.filter(({ linkMs, measuredMs }) => linkMs > measuredMs / 2);
    const most = Math.max(...judged.map(({ error }) => Math.abs(error)));
    mkdirSync(dirname(file), { recursive: true });
    const device = await describeDevice({ backend: 'native', threads: 1 });
    const result = {
      bench: 'split-sockets',
      device,
      bar: BAR,
      met: most <= BAR,
      mostError: most,
      judged: judged.length,
      medianError: median(errors),
      burst: BURST,
      rows,
    };
    writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
    console.log(
      JSON.stringify({ most, met: most <= BAR, judged: judged.length, of: rows.length, medianError: median(errors) }),
    );
  } finally {
    server.kill('SIGTERM');
    destroy();
  }
}
