/** @file One process of bench/train-step: training steps of ResNet-20 with Cuttle. Prints times as JSON. */
import { parseArgs } from 'node:util';
import { Tensor } from '../../dist/ir/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { describeDevice } from '../../dist/runtime/index.js';
import { buildStep, createTrainer } from '../../dist/train/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '128' },
    steps: { type: 'string', default: '12' },
    warmup: { type: 'string', default: '3' },
  },
});
const [threads, batch, steps, warmup] = [values.threads, values.batch, values.steps, values.warmup].map(Number);
const { backend } = values;

const model = buildArchitecture('resnet-20', { classes: 10, input: [3, 32, 32], seed: 1 });
const step = buildStep(model, {
  losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
  optimizer: { kind: 'sgd', momentum: 0.9, nesterov: true },
  weightDecay: 5e-4,
  profile: backend === 'wasm' ? 'wasm' : 'cpu',
});
const trainer = await createTrainer(step, { backend, threads });
const random = createRandom(1);
const pixels = Float32Array.from({ length: batch * 3 * 32 * 32 }, () => random.normal());
const classes = BigInt64Array.from({ length: batch }, () => BigInt(random.int(10)));
const feeds = {
  input: Tensor.of('float32', [batch, 3, 32, 32], pixels),
  labels: Tensor.of('int64', [batch], classes),
};
const times = [];
const losses = [];
for (let i = 0; i < warmup + steps; i++) {
  const start = performance.now();
  const { loss } = await trainer.run(feeds, { learningRate: 0.05 });
  if (i >= warmup) times.push(performance.now() - start);
  losses.push(loss);
}
await trainer.release();
const { runtime } = await describeDevice({ backend, threads });
console.log(JSON.stringify({ version: runtime, batch, threads, times, losses }));
