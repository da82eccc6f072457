/** @file Gradients of determinant and inverse. */
import type { VjpRule } from '../record.js';
import { arrayOf } from './arith.js';
import { back } from './movement.js';
import { arithOf, expandLike, needStatic, range, reshape, reshapeLike } from './shaping.js';

/**
 * Det-11: the slope is the matrix of cofactors, the signed determinants of all minors. That holds for singular matrices too,
 * where det·A⁻ᵀ does not.
 */
const det = back((c, g) => {
  const { b } = c;
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const rank = c.shape(x).length;
  const [n] = needStatic(c, [c.shape(x)[rank - 1]!], 'the size of its matrices');
  const outer = b.op('Unsqueeze', [g, b.int64s([-2, -1])]);
  if (n === 1) return expandLike(c, outer, x);
  const minors = range(n! * n!).flatMap((cell) =>
    range(n! * n!).filter((at) => Math.floor(at / n!) !== Math.floor(cell / n!) && at % n! !== cell % n!),
  );
  const flat = reshape(c, x, [-1, n! * n!]);
  const parts = reshape(c, b.op('Gather', [flat, b.int64s(minors)], { axis: 1 }), [-1, n! * n!, n! - 1, n! - 1]);
  const signs = range(n! * n!).map((cell) => ((Math.floor(cell / n!) + (cell % n!)) % 2 === 0 ? 1 : -1));
  const cofactors = e.mul(b.op('Det', [parts]), arrayOf(b, e.dtype, [n! * n!], signs));
  return e.mul(reshapeLike(c, cofactors, x), outer);
});

/** com.microsoft Inverse-1: −Y′·dY·Y′. */
const inverse = back((c, g) => {
  const rank = c.shape(c.inputs[0]!).length;
  const turned = c.b.op('Transpose', [c.outputs[0]], { perm: [...range(rank - 2), rank - 1, rank - 2] });
  return arithOf(c).neg(c.b.op('MatMul', [c.b.op('MatMul', [turned, g]), turned]));
});

export const linearAlgebraGradients: Readonly<Record<string, VjpRule>> = {
  Det: det,
  'com.microsoft:Inverse': inverse,
};
