/** @file Arithmetic on dims: numbers fold, symbols become readable expressions, unknown stays unknown. */
import type { Dim } from './type.js';

const wrap = (dim: number | string): string =>
  typeof dim === 'string' && /[-+*/]/.test(dim.replace(/\w+\([^()]*\)/g, '')) ? `(${dim})` : String(dim);

/** a + b. */
export function addDims(a: Dim, b: Dim): Dim {
  if (a === null || b === null) return null;
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (a === 0) return b;
  if (b === 0) return a;
  return typeof b === 'number' && b < 0 ? `${a}-${-b}` : `${a}+${b}`;
}

/** a − b; equal symbols give 0. */
export function subDims(a: Dim, b: Dim): Dim {
  if (a === null || b === null) return null;
  if (typeof b === 'number') return addDims(a, -b);
  return a === b ? 0 : `${a}-${wrap(b)}`;
}

/** a × b. */
export function mulDims(a: Dim, b: Dim): Dim {
  if (a === 0 || b === 0) return 0;
  if (a === null || b === null) return null;
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a === 1) return b;
  if (b === 1) return a;
  return typeof b === 'number' ? `${b}*${wrap(a)}` : `${wrap(a)}*${wrap(b)}`;
}

/** ⌊a / b⌋. A product that plainly contains the divisor is divided exactly. */
export function divDims(a: Dim, b: Dim): Dim {
  if (a === null || b === null || b === 0) return null;
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  if (b === 1) return a;
  if (a === b) return 1;
  if (typeof a === 'string' && typeof b === 'number') {
    const product = /^(\d+)\*(.+)$/.exec(a);
    if (product && Number(product[1]) % b === 0 && /^(\w+|\(.*\))$/.test(product[2]!))
      return mulDims(Number(product[1]) / b, product[2]!);
  }
  if (typeof a === 'string' && typeof b === 'string' && new RegExp(`^\\d+\\*${escape(b)}$`).test(a))
    return Number(a.slice(0, a.indexOf('*')));
  return `floor(${wrap(a)}/${wrap(b)})`;
}

/** ⌈a / b⌉. */
export function ceilDivDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.ceil(a / b);
  return divDims(subDims(addDims(a, b), 1), b);
}

/** Product of all dims. */
export function productOfDims(dims: readonly Dim[]): Dim {
  return dims.reduce<Dim>((product, dim) => mulDims(product, dim), 1);
}

/** True only where both are known and the same. */
export function equalDims(a: Dim, b: Dim): boolean {
  return a !== null && a === b;
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
