/** @file When samples leave: the middle axis of the scheduler's tables. */

/**
 * - `threshold`: at the first exit that is surer, one threshold for all exits. `Infinity`: no exit is run.
 * - `exit` (its number in the progressive model): all samples at this exit; no other is run, and the network ends there.
 */
export type ExitRule = { readonly threshold: number } | { readonly exit: number };

/** The whole network; no exit is run. */
export const NO_EXITS: ExitRule = { threshold: Infinity };

/** Whether two rules do the same. */
export function sameRule(a: ExitRule, b: ExitRule): boolean {
  return 'exit' in a ? 'exit' in b && a.exit === b.exit : 'threshold' in b && a.threshold === b.threshold;
}

/** A rule for people: `0.9`, `exit 3 alone`, `none`. */
export function ruleText(rule: ExitRule): string {
  if ('exit' in rule) return `exit ${rule.exit} alone`;
  return rule.threshold === Infinity ? 'none' : String(rule.threshold);
}
