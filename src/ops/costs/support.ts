/** @file What cost rules share. */
import { sizeOf } from '../../ir/index.js';
import type { Cost, CostContext, CostRule } from '../record.js';

export type CostTable = Readonly<Record<string, CostRule>>;

/** Elements of input `i`; 0 where omitted. */
export function inputSize({ inputs }: CostContext, i = 0): number {
  const type = inputs[i];
  return type ? sizeOf(type.shape) : 0;
}

/** Elements of output `i`; 0 where omitted. */
export function outputSize({ outputs }: CostContext, i = 0): number {
  const type = outputs[i];
  return type ? sizeOf(type.shape) : 0;
}

export const macs = (count: number, flops = 0): Cost => ({ macs: count, flops });

export const flops = (count: number): Cost => ({ macs: 0, flops: count });

/** So many operations per output element. */
export const perOutput =
  (each: number): CostRule =>
  (context) =>
    flops(each * outputSize(context));

/** So many operations per element of the first input. */
export const perInput =
  (each: number): CostRule =>
  (context) =>
    flops(each * inputSize(context));

/** One rule under many names. */
export function costTable(names: readonly string[], rule: CostRule): CostTable {
  return Object.fromEntries(names.map((name) => [name, rule]));
}
