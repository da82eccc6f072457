/** @file Arithmetic on dims: numbers fold, symbols become canonical expressions, unknown stays unknown. */
import { parseDim, printDim, Polynomial } from './dim-polynomial.js';
import type { Dim } from './type.js';

/** a + b. */
export function addDims(a: Dim, b: Dim): Dim {
  if (a === null || b === null) return null;
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  return symbolic(a, b, (x, y) => x.plus(y));
}

/** a − b; equal expressions give 0. */
export function subDims(a: Dim, b: Dim): Dim {
  if (a === null || b === null) return null;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return symbolic(a, b, (x, y) => x.plus(y.times(Polynomial.of(-1))));
}

/** a × b. */
export function mulDims(a: Dim, b: Dim): Dim {
  if (a === 0 || b === 0) return 0;
  if (a === null || b === null) return null;
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  return symbolic(a, b, (x, y) => x.times(y));
}

/** ⌊a / b⌋; what the divisor divides exactly leaves the floor: `floor((4*n+3)/4)` is `n`. */
export function divDims(a: Dim, b: Dim): Dim {
  if (a === null || b === null || b === 0) return null;
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  return symbolic(a, b, (x, y) => x.floorDivide(y));
}

/** ⌈a / b⌉. */
export function ceilDivDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.ceil(a / b);
  return divDims(subDims(addDims(a, b), 1), b);
}

/** The smaller dim; an expression `min(a, b)` where symbols leave it open (symbols are never negative). */
export function minDims(a: Dim, b: Dim): Dim {
  return extreme('min', a, b);
}

/** The larger dim; an expression `max(a, b)` where symbols leave it open. */
export function maxDims(a: Dim, b: Dim): Dim {
  return extreme('max', a, b);
}

/** Product of all dims. */
export function productOfDims(dims: readonly Dim[]): Dim {
  return dims.reduce<Dim>((product, dim) => mulDims(product, dim), 1);
}

/** True only where both are known and the same. */
export function equalDims(a: Dim, b: Dim): boolean {
  return a !== null && a === b;
}

/** a / b where that is exact for every value of the symbols; `null` otherwise. */
export function divideExactly(a: Dim, b: Dim): Dim {
  if (a === null || b === null || b === 0) return null;
  if (typeof a === 'number' && typeof b === 'number') return a % b === 0 ? a / b : null;
  const quotient = parseDim(a).divideExactly(parseDim(b));
  return quotient ? printDim(quotient) : null;
}

/** The symbols in a dim, each once: `floor((h-1)/2)*n` has `h` and `n`. */
export function symbolsOf(dim: Dim): readonly string[] {
  return typeof dim === 'string' ? parseDim(dim).symbols() : [];
}

/**
 * The dim under given values of its symbols; a name that is itself an expression (`batch-size`) is looked up whole first.
 * Symbols that are not given stay.
 */
export function substituteDim(dim: Dim, symbols: Readonly<Record<string, number>>): Dim {
  if (typeof dim !== 'string') return dim;
  if (Object.hasOwn(symbols, dim)) return symbols[dim]!;
  return parseDim(dim).substitute((symbol) => (Object.hasOwn(symbols, symbol) ? symbols[symbol]! : symbol));
}

function symbolic(a: number | string, b: number | string, combine: (a: Polynomial, b: Polynomial) => Polynomial): Dim {
  // A fraction (a resize scale) times a symbol has no integer form that one could keep.
  if ((typeof a === 'number' && !Number.isInteger(a)) || (typeof b === 'number' && !Number.isInteger(b))) return null;
  return printDim(combine(parseDim(a), parseDim(b)));
}

function extreme(kind: 'min' | 'max', a: Dim, b: Dim): Dim {
  if (a === null || b === null) return null;
  if (typeof a === 'number' && typeof b === 'number') return Math[kind](a, b);
  const x = parseDim(a);
  const y = parseDim(b);
  const difference = x.plus(y.times(Polynomial.of(-1)));
  if (difference.isNonNegative()) return kind === 'max' ? a : b;
  if (difference.times(Polynomial.of(-1)).isNonNegative()) return kind === 'max' ? b : a;
  return printDim(Polynomial.atom({ kind, a: x, b: y }));
}
