/** @file One process of bench/train-step: training steps of ResNet-20 with jax-js on its WASM backend. Prints times as JSON. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { prepareWith } from '../browser-train/page/jax-resnet.mjs';

const { values } = parseArgs({
  options: {
    batch: { type: 'string', default: '8' },
    steps: { type: 'string', default: '2' },
    warmup: { type: 'string', default: '1' },
  },
});
const [batch, steps, warmup] = [values.batch, values.steps, values.warmup].map(Number);
const jax = await import(new URL('../peers/node_modules/@jax-js/jax/dist/index.js', import.meta.url));
const { step, version, threads } = await prepareWith(jax, {
  backend: 'wasm',
  depth: 20,
  batch,
  threads: availableParallelism(),
});
const times = [];
const losses = [];
for (let i = 0; i < warmup + steps; i++) {
  const start = performance.now();
  losses.push(await step());
  if (i >= warmup) times.push(performance.now() - start);
}
console.log(JSON.stringify({ version, batch, threads, times, losses }));
process.exit(0);
