/** @file Dim arithmetic agrees with numbers whenever the symbols are given values. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addDims, ceilDivDims, divDims, mulDims, subDims, type Dim } from '../../src/ir/index.js';

const operations: Readonly<Record<string, readonly [(a: Dim, b: Dim) => Dim, (a: number, b: number) => number]>> = {
  add: [addDims, (a, b) => a + b],
  sub: [subDims, (a, b) => a - b],
  mul: [mulDims, (a, b) => a * b],
  div: [divDims, (a, b) => Math.floor(a / b)],
  ceilDiv: [ceilDivDims, (a, b) => Math.ceil(a / b)],
};

/** Evaluates an expression with n = 24 and m = 6. */
const valueOf = (dim: Dim): number =>
  typeof dim === 'number'
    ? dim
    : // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- dims are JavaScript arithmetic by design, so JavaScript is the independent judge
      (new Function('floor', 'n', 'm', `return ${dim}`)(Math.floor, 24, 6) as number);

test('expressions evaluate to what numbers give', () => {
  const leaf = fc.constantFrom<Dim>('n', 'm', 1, 2, 3, 8);
  fc.assert(
    fc.property(
      leaf,
      fc.array(fc.tuple(fc.constantFrom(...Object.keys(operations)), leaf), { maxLength: 4 }),
      (start, steps) => {
        let symbolic: Dim = start;
        let number = valueOf(start);
        for (const [name, operand] of steps) {
          const [onDims, onNumbers] = operations[name]!;
          symbolic = onDims(symbolic, operand);
          number = onNumbers(number, valueOf(operand));
        }
        expect(valueOf(symbolic) === number, `${symbolic} should be ${number}`).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
});

test('a product that holds the divisor divides exactly', () => {
  expect(divDims(mulDims('n', 8), 4)).toBe('2*n');
  expect(divDims(mulDims('n', 8), 'n')).toBe(8);
  expect(subDims('n', 'n')).toBe(0);
  expect(addDims(null, 1)).toBeNull();
});
