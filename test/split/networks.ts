/** @file Networks that the tests of splitting share. */
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';

const random = createRandom(11);
const weights = (dims: readonly number[]): Tensor<'float32'> =>
  Tensor.floats(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 0.3 * random.normal()),
    dims,
  );

/** Two Inception-like blocks: three branches of different depth, concatenated, and a second output from the middle. */
export function inceptionNet(): Model {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', ['batch', 3, 9, 9]));
  const conv = (from: string, channels: readonly [number, number], kernel: number): string =>
    b.op('Relu', [
      b.op('Conv', [from, b.parameter('w', weights([channels[1], channels[0], kernel, kernel]))], {
        pads: Array.from({ length: 4 }, () => kernel >> 1),
      }),
    ]);
  const block = (from: string, channels: number): string => {
    const deep = conv(conv(conv(from, [channels, 4], 1), [4, 6], 3), [6, 6], 3);
    const pooled = b.op('MaxPool', [from], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    return b.op('Concat', [conv(from, [channels, 4], 1), deep, conv(pooled, [channels, 2], 1)], { axis: 1 });
  };
  const first = block(x, 3);
  const early = b.alias(b.op('GlobalAveragePool', [first]), 'early');
  const pooled = b.op('GlobalAveragePool', [block(first, 12)]);
  // A shape computed at run time crosses too; what comes from weights alone does not.
  const size = b.op('Slice', [b.op('Shape', [x]), b.int64s([0]), b.int64s([1])]);
  const flat = b.op('Reshape', [pooled, b.op('Concat', [size, b.op('Abs', [b.int64s([-12])])], { axis: 0 })]);
  const logits = b.alias(b.op('MatMul', [flat, b.parameter('head', weights([12, 5]))]), 'logits');
  return makeModel(
    b.graph('inception', [
      { name: early, type: tensorType('float32', ['batch', 12, 1, 1]) },
      { name: logits, type: tensorType('float32', ['batch', 5]) },
    ]),
  );
}
