/** @file The operator table: joins the rules of every family into one record per operator. */
import { costRules } from './costs.js';
import { expandRules } from './expansions/index.js';
import { gradientRules } from './gradients/index.js';
import type { OpRecord } from './record.js';
import { shapeRules } from './shapes/index.js';

/** Key of a rule table: the operator's name, prefixed `domain:` outside ai.onnx. */
export function opKey(op: string, domain: string): string {
  return domain === '' || domain === 'ai.onnx' ? op : `${domain}:${op}`;
}

/** What is known of an operator. Aspects without a rule are `undefined`; an unknown operator has none at all. */
export function opRecord(op: string, domain: string): OpRecord {
  const key = opKey(op, domain);
  return {
    op,
    domain,
    infer: ruleIn(shapeRules, key),
    cost: ruleIn(costRules, key),
    vjp: ruleIn(gradientRules, key),
    expand: ruleIn(expandRules, key),
  };
}

/** A table's own entry: an operator named `constructor` has none. */
function ruleIn<T>(rules: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(rules, key) ? rules[key] : undefined;
}

/** Every operator with at least one rule, by name. */
export function knownOps(): readonly OpRecord[] {
  const keys = new Set([shapeRules, costRules, gradientRules, expandRules].flatMap((rules) => Object.keys(rules)));
  return [...keys].sort().map((key) => {
    const [op, domain] = key.includes(':')
      ? [key.slice(key.indexOf(':') + 1), key.slice(0, key.indexOf(':'))]
      : [key, ''];
    return opRecord(op, domain);
  });
}
