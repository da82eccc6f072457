/** @file Einsum equations: the terms, the size of each letter, and the output's shape. */
import { formatShape, type Dim, type Node, type Shape } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import { broadcastShapes } from './broadcast.js';
import { sameDim } from './support.js';

export interface Einsum {
  /** Letters of each operand; `…` (one character) stands for the ellipsis. */
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/** Parses an equation (Einsum-12), with numpy's implicit output where `->` is missing. Throws ShapeError. */
export function parseEinsum(node: Node, equation: string): Einsum {
  const text = equation.replaceAll(' ', '').replaceAll('...', '…');
  if (!/^[A-Za-z…,]*(->[A-Za-z…]*)?$/.test(text)) throw new ShapeError(node, `'${equation}' is no einsum equation`);
  const [left = '', right] = text.split('->');
  const operands = left.split(',').map((term) => [...term]);
  if (right !== undefined) return { operands, output: [...right] };
  const letters = operands.flat();
  const once = [...new Set(letters)].filter(
    (letter) => letter !== '…' && letters.indexOf(letter) === letters.lastIndexOf(letter),
  );
  return { operands, output: [...(letters.includes('…') ? ['…'] : []), ...once.sort()] };
}

/** The size of every letter; the ellipsis's own dims under `ellipsis`. `undefined` where an operand's rank is not known. */
export function einsumSizes(
  node: Node,
  einsum: Einsum,
  shapes: readonly (Shape | undefined)[],
): { readonly letters: ReadonlyMap<string, Dim>; readonly ellipsis: Shape } | undefined {
  if (shapes.length !== einsum.operands.length)
    throw new ShapeError(node, `the equation has ${einsum.operands.length} operands, the node ${shapes.length} inputs`);
  const letters = new Map<string, Dim>();
  const ellipses: Shape[] = [];
  for (const [index, term] of einsum.operands.entries()) {
    const shape = shapes[index];
    if (shape === undefined) return undefined;
    const spare = shape.length - (term.length - (term.includes('…') ? 1 : 0));
    if (spare < 0 || (spare > 0 && !term.includes('…')))
      throw new ShapeError(node, `operand ${index} ${formatShape(shape)} does not fit '${term.join('')}'`);
    let at = 0;
    for (const letter of term) {
      if (letter === '…') {
        ellipses.push(shape.slice(at, at + spare));
        at += spare;
        continue;
      }
      const dim = shape[at++]!;
      const known = letters.get(letter);
      letters.set(
        letter,
        known === undefined || known === 1
          ? dim
          : dim === 1
            ? known
            : sameDim(node, `einsum dim '${letter}'`, known, dim),
      );
    }
  }
  return { letters, ellipsis: broadcastShapes(node, ellipses)! };
}

/** Output shape of an equation. */
export function einsumShape(node: Node, equation: string, shapes: readonly (Shape | undefined)[]): Shape | undefined {
  const einsum = parseEinsum(node, equation);
  const sizes = einsumSizes(node, einsum, shapes);
  if (sizes === undefined) return undefined;
  return einsum.output.flatMap((letter): readonly Dim[] => {
    if (letter === '…') return sizes.ellipsis;
    const dim = sizes.letters.get(letter);
    if (dim === undefined) throw new ShapeError(node, `output dim '${letter}' stands in no operand of '${equation}'`);
    return [dim];
  });
}
