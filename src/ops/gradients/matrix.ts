/** @file Gradients of matrix products: Gemm and MatMul with its broadcasting. */
import { floatOf, intOf, type Shape } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arithOf, range, reduceTo, reshape } from './shaping.js';

/** Gemm-13: Y = α·A′·B′ + β·C. The products are Gemm again, so α and the transpositions cost nothing. */
const gemm: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const [a, b, addend] = c.inputs as readonly [string, string, string | undefined];
  const transA = intOf(c.node, 'transA', 0) === 1;
  const transB = intOf(c.node, 'transB', 0) === 1;
  const alpha = floatOf(c.node, 'alpha', 1);
  const beta = floatOf(c.node, 'beta', 1);
  const product = (x: string, transX: boolean, y: string, transY: boolean): string =>
    c.b.op('Gemm', [x, y], {
      transA: transX ? 1 : 0,
      transB: transY ? 1 : 0,
      alpha: { type: 'float', value: alpha },
    });
  const dA = (): string => (transA ? product(b, transB, g, true) : product(g, false, b, !transB));
  const dB = (): string => (transB ? product(g, true, a, transA) : product(a, !transA, g, false));
  const dC = (): string => {
    const summed = reduceTo(c, g, c.shape(c.outputs[0]!), addend!);
    return arithOf(c).mul(summed, beta);
  };
  return [c.wants(0) ? dA() : undefined, c.wants(1) ? dB() : undefined, c.wants(2) ? dC() : undefined];
};

/** MatMul-13: dA = dY·Bᵀ, dB = Aᵀ·dY, summed over broadcast batch axes. Vectors are treated as matrices with one row or column. */
const matMul: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const [a, b] = c.inputs as readonly [string, string];
  const [rankA, rankB] = [c.shape(a).length, c.shape(b).length];
  if (rankA === 1 && rankB === 1) {
    const e = arithOf(c);
    return [c.wants(0) ? e.mul(g, b) : undefined, c.wants(1) ? e.mul(g, a) : undefined];
  }
  if (rankA === 1) return vectorTimesMatrix(c, g, a, b);
  if (rankB === 1) return matrixTimesVector(c, g, a, b);
  const batchless = rankB === 2 && rankA > 2;
  return [
    c.wants(0) ? summed(c, c.b.op('MatMul', [g, transposed(c, b, rankB)]), a, rankA, rankB) : undefined,
    c.wants(1)
      ? batchless
        ? sharedRight(c, a, g)
        : summed(c, c.b.op('MatMul', [transposed(c, a, rankA), g]), b, rankA, rankB)
      : undefined,
  ];
};

/** A [batch…, n, k] · B [k, m]: one product over all rows, instead of one per batch entry and a sum. */
function sharedRight(c: VjpContext, a: string, g: string): string {
  const k = c.shape(a).at(-1)!;
  const m = c.shape(c.outputs[0]!).at(-1)!;
  if (typeof k !== 'number' || typeof m !== 'number')
    return reduceTo(
      c,
      c.b.op('MatMul', [transposed(c, a, c.shape(a).length), g]),
      [...c.shape(a).slice(0, -2), k, m],
      c.inputs[1]!,
    );
  return c.b.op('Gemm', [reshape(c, a, [-1, k]), reshape(c, g, [-1, m])], { transA: 1 });
}

/** Swaps the last two axes. */
function transposed(c: VjpContext, value: string, rank: number): string {
  return c.b.op('Transpose', [value], { perm: [...range(rank - 2), rank - 1, rank - 2] });
}

/** Sums a product's broadcast batch axes down to the operand `to`. */
function summed(c: VjpContext, product: string, to: string, rankA: number, rankB: number): string {
  const batch = c.shape(c.outputs[0]!).slice(0, Math.max(rankA, rankB) - 2);
  const shape: Shape = [...batch, ...c.shape(to).slice(-2)];
  return reduceTo(c, product, shape, to);
}

/** a [k] · B […, k, m] = Y […, m]. */
function vectorTimesMatrix(c: VjpContext, g: string, a: string, b: string): readonly (string | undefined)[] {
  const e = arithOf(c);
  const rank = c.shape(b).length;
  const row = (): string => c.b.op('Unsqueeze', [g, c.b.int64s([-2])]);
  const dA = (): string => {
    // […, 1, m] against B, summed over m: […, k].
    const terms = e.sum(e.mul(row(), b), [rank - 1], 0);
    return e.sum(terms, range(rank - 2), 0);
  };
  const dB = (): string => e.mul(row(), c.b.op('Unsqueeze', [a, c.b.int64s([-1])]));
  return [c.wants(0) ? dA() : undefined, c.wants(1) ? dB() : undefined];
}

/** A […, n, k] · b [k] = Y […, n]. */
function matrixTimesVector(c: VjpContext, g: string, a: string, b: string): readonly (string | undefined)[] {
  const e = arithOf(c);
  const rank = c.shape(a).length;
  const column = (): string => c.b.op('Unsqueeze', [g, c.b.int64s([-1])]);
  return [
    c.wants(0) ? e.mul(column(), b) : undefined,
    c.wants(1) ? e.sum(e.mul(column(), a), range(rank - 1), 0) : undefined,
  ];
}

export const matrixGradients: Readonly<Record<string, VjpRule>> = { Gemm: gemm, MatMul: matMul };
