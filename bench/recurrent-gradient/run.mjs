/**
 * @file Formulations of the backward recurrence of an LSTM: one Scan, or all steps unrolled into the graph.
 *
 * node bench/recurrent-gradient/run.mjs [--rounds 3] [--runs 11]
 *
 * Needs `npm run build`. Both graphs do what a step of the gradient does (src/ops/gradients/recurrent-lstm.ts): one product with R and
 * six elementwise operators. The two alternate, so that noise of the machine meets both. Results go to
 * bench/results/recurrent-gradient.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GraphBuilder, makeModel, Tensor, tensorType } from '../../dist/ir/index.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { describeDevice, openSession } from '../../dist/runtime/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    runs: { type: 'string', default: '11' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string', default: join(here, '../results/recurrent-gradient.json') },
  },
});
const [rounds, runs, threads] = ['rounds', 'runs', 'threads'].map((name) => Number(values[name]));
const CASES = [
  { batch: 8, time: 8, hidden: 32 },
  { batch: 32, time: 16, hidden: 64 },
  { batch: 32, time: 64, hidden: 256 },
  { batch: 64, time: 64, hidden: 256 },
];

const random = createRandom(1);
const tensor = (...dims) =>
  Tensor.floats(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 0.1 * random.normal()),
    dims,
  );

/** One step backwards: gradients of state and cell, and those of the gates. */
function step(b, state, cell, { y, into, factors, through }) {
  const dh = b.op('Add', [y, state]);
  const dc = b.op('Add', [cell, b.op('Mul', [dh, into])]);
  const gates = b.op('Mul', [b.op('Concat', [dc, dh, dc, dc], { axis: 1 }), factors]);
  return [b.op('MatMul', [gates, 'R']), b.op('Mul', [dc, through]), gates];
}

const TRACKS = ['y', 'into', 'factors', 'through'];
const forms = {
  scan(b, { batch, hidden }) {
    const inner = b.nested();
    const input = (name, width) => inner.freshInput(name, tensorType('float32', [batch, width]));
    const [state, cell] = [input('step_state', hidden), input('step_cell', hidden)];
    const tracks = Object.fromEntries(
      TRACKS.map((name) => [name, input(`step_${name}`, name === 'factors' ? 4 * hidden : hidden)]),
    );
    const outputs = step(inner, state, cell, tracks).map((name) => ({ name, type: tensorType('float32') }));
    const ones = TRACKS.map(() => 1);
    return b.ops(
      'Scan',
      ['zero', 'zero', ...TRACKS],
      {
        body: { type: 'graph', value: inner.graph('body', outputs) },
        num_scan_inputs: TRACKS.length,
        scan_input_directions: ones,
        scan_output_directions: [1],
      },
      { outputs: 3 },
    );
  },
  unrolled(b, { time }) {
    const parts = Object.fromEntries(
      TRACKS.map((name) => [
        name,
        b
          .ops('Split', [name], { axis: 0, num_outputs: time }, { outputs: time })
          .map((part) => b.op('Squeeze', [part, b.int64s([0])])),
      ]),
    );
    let [state, cell] = ['zero', 'zero'];
    const all = [];
    for (let t = time - 1; t >= 0; t--) {
      const tracks = Object.fromEntries(TRACKS.map((name) => [name, parts[name][t]]));
      const [nextState, nextCell, gates] = step(b, state, cell, tracks);
      [state, cell] = [nextState, nextCell];
      all.unshift(b.op('Unsqueeze', [gates, b.int64s([0])]));
    }
    return [state, cell, b.op('Concat', all, { axis: 0 })];
  },
};

async function measure(form, size, backend) {
  const { batch, time, hidden } = size;
  const feeds = {
    R: tensor(4 * hidden, hidden),
    zero: tensor(batch, hidden),
    y: tensor(time, batch, hidden),
    into: tensor(time, batch, hidden),
    factors: tensor(time, batch, 4 * hidden),
    through: tensor(time, batch, hidden),
  };
  const b = new GraphBuilder();
  for (const [name, { dims }] of Object.entries(feeds)) b.input(name, tensorType('float32', dims));
  const outputs = forms[form](b, size).map((name) => ({ name, type: tensorType('float32') }));
  const bytes = encodeModel(makeModel(b.graph(form, outputs), { opsets: new Map([['', 18]]) }));
  const opened = performance.now();
  const session = await openSession(bytes, { backend, threads });
  const openMs = performance.now() - opened;
  const times = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await session.run(feeds);
    if (run > 0) times.push(performance.now() - start);
  }
  await session.release();
  return { runMs: median(times), openMs };
}

const results = [];
for (const backend of ['native', 'wasm'])
  for (const size of CASES) {
    const found = Object.fromEntries(Object.keys(forms).map((form) => [form, []]));
    for (let round = 0; round < rounds; round++)
      for (const form of Object.keys(forms)) found[form].push(await measure(form, size, backend));
    const summary = Object.fromEntries(
      Object.entries(found).map(([form, list]) => [
        form,
        { runMs: median(list.map(({ runMs }) => runMs)), openMs: median(list.map(({ openMs }) => openMs)) },
      ]),
    );
    const ratio = median(found.scan.map(({ runMs }, round) => found.unrolled[round].runMs / runMs));
    results.push({ backend, ...size, ...summary, unrolledToScan: ratio });
    console.log(
      `${backend} batch ${size.batch}, ${size.time} steps, ${size.hidden} units: unrolled takes ${ratio.toFixed(2)} × the time of Scan`,
    );
  }
mkdirSync(dirname(values.out), { recursive: true });
const device = await describeDevice({ backend: 'native', threads });
writeFileSync(values.out, `${JSON.stringify({ bench: 'recurrent-gradient', seed: 1, device, results }, null, 2)}\n`);

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
