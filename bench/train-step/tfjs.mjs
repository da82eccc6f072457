/** @file One process of bench/train-step: training steps of ResNet-20 with TensorFlow.js on its CPU backend. Prints times as JSON. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    batch: { type: 'string', default: '2' },
    steps: { type: 'string', default: '2' },
    warmup: { type: 'string', default: '1' },
  },
});
const [batch, steps, warmup] = [values.batch, values.steps, values.warmup].map(Number);
const tf = createRequire(join(fileURLToPath(new URL('../peers/', import.meta.url)), 'package.json'))(
  '@tensorflow/tfjs',
);
await tf.setBackend('cpu');

const { layers } = tf;
const conv = (x, filters, kernelSize, strides) =>
  layers.conv2d({ filters, kernelSize, strides, padding: 'same', useBias: false }).apply(x);
const norm = (x) => layers.batchNormalization({ epsilon: 1e-5, momentum: 0.9 }).apply(x);
const relu = (x) => layers.reLU().apply(x);

const input = tf.input({ shape: [32, 32, 3] });
let x = relu(norm(conv(input, 16, 3, 1)));
let channels = 16;
for (const width of [16, 32, 64])
  for (let block = 0; block < 3; block++) {
    const stride = width > 16 && block === 0 ? 2 : 1;
    const inner = norm(conv(relu(norm(conv(x, width, 3, stride))), width, 3, 1));
    const shortcut = channels === width ? x : norm(conv(x, width, 1, stride));
    x = relu(layers.add().apply([inner, shortcut]));
    channels = width;
  }
const logits = layers.dense({ units: 10 }).apply(layers.globalAveragePooling2d({}).apply(x));
const model = tf.model({ inputs: input, outputs: logits });
model.compile({
  optimizer: tf.train.momentum(0.05, 0.9, true),
  loss: (labels, scores) => tf.losses.softmaxCrossEntropy(labels, scores),
});

const images = tf.randomNormal([batch, 32, 32, 3], 0, 1, 'float32', 1);
const labels = tf.oneHot(
  tf.tensor1d(
    Array.from({ length: batch }, (_, i) => i % 10),
    'int32',
  ),
  10,
);
const times = [];
const losses = [];
for (let i = 0; i < warmup + steps; i++) {
  const start = performance.now();
  const loss = await model.trainOnBatch(images, labels);
  if (i >= warmup) times.push(performance.now() - start);
  losses.push(Array.isArray(loss) ? loss[0] : loss);
}
console.log(JSON.stringify({ version: `@tensorflow/tfjs ${tf.version.tfjs} (cpu)`, batch, threads: 1, times, losses }));
