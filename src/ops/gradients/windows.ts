/** @file Gradients of operators that lay images out anew: Col2Im, MaxUnpool, CenterCropPad, AffineGrid. */
import { intsOf, Tensor } from '../../ir/index.js';
import type { VjpRule } from '../record.js';
import { castTo } from './arith.js';
import { reach } from './conv-geometry.js';
import { back } from './movement.js';
import { dimValue, fromFront, range, reshape, reshapeLike, shapeValue } from './shaping.js';

/** Col2Im-18 adds blocks up into an image; its adjoint picks each block's elements from the image again. */
const col2Im = back((c, g) => {
  const { b } = c;
  const read = (i: number, name: string): readonly number[] =>
    c.constant(c.inputs[i])?.numbers() ?? c.refuse(`its ${name} is computed at run time`);
  const image = read(1, 'image shape');
  const block = read(2, 'block shape');
  const rank = image.length;
  const ones = image.map(() => 1);
  const strides = intsOf(c.node, 'strides', ones);
  const dilations = intsOf(c.node, 'dilations', ones);
  const pads = intsOf(
    c.node,
    'pads',
    [...ones, ...ones].map(() => 0),
  );
  const size = image.map((dim, d) => dim + pads[d]! + pads[d + rank]!);
  const counts = size.map((dim, d) => Math.floor((dim - reach(block[d]!, dilations[d]!)) / strides[d]!) + 1);
  // Place of element k of block p in the padded image, both row by row.
  const places = (sizes: readonly number[], steps: readonly number[]): readonly number[] =>
    sizes.reduce<readonly number[]>(
      (found, count, d) => found.flatMap((at) => range(count).map((i) => at * size[d]! + i * steps[d]!)),
      [0],
    );
  const [within, starts] = [places(block, dilations), places(counts, strides)];
  const index = within.flatMap((k) => starts.map((p) => k + p));
  const padded = pads.every((pad) => pad === 0)
    ? g
    : b.op('Pad', [g, b.int64s([0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)])]);
  const flat = reshape(c, padded, [0, 0, size.reduce((product, dim) => product * dim, 1)]);
  return reshapeLike(c, b.op('Gather', [flat, b.int64s(index)], { axis: 2 }), c.inputs[0]!);
});

/**
 * MaxUnpool-11 writes each element where its index says; the gradient is read there. Indices count in the shape that the
 * window gives; a larger `output_shape` is counted in itself by ONNX Runtime.
 */
const maxUnpool = back((c, g) => {
  const { b } = c;
  const flat = b.int64s([-1]);
  const picked = b.op('Gather', [b.op('Reshape', [g, flat]), b.op('Reshape', [c.inputs[1], flat])], { axis: 0 });
  return reshapeLike(c, picked, c.inputs[0]!);
});

/** CenterCropPad-18: back to the input's own sizes, about the same centre. */
const centerCropPad = back((c, g) => {
  const x = c.inputs[0]!;
  const rank = c.shape(x).length;
  const axes = intsOf(c.node, 'axes', range(rank)).map((axis) => fromFront(axis, rank));
  const whole = c.shape(x).every((dim) => typeof dim === 'number');
  const sizes = whole
    ? c.b.int64s(axes.map((axis) => c.shape(x)[axis] as number))
    : c.b.op('Gather', [shapeValue(c, x), c.b.int64s(axes)]);
  return c.b.op('CenterCropPad', [g, sizes], { axes });
});

/** AffineGrid-20: each grid point is the matrix times the point of the identity's grid, with 1 appended. */
const affineGrid = back((c, g) => {
  const { b } = c;
  const [theta, size] = c.inputs as readonly [string, string];
  const dims = c.shape(c.outputs[0]!).length - 2;
  const { dtype } = c.type(theta);
  const numbers = range(dims).flatMap((i) => range(dims + 1).map((j) => (i === j ? 1 : 0)));
  const identity = Tensor.of(dtype === 'float64' ? 'float64' : 'float32', [1, dims, dims + 1], numbers);
  const own = b.constant(identity);
  const tail = b.op('Slice', [size, b.int64s([1]), b.int64s([dims + 2]), b.int64s([0])]);
  const one = b.op('Concat', [b.int64s([1]), tail], { axis: 0 });
  const attributes = Object.fromEntries(c.node.attributes);
  const base = b.op('AffineGrid', [dtype === identity.dtype ? own : castTo(b, own, dtype), one], attributes);
  const points = reshape(c, base, [-1, dims]);
  const pads = b.int64s([0, 0, 0, 1]);
  const ones =
    dtype === 'float64' || dtype === 'float32' ? b.constant(Tensor.scalar(dtype, 1)) : castTo(b, b.scalar(1), dtype);
  const homogeneous = b.op('Pad', [points, pads, ones]);
  const flat = b.op('Reshape', [g, b.op('Concat', [dimValue(c, theta, 0), b.int64s([-1, dims])], { axis: 0 })]);
  return b.op('MatMul', [b.op('Transpose', [flat], { perm: [0, 2, 1] }), homogeneous]);
});

export const windowGradients: Readonly<Record<string, VjpRule>> = {
  Col2Im: col2Im,
  MaxUnpool: maxUnpool,
  CenterCropPad: centerCropPad,
  AffineGrid: affineGrid,
};
