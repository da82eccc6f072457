/** @file Activations that foreign operators end in. */
import type { Emitter } from '../emitter.js';
import { CannotConvert } from '../emitter.js';
import type { Flow, Layout, Stated } from '../flow.js';

/** Names of fused activations, as both TensorFlow and TensorFlow Lite have them. */
export type Activation = 'none' | 'relu' | 'relu-1-1' | 'relu6' | 'tanh' | 'sign-bit';

const bounds: Readonly<Partial<Record<Activation, readonly [number | undefined, number | undefined]>>> = {
  none: [undefined, undefined],
  relu: [0, undefined],
  'relu-1-1': [-1, 1],
  relu6: [0, 6],
};

/** A result behind its activation. Bounds that quantisation keeps anyhow add no node. */
export function activated(e: Emitter, out: Stated, name: string, layout: Layout, activation: Activation): Flow {
  const bound = bounds[activation];
  if (bound) return e.clipped(out, name, layout, ...bound);
  if (activation === 'tanh') return e.result(out, e.op('Tanh', [name]), layout);
  throw new CannotConvert(`activation ${activation}`);
}
