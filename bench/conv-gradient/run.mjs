/**
 * @file Compares formulations of the backward pass on ResNet-20's shapes: convolution dW and dX, ReLU's mask,
 * BatchNormalization's affine map. Least CPU time in ms on one thread: it holds still where wall time does not.
 *
 * After a build: node bench/conv-gradient/run.mjs [batch]   → bench/results/conv-gradient.json
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { arch, cpus, platform } from 'node:os';
import { float, GraphBuilder, makeModel, Tensor, tensorType } from '../../dist/ir/index.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { openSession } from '../../dist/runtime/index.js';

const batch = Number(process.argv[2] ?? 128);
const END = Number.MAX_SAFE_INTEGER;

function numbers(dims) {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.floats(
    Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 1000) / 1000 - 0.5),
    dims,
  );
}

/** Least CPU milliseconds of one run of the graph that `build` makes over inputs of these dims. */
async function measure(build, inputs) {
  const b = new GraphBuilder();
  const feeds = {};
  for (const [name, dims] of Object.entries(inputs)) {
    feeds[name] = numbers(dims);
    b.input(name, tensorType('float32', dims[0] === batch ? ['batch', ...dims.slice(1)] : dims));
  }
  const model = makeModel(b.graph('bench', [{ name: build(b), type: tensorType('float32') }]));
  const session = await openSession(encodeModel(model), { backend: 'native', threads: 1 });
  await session.run(feeds);
  let best = Infinity;
  const start = performance.now();
  for (let runs = 0; runs < 8 || (runs < 60 && performance.now() - start < 1500); runs++) {
    const before = process.cpuUsage();
    await session.run(feeds);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1000);
  }
  await session.release();
  return best;
}

const slice = (b, x, axis, from, to) => b.op('Slice', [x, b.int64s([from]), b.int64s([to]), b.int64s([axis])]);
const pad = (b, x, pads) => b.op('Pad', [x, b.int64s(pads)]);
const reshape = (b, x, dims) => b.op('Reshape', [x, b.int64s(dims)]);
const sumBatch = (b, x) => b.op('ReduceSum', [x, b.int64s([0])], { keepdims: 0 });
const nine = (width) => [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => i * width + j));

/** Formulations of dW of a padded 3×3 convolution C → C over H×H. */
const weights = {
  'tap by tap over all images': (C, H) => (b) => {
    const [W, last] = [H + 2, 2 * (H + 2) + 2];
    const x = reshape(b, b.op('Transpose', [pad(b, 'x', [0, 0, 1, 1, 0, 0, 1, 1])], { perm: [0, 2, 3, 1] }), [-1, C]);
    const g = reshape(b, b.op('Transpose', [pad(b, 'g', [0, 0, 0, 0, 0, 0, 2, 2])], { perm: [1, 0, 2, 3] }), [C, -1]);
    const dy = slice(b, g, 1, 0, -last);
    const taps = nine(W).map((o) => b.op('MatMul', [dy, slice(b, x, 0, o, o === last ? END : o - last)]));
    return b.op('Concat', taps, { axis: 0 });
  },
  'tap by tap per image': (C, H) => (b) => {
    const [W, last] = [H + 2, 2 * (H + 2) + 2];
    const x = reshape(b, pad(b, 'x', [0, 0, 1, 1, 0, 0, 1, 1]), [0, C, -1]);
    const g = slice(b, reshape(b, pad(b, 'g', [0, 0, 0, 0, 0, 0, 0, 2]), [0, C, -1]), 2, 0, -2);
    const dy = b.op('Transpose', [g], { perm: [0, 2, 1] });
    const taps = nine(W).map((o) => sumBatch(b, b.op('MatMul', [slice(b, x, 2, o, o === last ? END : o - last), dy])));
    return b.op('Concat', taps, { axis: 0 });
  },
  'shifts of both per image': (C) => (b) => {
    const rows = [0, 1, 2].map((i) => reshape(b, pad(b, 'x', [0, 0, 1 - i, 1, 0, 0, i - 1, 1]), [0, C, -1]));
    const columns = [0, 1, 2].map((j) => pad(b, 'g', [0, 0, 0, j, 0, 0, 0, 2 - j]));
    const dy = b.op('Transpose', [reshape(b, b.op('Concat', columns, { axis: 1 }), [0, 3 * C, -1])], {
      perm: [0, 2, 1],
    });
    return b.op(
      'Concat',
      rows.map((row) => sumBatch(b, b.op('MatMul', [row, dy]))),
      { axis: 0 },
    );
  },
};

const window = { pads: [1, 1, 1, 1], kernel_shape: [3, 3] };
const inputs = {
  'Conv, flipped weights': () => (b) => {
    const swapped = b.op('Transpose', ['w'], { perm: [1, 0, 2, 3] });
    const flipped = b.op('Slice', [
      swapped,
      ...[
        [-1, -1],
        [-4, -4],
        [2, 3],
        [-1, -1],
      ].map((value) => b.int64s(value)),
    ]);
    return b.op('Conv', ['g', flipped], window);
  },
  ConvTranspose: () => (b) => b.op('ConvTranspose', ['g', 'w'], window),
};

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
for (const [C, H] of [
  [16, 32],
  [32, 16],
  [64, 8],
]) {
  const map = [batch, C, H, H];
  const row = {};
  for (const [part, formulations] of Object.entries({ dW: weights, dX: inputs, ReLU: masks, affine }))
    for (const [name, formulation] of Object.entries(formulations)) {
      const ms = await measure(formulation(C, H), { x: map, g: map, w: [C, C, 3, 3], c: [C] });
      (row[part] ??= {})[name] = Number(ms.toFixed(2));
    }
  results[`${C}@${H}`] = row;
  console.log(`${C}@${H}`, row);
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
