/** @file Gradient of the discrete Fourier transform: it is linear, so its adjoint is a transform again. */
import { intOf, Tensor } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arrayOf } from './arith.js';
import { back } from './movement.js';
import { arithOf, fromFront, needStatic, range } from './shaping.js';

/** A DFT along `axis` as the model's opset writes it. */
function transform(c: VjpContext, value: string, axis: number, attributes: Readonly<Record<string, number>>): string {
  return c.opset >= 20
    ? c.b.op('DFT', [value, undefined, c.b.constant(Tensor.scalar('int64', axis))], attributes)
    : c.b.op('DFT', [value], { ...attributes, axis });
}

/** Cuts or fills with zeros at the end of an axis, from one size to another. */
function fit(c: VjpContext, value: string, axis: number, rank: number, from: number, to: number): string {
  if (from === to) return value;
  const pads = new Array<number>(rank * 2).fill(0);
  pads[rank + axis] = to - from;
  return c.b.op('Pad', [value, c.b.int64s(pads)]);
}

/** DFT-17/20, forward and inverse, one-sided or whole, of real and complex signals. */
const dft = back((c, g) => {
  const e = arithOf(c);
  const [x, lengthInput, axisInput] = c.inputs as readonly [string, string | undefined, string | undefined];
  const shape = c.shape(x);
  const rank = shape.length;
  const given =
    c.opset < 20
      ? intOf(c.node, 'axis', 1)
      : axisInput === undefined
        ? -2
        : (c.constant(axisInput)?.numbers()[0] ?? c.refuse('its axis is computed at run time'));
  const axis = fromFront(given, rank);
  const [size, parts] = needStatic(c, [shape[axis]!, shape[rank - 1]!], 'the transformed axis');
  const oneSided = intOf(c.node, 'onesided', 0) === 1;
  const inverse = intOf(c.node, 'inverse', 0) === 1;
  const length =
    lengthInput === undefined
      ? oneSided && inverse
        ? 2 * (size! - 1)
        : size!
      : (c.constant(lengthInput)?.numbers()[0] ?? c.refuse('its length is computed at run time'));
  const half = Math.floor(length / 2) + 1;
  if (inverse && oneSided) {
    if (size! > half) c.refuse(`it has more bins than the ${half} of a one-sided signal of its length`);
    // Each bin but the first (and the last of an even length) stands for its mirror image as well.
    const shares = range(half).map((k) => (k === 0 || 2 * k === length ? 1 : 2) / length);
    const dims = [half, ...range(rank - 1 - axis).map(() => 1)];
    const bins = e.mul(transform(c, g, axis, { onesided: 1 }), arrayOf(c.b, e.dtype, dims, shares));
    return fit(c, bins, axis, rank, half, size!);
  }
  const whole = oneSided ? fit(c, g, axis, rank, half, length) : g;
  const turned = inverse
    ? e.mul(transform(c, whole, axis, {}), 1 / length)
    : e.mul(transform(c, whole, axis, { inverse: 1 }), length);
  const fitted = fit(c, turned, axis, rank, length, size!);
  const { b } = c;
  return parts === 2 ? fitted : b.op('Slice', [fitted, b.int64s([0]), b.int64s([1]), b.int64s([rank - 1])]);
});

export const signalGradients: Readonly<Record<string, VjpRule>> = { DFT: dft };
