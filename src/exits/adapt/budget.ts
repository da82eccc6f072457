/** @file Latency budgets as users write them: a share of the backbone's latency, or milliseconds. */
import { CuttleError } from '../../ir/index.js';

/** A budget as asked for. */
export type Budget =
  | { readonly kind: 'share'; readonly asked: string; readonly share: number }
  | { readonly kind: 'time'; readonly asked: string; readonly ms: number };

/** A budget that cannot be read. Exit code 2. */
export class BudgetError extends CuttleError {
  constructor(text: string) {
    super('usage', 'exits/budget', `'${text}' is no latency budget`, {
      hint: "Write a share of the backbone's latency, such as 50%, or a time, such as 4ms or 250us.",
    });
  }
}

const unitsInMs: Readonly<Record<string, number>> = { us: 1e-3, µs: 1e-3, ms: 1, s: 1e3 };

/** Reads `50%`, `4ms`, `250us` or `0.1s`. Throws BudgetError. */
export function parseBudget(text: string): Budget {
  const match = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*(%|us|µs|ms|s)\s*$/.exec(text);
  const value = Number(match?.[1]);
  if (match === null || !(value > 0)) throw new BudgetError(text);
  const asked = `${match[1]}${match[2]}`;
  return match[2] === '%'
    ? { kind: 'share', asked, share: value / 100 }
    : { kind: 'time', asked, ms: value * unitsInMs[match[2]!]! };
}

/** Several budgets separated by commas or given one by one, each once, in the order given. Throws BudgetError. */
export function parseBudgets(texts: readonly string[]): readonly Budget[] {
  const budgets = texts.flatMap((text) => text.split(',')).map(parseBudget);
  return budgets.filter((budget, index) => budgets.findIndex((other) => other.asked === budget.asked) === index);
}

/** The budget in milliseconds, given the backbone's mean latency on the device. */
export function budgetInMs(budget: Budget, backboneMs: number): number {
  return budget.kind === 'share' ? budget.share * backboneMs : budget.ms;
}

/** A budget as part of a file name: `50pc`, `4ms`. */
export function budgetSlug(budget: Budget): string {
  return budget.asked.replace('%', 'pc').replace('µ', 'u');
}
