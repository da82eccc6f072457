/** @file One process of bench/train-step/run.mjs: training steps of a recurrent network with Cuttle. Prints times as JSON. */
import { parseArgs } from 'node:util';
import { describeDevice } from '../../dist/runtime/index.js';
import { buildStep, createTrainer } from '../../dist/train/index.js';
import { lstmNetwork } from './networks/lstm.mjs';

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'native' },
    cell: { type: 'string', default: 'LSTM' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '32' },
    time: { type: 'string', default: '64' },
    hidden: { type: 'string', default: '256' },
    steps: { type: 'string', default: '12' },
    warmup: { type: 'string', default: '3' },
  },
});
const { backend, cell } = values;
const [threads, batch, time, hidden, steps, warmup] = ['threads', 'batch', 'time', 'hidden', 'steps', 'warmup'].map(
  (name) => Number(values[name]),
);
const network = lstmNetwork({ cell, batch, time, hidden });
const step = buildStep(network.model, { ...network.spec, profile: backend === 'wasm' ? 'wasm' : 'cpu' });
const trainer = await createTrainer(step, { backend, threads });
const times = [];
const losses = [];
for (let i = 0; i < warmup + steps; i++) {
  const start = performance.now();
  const { loss } = await trainer.run(network.feeds, network.settings);
  if (i >= warmup) times.push(performance.now() - start);
  losses.push(loss);
}
await trainer.release();
const { runtime } = await describeDevice({ backend, threads });
console.log(JSON.stringify({ version: runtime, samples: network.samples, threads, times, losses }));
