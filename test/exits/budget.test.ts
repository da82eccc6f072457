/** @file Budgets as users write them. */
import { expect, test } from 'vitest';
import { BudgetError, budgetInMs, budgetSlug, parseBudget, parseBudgets } from '../../src/exits/adapt/budget.js';

test.each([
  ['50%', 2],
  ['12.5 %', 0.5],
  ['4ms', 4],
  ['250us', 0.25],
  ['0.1s', 100],
])('%s of a 4 ms backbone is %d ms', (text, ms) => {
  expect(budgetInMs(parseBudget(text), 4)).toBeCloseTo(ms, 12);
});

test.each(['', '50', '-3ms', '0%', 'fast', '1e3ms', '4 m s'])("'%s' is refused", (text) => {
  expect(() => parseBudget(text)).toThrow(BudgetError);
});

test('lists keep their order and each budget once', () => {
  expect(parseBudgets(['50%,25%', '4ms', '50 %']).map((budget) => budget.asked)).toEqual(['50%', '25%', '4ms']);
  expect(budgetSlug(parseBudget('50%'))).toBe('50pc');
});
