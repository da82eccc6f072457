/** @file The geometry of a convolution or pooling window: attributes with their defaults, resolved padding. */
import { intOf, intsOf, stringOf, type Shape } from '../../ir/index.js';
import type { EmitContext } from '../record.js';
import { needStatic, range } from './shaping.js';

/** Per spatial axis, all static. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padBegin: readonly number[];
  readonly padEnd: readonly number[];
}

/** Spatial extent of a dilated kernel. */
export function reach(kernel: number, dilation: number): number {
  return (kernel - 1) * dilation + 1;
}

/**
 * The window of a Conv or pooling node (Conv-11, MaxPool-12, AveragePool-19) over an input of shape [N, C, spatial…].
 * `auto_pad` of the SAME kinds needs known spatial dims and is refused otherwise.
 */
export function windowOf(c: EmitContext, kernel: readonly number[], input: Shape): Window {
  const ones = kernel.map(() => 1);
  const strides = intsOf(c.node, 'strides', ones);
  const dilations = intsOf(c.node, 'dilations', ones);
  const auto = stringOf(c.node, 'auto_pad', 'NOTSET');
  const rank = kernel.length;
  if (auto === 'VALID')
    return { kernel, strides, dilations, padBegin: kernel.map(() => 0), padEnd: kernel.map(() => 0) };
  if (auto === 'NOTSET') {
    const pads = intsOf(
      c.node,
      'pads',
      [...ones, ...ones].map(() => 0),
    );
    return { kernel, strides, dilations, padBegin: pads.slice(0, rank), padEnd: pads.slice(rank) };
  }
  const spatial = needStatic(c, input.slice(2), 'the spatial dims under auto_pad');
  const total = range(rank).map((d) => {
    const output = Math.ceil(spatial[d]! / strides[d]!);
    return Math.max(0, (output - 1) * strides[d]! + reach(kernel[d]!, dilations[d]!) - spatial[d]!);
  });
  const low = total.map((pad) => (auto === 'SAME_LOWER' ? Math.ceil(pad / 2) : Math.floor(pad / 2)));
  return { kernel, strides, dilations, padBegin: low, padEnd: total.map((pad, d) => pad - low[d]!) };
}

/** The `group` attribute. */
export function groupsOf(c: EmitContext): number {
  return intOf(c.node, 'group', 1);
}

/** Whether every entry equals `value`. */
export function all(values: readonly number[], value: number): boolean {
  return values.every((entry) => entry === value);
}
