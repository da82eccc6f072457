/**
 * @file Compares formulations of the backward pass: convolution dW and dX in every form that the gradient rule offers,
 * ReLU's mask, BatchNormalization's affine map. Least CPU time in ms on one thread: it holds still where wall time does not.
 *
 * After a build: node bench/conv-gradient/run.mjs [batch]   → bench/results/conv-gradient.json
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { arch, cpus, platform } from 'node:os';
import { float, GraphBuilder, makeModel, Tensor, tensorType } from '../../dist/ir/index.js';
import { appendGradients } from '../../dist/passes/index.js';
import { openSession, syntheticFeeds } from '../../dist/runtime/index.js';
import { backwardOf } from '../../dist/train/index.js';

const batch = Number(process.argv[2] ?? 32);

function numbers(dims) {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.floats(
    Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 1000) / 1000 - 0.5),
    dims,
  );
}

/** Least CPU milliseconds of one run of a model. */
async function measure(model, feeds) {
  const session = await openSession(model, { backend: 'native', threads: 1 });
  await session.run(feeds);
  let best = Infinity;
  const start = performance.now();
  for (let runs = 0; runs < 8 || (runs < 60 && performance.now() - start < 400); runs++) {
    const before = process.cpuUsage();
    await session.run(feeds);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1000);
  }
  await session.release();
  return Number(best.toFixed(2));
}

/** The same for the graph that `build` makes over inputs of these dims. */
function measureGraph(build, inputs) {
  const b = new GraphBuilder();
  const feeds = {};
  for (const [name, dims] of Object.entries(inputs)) {
    feeds[name] = numbers(dims);
    b.input(name, tensorType('float32', dims[0] === batch ? ['batch', ...dims.slice(1)] : dims));
  }
  return measure(makeModel(b.graph('bench', [{ name: build(b), type: tensorType('float32') }])), feeds);
}

const reshape = (b, x, dims) => b.op('Reshape', [x, b.int64s(dims)]);

/** [channels, filters, size, kernel, stride, groups] of the convolutions measured: ResNet-20's, VGG's, MobileNetV2's kinds. */
const convolutions = [
  [3, 16, 32, 3, 1, 1],
  [16, 16, 32, 3, 1, 1],
  [16, 32, 32, 3, 2, 1],
  [16, 32, 32, 1, 2, 1],
  [32, 32, 16, 3, 1, 1],
  [32, 64, 16, 3, 2, 1],
  [64, 64, 8, 3, 1, 1],
  [128, 128, 16, 3, 1, 1],
  [512, 512, 4, 3, 1, 1],
  [24, 144, 16, 1, 1, 1],
  [96, 96, 16, 3, 1, 96],
  [96, 96, 16, 3, 2, 96],
];

/** The decisions that the gradient of one convolution leaves open. */
function decisionsOf([channels, filters, size, kernel, stride, groups]) {
  const b = new GraphBuilder();
  const pad = (kernel - 1) / 2;
  b.input('x', tensorType('float32', ['batch', channels, size, size]));
  b.input('w', tensorType('float32', [filters, channels / groups, kernel, kernel]));
  const y = b.op('Conv', ['x', 'w'], { pads: [pad, pad, pad, pad], strides: [stride, stride], group: groups });
  const loss = b.op('ReduceSum', [y], { keepdims: 0 });
  const decisions = [];
  appendGradients(makeModel(b.graph('conv', [{ name: loss }])), loss, ['x', 'w'], {
    choose: (decision) => void decisions.push(decision),
  });
  return decisions;
}

const masks = {
  'Greater, Where': () => (b) => b.op('Where', [b.op('Greater', ['x', b.scalar(0)]), 'g', b.scalar(0)]),
  'Greater, Cast, Mul': () => (b) => b.op('Mul', ['g', b.op('Cast', [b.op('Greater', ['x', b.scalar(0)])], { to: 1 })]),
  'Sign, Mul': () => (b) => b.op('Mul', ['g', b.op('Sign', ['x'])]),
  'HardSigmoid, Mul': () => (b) =>
    b.op('Mul', ['g', b.op('HardSigmoid', ['x'], { alpha: float(3e38), beta: float(0) })]),
};

const affine = {
  'broadcast arithmetic': () => (b) => {
    const c = reshape(b, 'c', [-1, 1, 1]);
    return b.op('Add', [b.op('Add', [b.op('Mul', ['g', c]), b.op('Mul', ['x', c])]), c]);
  },
  'BatchNormalization and one Mul': () => (b) => {
    const rest = b.op('BatchNormalization', ['x', 'c', 'c', 'c', b.op('Abs', ['c'])]);
    return b.op('Add', [b.op('Mul', ['g', reshape(b, 'c', [-1, 1, 1])]), rest]);
  },
};

const results = {};
for (const shape of convolutions) {
  const [channels, filters, size, kernel, stride, groups] = shape;
  const name = `${channels}→${filters}@${size} ${kernel}×${kernel}/${stride}${groups > 1 ? ` in ${groups} groups` : ''}`;
  for (const decision of decisionsOf(shape))
    for (const candidate of decision.candidates) {
      const model = backwardOf(decision, candidate, batch);
      const row = ((results[decision.what] ??= {})[name] ??= { preferred: decision.preferred, ms: {} });
      row.ms[candidate] = await measure(model, syntheticFeeds(model));
    }
  console.log(name, JSON.stringify(Object.values(results).map((rows) => rows[name])));
}
for (const [channels, size] of [
  [16, 32],
  [32, 16],
  [64, 8],
]) {
  const map = [batch, channels, size, size];
  for (const [part, formulations] of Object.entries({ relu: masks, affine }))
    for (const [name, formulation] of Object.entries(formulations))
      ((results[part] ??= {})[`${channels}@${size}`] ??= { ms: {} }).ms[name] = await measureGraph(formulation(), {
        x: map,
        g: map,
        c: [channels],
      });
}
await mkdir(new URL('../results/', import.meta.url), { recursive: true });
const report = {
  bench: 'conv-gradient',
  unit: 'CPU ms',
  batch,
  cpu: cpus()[0]?.model,
  platform: platform(),
  arch: arch(),
  node: process.version,
  results,
};
await writeFile(new URL('../results/conv-gradient.json', import.meta.url), `${JSON.stringify(report, null, 2)}\n`);
