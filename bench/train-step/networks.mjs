/** @file The networks of bench/train-step on Cuttle's side: model, loss, one made-up batch. `networks.py` has the same ones. */
import { Tensor } from '../../dist/ir/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { buildArchitecture, transformerBlock } from '../../dist/zoo/index.js';

const SGD = { kind: 'sgd', momentum: 0.9, nesterov: true };

function images(batch, random) {
  const pixels = Float32Array.from({ length: batch * 3 * 32 * 32 }, () => random.normal());
  return Tensor.of('float32', [batch, 3, 32, 32], pixels);
}

const integers = (dims, limit, random) =>
  Tensor.of(
    'int64',
    dims,
    BigInt64Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, () => BigInt(random.int(limit))),
  );

const classifier = (architecture, batch) => ({
  title: `${architecture} at 3×32×32`,
  batch,
  weightDecay: 5e-4,
  optimizer: SGD,
  model: () => buildArchitecture(architecture, { classes: 10, input: [3, 32, 32], seed: 1 }),
  feeds: (random, size = batch) => ({ input: images(size, random), labels: integers([size], 10, random) }),
});

/** By name: title, batch, optimiser, model, feeds of one batch. The loss is the cross-entropy of `logits` with `labels`. */
export const networks = {
  'resnet-20': classifier('resnet-20', 128),
  'mobilenet-v2': classifier('mobilenet-v2', 32),
  'vgg-11': classifier('vgg-11', 32),
  'transformer-block': {
    title: 'one Transformer encoder block (width 128, 4 heads, 512 inner), 64 tokens',
    batch: 32,
    weightDecay: 0,
    optimizer: { kind: 'adam' },
    model: () => transformerBlock({ width: 128, heads: 4, inner: 512, classes: 10, seed: 1 }),
    feeds: (random, size = 32) => ({
      input: Tensor.of(
        'float32',
        [size, 64, 128],
        Float32Array.from({ length: size * 64 * 128 }, () => random.normal()),
      ),
      labels: integers([size], 10, random),
    }),
  },
};

/** The same batch in every process. */
export const seededRandom = () => createRandom(1);
