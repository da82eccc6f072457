/** @file One process of bench/memory: training steps under a memory budget, and what the process really held. Prints JSON. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Tensor } from '../../dist/ir/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { openSession } from '../../dist/runtime/index.js';
import { buildStep, createTrainer, fitProcess } from '../../dist/train/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';
import { GraphBuilder, makeModel, tensorType } from '../../dist/ir/index.js';

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: 'resnet-20' },
    batch: { type: 'string', default: '128' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '5' },
    /** Bytes for the whole process; none where 0. */
    budget: { type: 'string', default: '0' },
  },
});
const [batch, threads, steps, budget] = [values.batch, values.threads, values.steps, values.budget].map(Number);
const held = (what) =>
  Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;

// The engine's library counts for the program, not for the step.
const b = new GraphBuilder();
b.alias(b.input('x', tensorType('float32', [1])), 'y');
await (await openSession(makeModel(b.graph('warm', ['y'])), { threads })).release();
const program = held('VmRSS');

const model = buildArchitecture(values.arch, { classes: 10, input: [3, 32, 32], seed: 1 });
let step = buildStep(model, {
  losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
  optimizer: { kind: 'sgd', momentum: 0.9, nesterov: true },
  weightDecay: 5e-4,
  dims: { batch },
});
const plan = await fitProcess(step, budget || Infinity);
step = plan.step;
const trainer = await createTrainer(step, { threads });
const random = createRandom(1);
const feeds = {
  input: Tensor.of(
    'float32',
    [batch, 3, 32, 32],
    Float32Array.from({ length: batch * 3072 }, () => random.normal()),
  ),
  labels: Tensor.of(
    'int64',
    [batch],
    BigInt64Array.from({ length: batch }, () => BigInt(random.int(10))),
  ),
};
const times = [];
const losses = [];
for (let i = 0; i < steps; i++) {
  const start = performance.now();
  losses.push((await trainer.run(feeds, { learningRate: 0.05 })).loss);
  times.push(performance.now() - start);
}
const peak = held('VmHWM');
await trainer.release();
console.log(
  JSON.stringify({
    program,
    peak,
    step: peak - program,
    predicted: plan.bytes,
    predictedPlain: plan.plainBytes,
    repeated: plan.repeated.length,
    extraTime: plan.extraTime,
    times: times.slice(1),
    losses,
  }),
);
