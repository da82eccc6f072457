/** @file Cost of a network with exits under the four inference modes of the early-exit survey (MESS, Table 1). */
import type { ExitCosts } from './costs.js';
import { costsByExit, predictLatency, stageCosts } from './latency.js';

/**
 * - `final-only`: one exit is deployed as a sub-network of its own and always answers: cost(b₁:K_n) + cost(exit_n). The survey's
 *   *subnet* mode: `subnetOf` (subnet.ts) makes the network.
 * - `budgeted`: the exit is chosen per inference by the budget; only that head runs: the same formula, any exit n. Where a whole
 *   batch shares a budget, `planBatch` (batch-budget.ts) spends it sample by sample.
 * - `anytime`: every head runs on the way, and the best answer so far is always at hand: cost(b₁:K_N) + Σ cost(exit_n).
 *   `openAnytime` (anytime.ts) runs it.
 * - `input-dependent`: each sample leaves where the policy says: Σ p_{n−1} · (cost(b_{K_{n−1}:K_n}) + cost(exit_n)).
 *   `openProgressive` and baked models run it.
 */
export type InferenceMode = 'final-only' | 'budgeted' | 'anytime' | 'input-dependent';

/** Cost of running the backbone up to exit `exit` and that one head: modes `final-only` and `budgeted`. */
export function budgetedCost(costs: ExitCosts, exit: number): number {
  return costsByExit(costs, [exit])[0]!;
}

/** Cost of the network that ends at the last of the instantiated exits, as a plain sub-network without other heads. */
export function finalOnlyCost(costs: ExitCosts, instantiated: readonly number[]): number {
  return budgetedCost(costs, instantiated.at(-1)!);
}

/** Cost of running through all instantiated exits, each head included. */
export function anytimeCost(costs: ExitCosts, instantiated: readonly number[]): number {
  return stageCosts(costs, instantiated).reduce((sum, cost) => sum + cost, 0);
}

/** Expected cost where `reach[n]` of the samples reach instantiated exit n (p_{n−1}; the first is 1). */
export function inputDependentCost(
  costs: ExitCosts,
  instantiated: readonly number[],
  reach: ArrayLike<number>,
): number {
  return predictLatency(costs, instantiated, reach).average;
}

/** The deepest of the instantiated exits that fits a budget when it alone answers; undefined where none does. */
export function exitForBudget(costs: ExitCosts, instantiated: readonly number[], budget: number): number | undefined {
  return instantiated.filter((exit) => budgetedCost(costs, exit) <= budget).at(-1);
}
