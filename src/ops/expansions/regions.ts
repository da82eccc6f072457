/** @file Pooling over regions of interest: RoiAlign as products with interpolation matrices, MaxRoiPool with masks. */
import { floatOf, intOf, intsOf, stringOf, type GraphBuilder } from '../../ir/index.js';
import { arrayOf, castTo, type Arith } from '../gradients/arith.js';
import { arithOf, needStatic, range, reshape } from '../gradients/shaping.js';
import type { EmitContext, ExpandRule } from '../record.js';
import { LOWEST } from './attention.js';

/** 0 … n−1 as floats, [n]. */
const places = (c: EmitContext, e: Arith, n: number): string => arrayOf(c.b, e.dtype, [n], range(n));

/** Column `i` of the regions as [regions, 1, 1]. */
function edge(c: EmitContext, rois: string, i: number): string {
  const { b } = c;
  return reshape(c, b.op('Slice', [rois, b.int64s([i]), b.int64s([i + 1]), b.int64s([1])]), [-1, 1, 1]);
}

interface Samples {
  /** Positions, [regions, bins, samples]. */
  readonly at: string;
  /** 1 where a sample counts, [regions, 1, samples], where their number differs; how many count, [regions, 1, 1] or a number. */
  readonly counts: string | undefined;
  readonly total: string | number;
}

/** Where RoiAlign samples along one axis; a ratio of 0 takes ⌈bin size⌉ samples, which differs from region to region. */
function samplesOf(c: EmitContext, e: Arith, low: string, high: string, bins: number, ratio: number): Samples {
  const { b } = c;
  const half = stringOf(c.node, 'coordinate_transformation_mode', 'half_pixel') === 'half_pixel';
  const scale = floatOf(c.node, 'spatial_scale', 1);
  const place = (value: string): string => {
    const scaled = e.mul(value, scale);
    return half ? e.sub(scaled, 0.5) : scaled;
  };
  const start = place(low);
  const extent = e.sub(place(high), start);
  const size = e.div(half ? extent : b.op('Max', [extent, e.scalar(1)]), bins);
  let total: string | number = ratio;
  let counts: string | undefined;
  let index: string;
  if (ratio > 0) index = places(c, e, ratio);
  else {
    const whole = castTo(b, e.unary('Ceil', size), 'int64');
    total = e.cast(whole);
    const most = b.op('Max', [b.op('ReduceMax', [whole], { keepdims: 0 }), b.op('Squeeze', [b.int64s([1])])]);
    const zero = b.op('Squeeze', [b.int64s([0])]);
    index = e.cast(b.op('Range', [zero, most, b.op('Squeeze', [b.int64s([1])])]));
    counts = e.cast(e.less(index, total));
    total = b.op('Max', [total, e.scalar(1)]);
  }
  const within = e.div(e.add(index, 0.5), total);
  const bin = b.op('Unsqueeze', [places(c, e, bins), b.int64s([-1])]);
  return { at: e.add(start, e.mul(e.add(bin, within), size)), counts, total };
}

/** Positions inside the image, and 1 where they were no further out than one pixel. */
function inside(b: GraphBuilder, e: Arith, at: string, size: number): { at: string; valid: string } {
  const valid = e.cast(e.and(e.greaterOrEqual(at, -1), e.lessOrEqual(at, size)));
  return { at: b.op('Clip', [at, e.scalar(0), e.scalar(size - 1)]), valid };
}

/** The mean over samples of linear interpolation along one axis: [regions, bins, size]. */
function meanMatrix(c: EmitContext, e: Arith, samples: Samples, size: number): string {
  const { b } = c;
  const { at, valid } = inside(b, e, samples.at, size);
  const distance = e.abs(e.sub(b.op('Unsqueeze', [at, b.int64s([-1])]), places(c, e, size)));
  const hat = b.op('Relu', [e.sub(1, distance)]);
  const counted = samples.counts === undefined ? valid : e.mul(valid, samples.counts);
  const weighted = e.mul(hat, b.op('Unsqueeze', [counted, b.int64s([-1])]));
  return e.div(e.sum(weighted, [2], 0), samples.total);
}

/** The lower and the upper neighbour of each sample with their weights: twice [regions, bins·samples, size]. */
function cornerMatrices(c: EmitContext, e: Arith, samples: Samples, size: number, bins: number): readonly string[] {
  const { b } = c;
  const { at, valid } = inside(b, e, samples.at, size);
  const low = castTo(b, e.unary('Floor', at), 'int64');
  const fraction = e.sub(at, e.cast(low));
  const high = b.op('Min', [b.op('Add', [low, b.int64s([1])]), b.int64s([size - 1])]);
  const columns = castTo(b, places(c, e, size), 'int64');
  return [
    { index: low, weight: e.sub(1, fraction) },
    { index: high, weight: fraction },
  ].map(({ index, weight }) => {
    const hit = e.cast(b.op('Equal', [b.op('Unsqueeze', [index, b.int64s([-1])]), columns]));
    const weighted = e.mul(hit, b.op('Unsqueeze', [e.mul(weight, valid), b.int64s([-1])]));
    return reshape(c, weighted, [-1, bins * (samples.total as number), size]);
  });
}

/** RoiAlign-16/22: X [N, C, H, W], regions [R, 4] as x1, y1, x2, y2, batch indices [R] → [R, C, height, width]. */
const roiAlign: ExpandRule = (c) => {
  const { b } = c;
  const e = arithOf(c);
  const [x, rois, batch] = c.inputs as readonly [string, string, string];
  const [channels, height, width] = needStatic(c, c.shape(x).slice(1), 'channels and spatial dims of its input');
  const [rows, columns] = [intOf(c.node, 'output_height', 1), intOf(c.node, 'output_width', 1)];
  const ratio = intOf(c.node, 'sampling_ratio', 0);
  const along = (axis: 0 | 1, bins: number): Samples =>
    samplesOf(c, e, edge(c, rois, 1 - axis), edge(c, rois, 3 - axis), bins, ratio);
  const [down, across] = [along(0, rows), along(1, columns)];
  const image = b.op('Gather', [x, batch], { axis: 0 });
  const between = (matrix: string): string => b.op('Unsqueeze', [matrix, b.int64s([1])]);
  const product = (left: string, right: string): string =>
    b.op('MatMul', [
      b.op('MatMul', [between(left), image]),
      b.op('Transpose', [between(right)], { perm: [0, 1, 3, 2] }),
    ]);
  if (stringOf(c.node, 'mode', 'avg') === 'avg')
    return [product(meanMatrix(c, e, down, height!), meanMatrix(c, e, across, width!))];
  if (ratio === 0) c.refuse('it takes the greatest of an adaptive number of samples: give it a sampling_ratio');
  // ONNX Runtime's maximum runs over the weighted neighbours themselves.
  const [lows, ups] = [cornerMatrices(c, e, down, height!, rows), cornerMatrices(c, e, across, width!, columns)];
  const greatest = b.op(
    'Max',
    lows.flatMap((left) => ups.map((right) => product(left, right))),
  );
  const parted = reshape(c, greatest, [-1, channels!, rows, ratio, columns, ratio]);
  return [b.op('ReduceMax', [parted, b.int64s([3, 5])], { keepdims: 0 })];
};

/** MaxRoiPool-1/22: regions [R, 5] as batch, x1, y1, x2, y2, rounded to pixels, each bin's greatest element. */
const maxRoiPool: ExpandRule = (c) => {
  const { b } = c;
  const e = arithOf(c);
  const [x, rois] = c.inputs as readonly [string, string];
  const [height, width] = needStatic(c, c.shape(x).slice(2), 'the spatial dims of its input');
  const [rows, columns] = intsOf(c.node, 'pooled_shape', []) as readonly [number, number];
  const scale = floatOf(c.node, 'spatial_scale', 1);
  // Whole numbers by way of int64, so that no gradient looks for a way to the regions.
  const whole = (value: string): string => e.cast(castTo(b, value, 'int64'));
  const pixel = (i: number): string => whole(e.unary('Floor', e.add(e.mul(edge(c, rois, i), scale), 0.5)));
  /** Which pixels belong to which bin: boolean [regions, bins, size]. */
  const members = (low: string, high: string, bins: number, size: number): string => {
    const extent = b.op('Max', [e.add(e.sub(high, low), 1), e.scalar(1)]);
    const step = e.div(extent, bins);
    const bin = b.op('Unsqueeze', [places(c, e, bins), b.int64s([-1])]);
    const first = e.add(whole(e.unary('Floor', e.mul(bin, step))), low);
    const end = e.add(whole(e.unary('Ceil', e.mul(e.add(bin, 1), step))), low);
    const at = places(c, e, size);
    return e.and(e.greaterOrEqual(at, first), e.less(at, end));
  };
  const batch = reshape(c, castTo(b, edge(c, rois, 0), 'int64'), [-1]);
  const image = b.op('Gather', [x, batch], { axis: 0 });
  const inColumn = b.op('Unsqueeze', [members(pixel(1), pixel(3), columns, width!), b.int64s([1, 2])]);
  const inRow = b.op('Unsqueeze', [members(pixel(2), pixel(4), rows, height!), b.int64s([1, 3])]);
  // [R, C, H, columns, W] → [R, C, H, columns] → [R, C, rows, columns, H] → [R, C, rows, columns].
  const across = e.where(inColumn, b.op('Unsqueeze', [image, b.int64s([3])]), LOWEST);
  const perRow = b.op('ReduceMax', [across, b.int64s([4])], { keepdims: 0 });
  const turned = b.op('Unsqueeze', [b.op('Transpose', [perRow], { perm: [0, 1, 3, 2] }), b.int64s([2])]);
  const down = e.where(inRow, turned, LOWEST);
  const greatest = b.op('ReduceMax', [down, b.int64s([4])], { keepdims: 0 });
  return [e.where(e.lessOrEqual(greatest, LOWEST), 0, greatest)];
};

export const regionExpansions: Readonly<Record<string, ExpandRule>> = {
  RoiAlign: roiAlign,
  MaxRoiPool: maxRoiPool,
};
