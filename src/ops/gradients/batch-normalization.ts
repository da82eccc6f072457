/** @file Gradient of BatchNormalization, training and inference form. */
import { float, floatOf, intOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arithOf, countAlong, perChannel, range } from './shaping.js';

/** The sums over images and positions that every gradient of the operator is made of, each [C]. */
function channelSums(c: VjpContext, g: string, x: string, axes: readonly number[]): { sumG: string; sumGX: string } {
  const e = arithOf(c);
  return { sumG: e.sum(g, axes, 0), sumGX: e.sum(e.mul(g, x), axes, 0) };
}

const batchNormalization: VjpRule = (c) => {
  if (c.grads[1] !== undefined || c.grads[2] !== undefined)
    c.refuse('the loss depends on its running mean or variance');
  const g = c.grads[0];
  if (g === undefined) return [];
  return intOf(c.node, 'training_mode', 0) === 1 ? training(c, g) : inference(c, g);
};

const axesOf = (rank: number): readonly number[] => [0, ...range(Math.max(rank - 2, 0)).map((d) => d + 2)];

/**
 * Batch statistics (Ioffe & Szegedy 2015, §3). With x̂ = (x − μ)/σ and m values per channel,
 * dx = γ/σ·(dy − Σdy/m − x̂·Σ(dy·x̂)/m), written as a·dy + b·x + c with a, b, c per channel: two passes over the map.
 */
function training(c: VjpContext, g: string): readonly (string | undefined)[] {
  const e = arithOf(c);
  const [x, scale] = c.inputs as readonly [string, string];
  const rank = c.shape(x).length;
  const axes = axesOf(rank);
  const { mean, variance } = batchStatistics(c, axes);
  const inverse = e.reciprocal(e.sqrt(e.add(variance, floatOf(c.node, 'epsilon', 1e-5))));
  const { sumG, sumGX } = channelSums(c, g, x, axes);
  const dScale = e.mul(e.sub(sumGX, e.mul(mean, sumG)), inverse);
  let dX: string | undefined;
  if (c.wants(0)) {
    const count = countAlong(c, x, axes);
    const a = e.mul(scale, inverse);
    // b·x + c is this node again with other scale and bias: its kernel does an affine map per channel in one pass. Mean 0
    // and variance 1 would be constants, which ORT merges with equal running averages and then overwrites in place.
    const rest = c.b.op(
      'BatchNormalization',
      [x, e.neg(e.div(e.mul(a, dScale), count)), e.neg(e.div(e.mul(a, sumG), count)), mean, variance],
      { epsilon: float(floatOf(c.node, 'epsilon', 1e-5)) },
      { name: 'grad_affine' },
    );
    dX = e.add(e.mul(g, perChannel(c, a, rank)), rest);
  }
  return [dX, c.wants(1) ? dScale : undefined, c.wants(2) ? sumG : undefined];
}

/**
 * The batch's mean and variance: the node's own outputs where momentum 0 makes them just that, else formed again. ORT
 * writes these outputs in place over the running averages, so they are used only where no other node reads those and no
 * equal constant exists that ORT would merge with them.
 */
function batchStatistics(c: VjpContext, axes: readonly number[]): { mean: string; variance: string } {
  const [, mean, variance] = c.outputs;
  const unshared = c.isUnshared(c.inputs[3]!) && c.isUnshared(c.inputs[4]!);
  // With another momentum the outputs are mixed with running values that are overwritten, so they cannot be unmixed.
  if (unshared && mean !== undefined && variance !== undefined && floatOf(c.node, 'momentum', 0.9) === 0)
    return { mean, variance };
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const centre = e.mean(x, axes);
  const own = e.mean(e.square(e.sub(x, centre)), axes, 0);
  return { mean: c.b.op('Reshape', [centre, c.b.int64s([-1])]), variance: own };
}

/** Fixed statistics: an affine map per channel. */
function inference(c: VjpContext, g: string): readonly (string | undefined)[] {
  const e = arithOf(c);
  const [x, scale, , mean, variance] = c.inputs as readonly [string, string, string, string, string];
  const rank = c.shape(x).length;
  const axes = axesOf(rank);
  const inverse = e.reciprocal(e.sqrt(e.add(variance, floatOf(c.node, 'epsilon', 1e-5))));
  const rate = e.mul(scale, inverse);
  const dX = c.wants(0) ? e.mul(g, perChannel(c, rate, rank)) : undefined;
  if (![1, 2, 3, 4].some((i) => c.wants(i))) return [dX];
  const { sumG, sumGX } = channelSums(c, g, x, axes);
  const centred = e.sub(sumGX, e.mul(mean, sumG));
  return [
    dX,
    c.wants(1) ? e.mul(centred, inverse) : undefined,
    c.wants(2) ? sumG : undefined,
    c.wants(3) ? e.neg(e.mul(rate, sumG)) : undefined,
    c.wants(4) ? e.mul(e.mul(e.mul(rate, e.square(inverse)), centred), -0.5) : undefined,
  ];
}

export const batchNormalizationGradients: Readonly<Record<string, VjpRule>> = {
  BatchNormalization: batchNormalization,
};
