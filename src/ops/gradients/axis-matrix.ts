/** @file Applying a constant matrix along one axis: the adjoint of padding by repetition and of interpolation. */
import type { EmitContext } from '../record.js';
import { arrayOf } from './arith.js';
import { range } from './shaping.js';

/** Row-major weights, `rows` × `columns`. */
export interface AxisMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly weights: readonly number[];
}

/**
 * Contracts axis `axis` (size `rows`) of a value of this rank with the matrix, so that it has size `columns`:
 * out[…, j, …] = Σᵢ value[…, i, …]·weights[i, j].
 */
export function alongAxis(c: EmitContext, value: string, rank: number, axis: number, matrix: AxisMatrix): string {
  const { rows, columns, weights } = matrix;
  const { dtype } = c.type(c.inputs[0]!);
  const plain = (): string => arrayOf(c.b, dtype, [rows, columns], weights);
  if (axis === rank - 1) return c.b.op('MatMul', [value, plain()]);
  if (axis === rank - 2) {
    const turned = range(columns).flatMap((j) => range(rows).map((i) => weights[i * columns + j]!));
    return c.b.op('MatMul', [arrayOf(c.b, dtype, [columns, rows], turned), value]);
  }
  const perm = range(rank);
  [perm[axis], perm[rank - 1]] = [rank - 1, axis];
  return c.b.op('Transpose', [c.b.op('MatMul', [c.b.op('Transpose', [value], { perm }), plain()])], { perm });
}
