/** @file TensorFlow.js with its layers API, on any of its back ends. */
import * as tf from '@tensorflow/tfjs';
import { batchOf, blocksOf } from './network.mjs';

const load = {
  cpu: async () => undefined,
  webgl: async () => undefined,
  wasm: async () =>
    (await import('@tensorflow/tfjs-backend-wasm')).setWasmPaths(new URL('tfjs-wasm/', document.baseURI).href),
  webgpu: async () => import('@tensorflow/tfjs-backend-webgpu'),
};

export async function prepare({ backend, depth, batch }) {
  await load[backend]();
  if (!(await tf.setBackend(backend))) throw new Error(`the back end ${backend} does not start`);
  await tf.ready();
  const { layers } = tf;
  const conv = (x, filters, kernelSize, strides) =>
    layers.conv2d({ filters, kernelSize, strides, padding: 'same', useBias: false }).apply(x);
  const norm = (x) => layers.batchNormalization({ epsilon: 1e-5, momentum: 0.9 }).apply(x);
  const relu = (x) => layers.reLU().apply(x);

  const input = tf.input({ shape: [32, 32, 3] });
  let x = relu(norm(conv(input, 16, 3, 1)));
  for (const { width, stride, project } of blocksOf(depth)) {
    const inner = norm(conv(relu(norm(conv(x, width, 3, stride))), width, 3, 1));
    x = relu(layers.add().apply([inner, project ? norm(conv(x, width, 1, stride)) : x]));
  }
  const model = tf.model({
    inputs: input,
    outputs: layers.dense({ units: 10 }).apply(layers.globalAveragePooling2d({}).apply(x)),
  });
  model.compile({
    optimizer: tf.train.momentum(0.05, 0.9, true),
    loss: (labels, scores) => tf.losses.softmaxCrossEntropy(labels, scores),
  });
  const { pixels, labels } = batchOf(batch);
  // TensorFlow.js keeps channels last.
  const images = tf.tidy(() => tf.transpose(tf.tensor4d(pixels, [batch, 3, 32, 32]), [0, 2, 3, 1]));
  const targets = tf.tidy(() => tf.oneHot(tf.tensor1d(labels, 'int32'), 10).toFloat());
  return {
    version: `@tensorflow/tfjs ${tf.version.tfjs}`,
    threads: backend === 'wasm' ? navigator.hardwareConcurrency : 1,
    step: async () => {
      const loss = await model.trainOnBatch(images, targets);
      return Array.isArray(loss) ? loss[0] : loss;
    },
  };
}
