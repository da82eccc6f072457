/** @file The networks of the bench: architectures of the zoo, two more built here, and public models where they are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { convertModel } from '../../dist/audit/index.js';
import { EMIT_OPSET, GraphBuilder, makeModel, Tensor, tensorType } from '../../dist/ir/index.js';
import { loadModel } from '../../dist/onnx/node.js';
import { foldBatchNorm } from '../../dist/passes/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const image = { classes: 10, input: [3, 32, 32], seed: 1 };
const zoo = (name, group, options = image) => ({ name, group, model: () => buildArchitecture(name, options) });

/**
 * Accuracy of trained networks of these forms on the test images of the CIFAR-10 copy (`cuttle eval`); times do not depend on weights.
 */
const accuracies = { 'mlperf-resnet-8': 0.755, 'resnet-20': 0.844, 'resnet-56': 0.866 };

const built = [
  ...[8, 20, 32, 56].map((depth) => zoo(`resnet-${depth}`, 'resnet')),
  zoo('vgg-11', 'vgg'),
  zoo('vgg-16', 'vgg'),
  ...['mobilenet-v2-0.25', 'mobilenet-v2-0.5', 'mobilenet-v2'].map((name) => zoo(name, 'mobilenet')),
  { name: 'densenet-40', group: 'densenet', model: () => densenet(12, [12, 12, 12]) },
  { name: 'densenet-22', group: 'densenet', model: () => densenet(12, [6, 6, 6]) },
  { name: 'squeezenet', group: 'squeezenet', model: squeezenet },
  zoo('lenet-5', 'lenet', { ...image, input: [1, 28, 28] }),
  zoo('digits-cnn', 'digits', { ...image, input: [1, 28, 28] }),
  zoo('lstm-rows', 'recurrent'),
];

const shared = (path) => fileURLToPath(new URL(`../../../shared/models/${path}`, import.meta.url));
const files = [
  {
    name: 'ultraface-rfb-320',
    group: 'ultraface',
    file: shared('formats/ultraface/version-RFB-320_without_postprocessing.onnx'),
  },
  { name: 'mlperf-resnet-8', group: 'resnet', file: shared('formats/mlperf-tiny/pretrainedResnet.tflite') },
  { name: 'mlperf-vww', group: 'mobilenet', file: shared('formats/mlperf-tiny/vww_96_float.tflite') },
  { name: 'mlperf-kws', group: 'ds-cnn', file: shared('formats/mlperf-tiny/kws_ref_model_float32.tflite') },
];

/** Every network at hand: name, group (variants of one architecture), model, sizes of symbolic dims, accuracy where known. */
export async function networks(only) {
  const found = [];
  for (const { name, group, model, file } of [...built, ...files]) {
    if (only !== undefined && !only.includes(name)) continue;
    if (file !== undefined && !existsSync(file)) {
      console.error(`${name} is not at hand`);
      continue;
    }
    const loaded = model === undefined ? await open(file) : foldBatchNorm(model()).model;
    found.push({ name, group, model: loaded, ...(accuracies[name] && { accuracy: accuracies[name] }) });
  }
  return found;
}

/** ONNX as it is; TensorFlow Lite converted. */
async function open(file) {
  return file.endsWith('.tflite')
    ? convertModel('tflite', readFileSync(file), { ends: 'real' }).model
    : loadModel(file);
}

/** Layers on one another with seeded weights, normalisation already folded into the convolutions' biases. */
class Stack {
  b = new GraphBuilder();
  random = createRandom(1);

  input(channels, size) {
    return { value: this.b.input('input', tensorType('float32', ['batch', channels, size, size])), channels };
  }

  conv(x, channels, kernel, { stride = 1, padding = kernel >> 1, relu = true } = {}) {
    const dims = [channels, x.channels, kernel, kernel];
    const deviation = Math.sqrt(2 / (x.channels * kernel * kernel));
    const size = dims.reduce((product, dim) => product * dim, 1);
    const weight = Tensor.floats(
      Float32Array.from({ length: size }, () => this.random.normal() * deviation),
      dims,
    );
    const bias = Tensor.floats(new Float32Array(channels));
    const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: Array(4).fill(padding) };
    const value = this.b.op(
      'Conv',
      [x.value, this.b.parameter('weight', weight), this.b.parameter('bias', bias)],
      attributes,
    );
    return { value: relu ? this.b.op('Relu', [value]) : value, channels };
  }

  pool(x, op, size) {
    return { ...x, value: this.b.op(op, [x.value], { kernel_shape: [size, size], strides: [size, size] }) };
  }

  concat(...parts) {
    const value = this.b.op(
      'Concat',
      parts.map((part) => part.value),
      { axis: 1 },
    );
    return { value, channels: parts.reduce((sum, { channels }) => sum + channels, 0) };
  }

  model(name, x) {
    const pooled = this.b.op('Flatten', [this.b.op('GlobalAveragePool', [x.value])], { axis: 1 });
    const weights = Float32Array.from({ length: 10 * x.channels }, () => this.random.normal() / Math.sqrt(x.channels));
    const weight = this.b.parameter('fc', Tensor.floats(weights, [10, x.channels]));
    const logits = this.b.op('Gemm', [pooled, weight], { transB: 1 });
    const outputs = [{ name: this.b.alias(logits, 'logits'), type: tensorType('float32', ['batch', 10]) }];
    return makeModel(this.b.graph(name, outputs), { opsets: new Map([['', EMIT_OPSET]]) });
  }
}

/** DenseNet for small images (Huang et al. 2017, arXiv 1608.06993, table of CIFAR networks), normalisation folded away. */
function densenet(growth, blocks) {
  const stack = new Stack();
  let x = stack.conv(stack.input(3, 32), 2 * growth, 3);
  blocks.forEach((layers, block) => {
    for (let layer = 0; layer < layers; layer++) x = stack.concat(x, stack.conv(x, growth, 3));
    if (block < blocks.length - 1) x = stack.pool(stack.conv(x, x.channels, 1), 'AveragePool', 2);
  });
  return stack.model(`densenet-${blocks.reduce((a, b) => a + b, 4)}`, x);
}

/** SqueezeNet 1.1's fire modules (Iandola et al. 2016, arXiv 1602.07360) on small images. */
function squeezenet() {
  const stack = new Stack();
  const fire = (x, squeeze, expand) => {
    const narrow = stack.conv(x, squeeze, 1);
    return stack.concat(stack.conv(narrow, expand, 1), stack.conv(narrow, expand, 3));
  };
  let x = stack.conv(stack.input(3, 32), 64, 3);
  x = stack.pool(fire(fire(x, 16, 64), 16, 64), 'MaxPool', 2);
  x = stack.pool(fire(fire(x, 32, 128), 32, 128), 'MaxPool', 2);
  for (const [squeeze, expand] of [
    [48, 192],
    [48, 192],
    [64, 256],
    [64, 256],
  ])
    x = fire(x, squeeze, expand);
  return stack.model('squeezenet', stack.conv(x, 256, 1));
}
