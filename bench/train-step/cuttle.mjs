/** @file One process of bench/train-step: training steps with Cuttle. Prints times as JSON. */
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';
import { buildStep, buildTunedStep, createTrainer } from '../../dist/train/index.js';
import { fileFormulations } from '../../dist/train/node.js';
import { networks, seededRandom } from './networks.mjs';

const { values } = parseArgs({
  options: {
    network: { type: 'string', default: 'resnet-20' },
    backend: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string' },
    steps: { type: 'string', default: '12' },
    warmup: { type: 'string', default: '3' },
    tune: { type: 'boolean', default: false },
  },
});
const network = networks[values.network];
const [threads, steps, warmup] = [values.threads, values.steps, values.warmup].map(Number);
const batch = Number(values.batch ?? network.batch);
const { backend } = values;

const spec = {
  losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
  optimizer: network.optimizer,
  weightDecay: network.weightDecay,
  profile: backend === 'wasm' ? 'wasm' : 'cpu',
};
const session = { backend, threads };
const step = values.tune
  ? await buildTunedStep(network.model(), spec, { session, batch, store: fileFormulations() })
  : buildStep(network.model(), spec);
const opened = performance.now();
const trainer = await createTrainer(step, session);
const sessionMs = performance.now() - opened;
const feeds = network.feeds(seededRandom(), batch);
const times = [];
const losses = [];
for (let i = 0; i < warmup + steps; i++) {
  const start = performance.now();
  const { loss } = await trainer.run(feeds, { learningRate: 0.05 });
  if (i >= warmup) times.push(performance.now() - start);
  losses.push(loss);
}
await trainer.release();
const { runtime } = await describeDevice(session);
const peakMegabytes = process.resourceUsage().maxRSS / 1024;
const nodes = step.model.graph.nodes.length;
console.log(JSON.stringify({ version: runtime, batch, threads, nodes, sessionMs, peakMegabytes, times, losses }));
