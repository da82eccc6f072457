/** @file Gradients of the normalisations that work within one sample: layer, RMS, instance, group, Lp, LRN. */
import { floatOf, intOf, intsOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arrayOf, type Arith } from './arith.js';
import {
  arithOf,
  countAlong,
  expandLike,
  fromFront,
  needStatic,
  perChannel,
  range,
  reduceTo,
  reshape,
  reshapeLike,
} from './shaping.js';

/** x − μ over σ along `axes`, with 1/σ. */
function standardise(e: Arith, x: string, axes: readonly number[], epsilon: number): Standardised {
  const centred = e.sub(x, e.mean(x, axes));
  const variance = e.mean(e.square(centred), axes);
  const inverse = e.reciprocal(e.sqrt(e.add(variance, epsilon)));
  return { hat: e.mul(centred, inverse), inverse };
}

/** Normalised values and the inverse deviation that they were divided by. */
interface Standardised {
  readonly hat: string;
  readonly inverse: string;
}

/** dx of x̂ along `axes` for the gradient `g` with respect to x̂: (g − mean g − x̂·mean(g·x̂))/σ. */
function unstandardise(e: Arith, g: string, { hat, inverse }: Standardised, axes: readonly number[]): string {
  const along = e.mul(hat, e.mean(e.mul(g, hat), axes));
  return e.mul(e.sub(e.sub(g, e.mean(g, axes)), along), inverse);
}

/** The axes from attribute `axis` on. */
function trailingAxes(c: VjpContext): readonly number[] {
  const rank = c.shape(c.inputs[0]!).length;
  const first = fromFront(intOf(c.node, 'axis', -1), rank);
  return range(rank).filter((axis) => axis >= first);
}

/** The sum of those of the terms that there are. */
function total(e: Arith, terms: readonly (string | undefined)[]): string | undefined {
  return terms.reduce<string | undefined>(
    (sum, term) => (term === undefined ? sum : sum === undefined ? term : e.add(sum, term)),
    undefined,
  );
}

/** A statistic's gradient in the type of x. */
function statistic(c: VjpContext, e: Arith, i: number): string | undefined {
  const g = c.grads[i];
  return g === undefined || c.type(c.outputs[i]!).dtype === e.dtype ? g : e.cast(g);
}

/** LayerNormalization-17: over all axes from `axis` on; the mean and the inverse deviation may be read too. */
const layerNormalization: VjpRule = (c) => {
  const e = arithOf(c);
  const g = c.grads[0];
  const [x, scale, bias] = c.inputs as readonly [string, string, string | undefined];
  const shape = c.shape(x);
  const axes = trailingAxes(c);
  const [gMean, gInverse] = [statistic(c, e, 1), statistic(c, e, 2)];
  const values =
    c.wants(0) || c.wants(1) ? standardise(e, x, axes, floatOf(c.node, 'epsilon', 1e-5)) : { hat: '', inverse: '' };
  const through = (): string | undefined => {
    const { hat, inverse } = values;
    const count = countAlong(c, x, axes);
    // dμ/dx = 1/n and d(1/σ)/dx = −x̂/(n·σ²).
    return total(e, [
      g === undefined ? undefined : unstandardise(e, e.mul(g, scale), values, axes),
      gMean === undefined ? undefined : expandLike(c, e.div(gMean, count), x),
      gInverse === undefined ? undefined : e.neg(e.mul(hat, e.div(e.mul(gInverse, e.square(inverse)), count))),
    ]);
  };
  return [
    c.wants(0) ? through() : undefined,
    c.wants(1) && g !== undefined ? reduceTo(c, e.mul(g, values.hat), shape, scale) : undefined,
    c.wants(2) && g !== undefined ? reduceTo(c, g, shape, bias!) : undefined,
  ];
};

/** RMSNormalization-23 and SimplifiedLayerNormalization: x̂ = x/√(mean x² + ε); the latter's second output is that factor. */
const rmsNormalization: VjpRule = (c) => {
  const e = arithOf(c);
  const g = c.grads[0];
  const [x, scale] = c.inputs as readonly [string, string];
  const axes = trailingAxes(c);
  const gInverse = statistic(c, e, 1);
  const inverse = e.reciprocal(e.sqrt(e.add(e.mean(e.square(x), axes), floatOf(c.node, 'epsilon', 1e-5))));
  const hat = e.mul(x, inverse);
  const through = (): string | undefined => {
    const gHat = g === undefined ? undefined : e.mul(g, scale);
    return total(e, [
      gHat === undefined ? undefined : e.mul(e.sub(gHat, e.mul(hat, e.mean(e.mul(gHat, hat), axes))), inverse),
      gInverse === undefined
        ? undefined
        : e.neg(e.mul(hat, e.div(e.mul(gInverse, e.square(inverse)), countAlong(c, x, axes)))),
    ]);
  };
  return [
    c.wants(0) ? through() : undefined,
    c.wants(1) && g !== undefined ? reduceTo(c, e.mul(g, hat), c.shape(x), scale) : undefined,
  ];
};

/** MeanVarianceNormalization-13: x̂ along `axes`, by default all but the channels; ε as in its function body. */
const meanVarianceNormalization: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const axes = intsOf(c.node, 'axes', [0, 2, 3]).map((axis) => fromFront(axis, c.shape(x).length));
  return [unstandardise(e, g, standardise(e, x, axes, 1e-9), axes)];
};

/** InstanceNormalization-6: over the positions of each channel of each sample. */
const instanceNormalization: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const e = arithOf(c);
  const [x, scale] = c.inputs as readonly [string, string];
  const rank = c.shape(x).length;
  const positions = range(rank - 2).map((d) => d + 2);
  const values = standardise(e, x, positions, floatOf(c.node, 'epsilon', 1e-5));
  const summed = [0, ...positions];
  return [
    c.wants(0) ? unstandardise(e, e.mul(g, perChannel(c, scale, rank)), values, positions) : undefined,
    c.wants(1) ? e.sum(e.mul(g, values.hat), summed, 0) : undefined,
    c.wants(2) ? e.sum(g, summed, 0) : undefined,
  ];
};

/** GroupNormalization: over groups of channels. Scale and bias are per channel since opset 21, per group before. */
const groupNormalization: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const e = arithOf(c);
  const { b } = c;
  const [x, scale] = c.inputs as readonly [string, string];
  const rank = c.shape(x).length;
  const groups = intOf(c.node, 'num_groups', 1);
  const grouped = (value: string): string => reshape(c, value, [0, groups, -1]);
  const values = standardise(e, grouped(x), [2], floatOf(c.node, 'epsilon', 1e-5));
  const perGroup = c.opset < 21;
  const flatG = grouped(g);
  const scaled = (): string =>
    perGroup ? e.mul(flatG, b.op('Unsqueeze', [scale, b.int64s([1])])) : grouped(e.mul(g, perChannel(c, scale, rank)));
  // The sums go over what one scale element covers.
  const summed = (value: string): string =>
    perGroup ? e.sum(value, [0, 2], 0) : e.sum(reshapeLike(c, value, x), [0, ...range(rank - 2).map((d) => d + 2)], 0);
  return [
    c.wants(0) ? reshapeLike(c, unstandardise(e, scaled(), values, [2]), x) : undefined,
    c.wants(1) ? summed(e.mul(flatG, values.hat)) : undefined,
    c.wants(2) ? summed(flatG) : undefined,
  ];
};

/** LpNormalization-1 with p = 1 or 2: y = x/‖x‖. */
const lpNormalization: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const y = c.outputs[0]!;
  const axis = fromFront(intOf(c.node, 'axis', -1), c.shape(x).length);
  const p = intOf(c.node, 'p', 2);
  const norm = c.b.op(p === 1 ? 'ReduceL1' : 'ReduceL2', [x, c.b.int64s([axis])], { keepdims: 1 });
  const direction = p === 1 ? e.sign(x) : y;
  return [e.div(e.sub(g, e.mul(direction, e.sum(e.mul(g, y), [axis]))), norm)];
};

/** LRN-13: y = x·d^−β, d = bias + α/size·Σ x² over neighbouring channels. The neighbour sums are products with a band matrix. */
const localResponse: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const size = intOf(c.node, 'size', 1);
  const rate = floatOf(c.node, 'alpha', 1e-4) / size;
  const beta = floatOf(c.node, 'beta', 0.75);
  const [channels] = needStatic(c, [c.shape(x)[1]!], 'the channel count of LRN');
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const band = (low: number, high: number): string =>
    arrayOf(
      c.b,
      e.dtype,
      [channels!, channels!],
      range(channels!).flatMap((i) => range(channels!).map((j) => (j >= i - low && j <= i + high ? 1 : 0))),
    );
  const flat = (value: string): string => reshape(c, value, [0, channels!, -1]);
  const [fx, fg] = [flat(x), flat(g)];
  const d = e.add(e.mul(c.b.op('MatMul', [band(before, after), e.square(fx)]), rate), floatOf(c.node, 'bias', 1));
  const power = e.pow(d, -beta);
  // Channel i feeds the sums of those channels in whose window it lies: the mirrored band.
  const through = c.b.op('MatMul', [band(after, before), e.mul(e.mul(fg, fx), e.div(power, d))]);
  return [reshapeLike(c, e.sub(e.mul(fg, power), e.mul(e.mul(fx, through), 2 * rate * beta)), x)];
};

export const normalizationGradients: Readonly<Record<string, VjpRule>> = {
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  SimplifiedLayerNormalization: rmsNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
  LpNormalization: lpNormalization,
  LRN: localResponse,
};
