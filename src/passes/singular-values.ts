/** @file Singular value decomposition of small dense matrices, by one-sided Jacobi rotations. */

/** A = U · diag(s) · Vᵀ with k = min(rows, columns): all parts row-major, float64. */
export interface Decomposition {
  /** rows × k. */
  readonly left: Float64Array;
  /** k values, descending, not negative. */
  readonly singular: Float64Array;
  /** columns × k. */
  readonly right: Float64Array;
}

const MAX_SWEEPS = 60;
/** Columns whose cosine is below this are orthogonal. */
const TOLERANCE = 1e-12;

/**
 * Decomposes a row-major matrix. Rotates pairs of columns (of the matrix or of its transpose, whichever has fewer) until all
 * are orthogonal: their lengths are then the singular values, accurate even where these differ by many orders of magnitude.
 * Source: Hestenes 1958; Golub & Van Loan, Matrix Computations, §8.6.3.
 */
export function decompose(matrix: ArrayLike<number>, rows: number, columns: number): Decomposition {
  if (columns > rows) {
    const turned = decompose(transposed(matrix, rows, columns), columns, rows);
    return { left: turned.right, singular: turned.singular, right: turned.left };
  }
  // Columns lie one after another: the rotations run along them.
  const work = transposed(matrix, rows, columns);
  const turns = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++) turns[i * columns + i] = 1;
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let rotated = false;
    for (let p = 0; p < columns; p++)
      for (let q = p + 1; q < columns; q++) {
        const a = work.subarray(p * rows, (p + 1) * rows);
        const b = work.subarray(q * rows, (q + 1) * rows);
        const [alpha, beta, gamma] = [dot(a, a), dot(b, b), dot(a, b)];
        if (gamma === 0 || Math.abs(gamma) <= TOLERANCE * Math.sqrt(alpha * beta)) continue;
        rotated = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const tangent = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cosine = 1 / Math.hypot(1, tangent);
        rotate(a, b, cosine, cosine * tangent);
        rotate(
          turns.subarray(p * columns, (p + 1) * columns),
          turns.subarray(q * columns, (q + 1) * columns),
          cosine,
          cosine * tangent,
        );
      }
    if (!rotated) break;
  }
  const lengths = Float64Array.from({ length: columns }, (_, c) => {
    const column = work.subarray(c * rows, (c + 1) * rows);
    return Math.sqrt(dot(column, column));
  });
  const order = Array.from(lengths.keys()).sort((x, y) => lengths[y]! - lengths[x]!);
  const left = new Float64Array(rows * columns);
  const right = new Float64Array(columns * columns);
  order.forEach((from, to) => {
    const length = lengths[from]!;
    for (let r = 0; r < rows; r++) left[r * columns + to] = length > 0 ? work[from * rows + r]! / length : 0;
    for (let r = 0; r < columns; r++) right[r * columns + to] = turns[from * columns + r]!;
  });
  return { left, singular: Float64Array.from(order, (from) => lengths[from]!), right };
}

function rotate(a: Float64Array, b: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    a[i] = cosine * x - sine * y;
    b[i] = sine * x + cosine * y;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function transposed(matrix: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) result[c * rows + r] = matrix[r * columns + c]!;
  return result;
}
