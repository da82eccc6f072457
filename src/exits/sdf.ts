/** @file HAPI's synchronous-dataflow model: topology matrix Γ = C ⊙ R of a network with exits, and its execution rates. */
import { InvalidDesignError } from './design.js';

/** A dense matrix, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/**
 * A chain of `layers` backbone nodes (blocks with branches or skips count as one node) with candidate exits. Candidate
 * `i` reads the output of layer `after[i]`, counted from 0, in any order.
 */
export interface SdfNetwork {
  readonly layers: number;
  readonly after: readonly number[];
}

/** One instantiation of the model: `topology` = `connectivity` ⊙ `expectedRates`. Columns: layers, then candidates; rows: edges. */
export interface SdfModel {
  readonly network: SdfNetwork;
  /** C ∈ {−1, 0, 1}: +1 where a node produces on an edge, −1 where it consumes. */
  readonly connectivity: Matrix;
  /** R ∈ [0, 1]: the share of executions with which that happens. */
  readonly expectedRates: Matrix;
  /** Γ. */
  readonly topology: Matrix;
}

/**
 * HAPI's transformations `exitrepos` and `conftune` (Alg. 1): Γ of the network with only the candidates of
 * `instantiated` (p_exit, as candidate numbers), where candidate `i` stops the share `exitRates[i]` of the samples that
 * reach it. The rate written at the production entry of a layer is the share that goes *on*, 1 − exitRates, and 1 for a
 * layer without exits (the literal `r_layer` of the paper would be 0 there). Γ has layers − 1 + candidates rows and
 * layers + candidates columns; a candidate that is not instantiated has an all-zero row and column.
 * Throws InvalidDesignError for a candidate or a rate out of range.
 */
export function sdfModel(network: SdfNetwork, instantiated: readonly number[], exitRates: ArrayLike<number>): SdfModel {
  const { layers, after } = network;
  const chosen = new Set(instantiated);
  for (const candidate of chosen) {
    const layer = after[candidate];
    if (layer === undefined || layer < 0 || layer >= layers)
      throw new InvalidDesignError(`candidate ${candidate} hangs on no layer of the network`);
    const rate = exitRates[candidate]!;
    if (!(rate >= 0 && rate <= 1)) throw new InvalidDesignError(`candidate ${candidate} has exit rate ${rate}`);
  }
  const rows = layers - 1 + after.length;
  const columns = layers + after.length;
  const connectivity: Matrix = { rows, columns, data: new Float64Array(rows * columns) };
  const expectedRates: Matrix = { rows, columns, data: new Float64Array(rows * columns) };
  const goOn = new Float64Array(layers).fill(1);
  // Several exits on one layer: a sample goes on where none of them stops it.
  for (const candidate of chosen) goOn[after[candidate]!]! *= 1 - exitRates[candidate]!;
  const set = (row: number, column: number, sign: number, rate: number): void => {
    connectivity.data[row * columns + column] = sign;
    expectedRates.data[row * columns + column] = rate;
  };
  for (let layer = 0; layer < layers - 1; layer++) {
    set(layer, layer, 1, goOn[layer]!);
    set(layer, layer + 1, -1, 1);
  }
  for (const candidate of chosen) {
    set(layers - 1 + candidate, after[candidate]!, 1, 1);
    set(layers - 1 + candidate, layers + candidate, -1, 1);
  }
  return { network, connectivity, expectedRates, topology: hadamard(connectivity, expectedRates) };
}

/** Element-wise product. */
export function hadamard(a: Matrix, b: Matrix): Matrix {
  return { rows: a.rows, columns: a.columns, data: a.data.map((value, i) => value * b.data[i]!) };
}

/** Matrix times vector: `multiply(Γ, q)` is 0 everywhere for execution rates q. */
export function multiply(matrix: Matrix, vector: ArrayLike<number>): Float64Array {
  const product = new Float64Array(matrix.rows);
  for (let row = 0; row < matrix.rows; row++)
    for (let column = 0; column < matrix.columns; column++)
      product[row]! += matrix.data[row * matrix.columns + column]! * vector[column]!;
  return product;
}

/**
 * Execution rates q with Γq = 0, scaled to q₁ = 1. The null space alone does not fix q where candidates are left out
 * (their rows are zero): such nodes get 0. Solved edge by edge: each row of Γ states one balance
 * production · q_producer = consumption · q_consumer. Throws InvalidDesignError where Γ is no such tree of balances.
 */
export function executionRates(topology: Matrix): Float64Array {
  const { rows, columns, data } = topology;
  const rates = new Float64Array(columns).fill(NaN);
  if (columns > 0) rates[0] = 1;
  for (let solved = true; solved;) {
    solved = false;
    for (let row = 0; row < rows; row++) {
      const entries = data.subarray(row * columns, (row + 1) * columns);
      const consumer = entries.findIndex((value) => value < 0);
      if (consumer < 0) continue;
      if (!Number.isNaN(rates[consumer]!)) continue;
      // A producer that nobody goes on from has rate 0 in Γ, and so leaves no positive entry: the consumer never runs.
      const producer = entries.findIndex((value) => value > 0);
      if (producer >= 0 && Number.isNaN(rates[producer]!)) continue;
      rates[consumer] = producer < 0 ? 0 : (entries[producer]! * rates[producer]!) / -entries[consumer]!;
      solved = true;
    }
  }
  for (let column = 0; column < columns; column++) {
    if (!Number.isNaN(rates[column]!)) continue;
    for (let row = 0; row < rows; row++)
      if (data[row * columns + column] !== 0)
        throw new InvalidDesignError(`node ${column} of the topology matrix is not reached from the first layer`);
    rates[column] = 0;
  }
  return rates;
}

/** HAPI's latency model: L(s) = qᵀ l, for per-node latencies l in any unit. */
export function sdfLatency(rates: ArrayLike<number>, latencies: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < rates.length; i++) sum += rates[i]! * latencies[i]!;
  return sum;
}

/** HAPI's memory model: m(s) = 1(q > 0)ᵀ m (the paper prints q > 1). */
export function sdfMemory(rates: ArrayLike<number>, memory: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < rates.length; i++) if (rates[i]! > 0) sum += memory[i]!;
  return sum;
}
