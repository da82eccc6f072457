/** @file Gradient of Dropout: through the mask that the forward pass drew. */
import type { VjpRule } from '../record.js';
import { arithOf } from './shaping.js';

/** Dropout-12/13: dx = g·mask/(1 − ratio) in training, g otherwise. Older versions only knew inference. */
const dropout: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const [, ratio, mode] = c.inputs;
  const training = mode === undefined ? undefined : c.constant(mode);
  if (mode === undefined || (training !== undefined && training.bytes[0] === 0)) return [g];
  const mask = c.outputs[1] ?? c.refuse('it drops elements, but its mask output has no name: give it one');
  const e = arithOf(c);
  const kept = e.mul(g, e.cast(mask));
  const rate = ratio === undefined ? 0.5 : c.constant(ratio)?.numbers()[0];
  if (training !== undefined && rate !== undefined) return [e.mul(kept, 1 / (1 - rate))];
  const share = ratio === undefined ? e.scalar(0.5) : c.type(ratio).dtype === e.dtype ? ratio : e.cast(ratio);
  const scale = e.reciprocal(e.sub(1, share));
  return [e.mul(kept, training === undefined ? e.where(mode, scale, 1) : scale)];
};

export const dropoutGradients: Readonly<Record<string, VjpRule>> = { Dropout: dropout };
