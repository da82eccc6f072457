/** @file STFT as the DFT of windowed frames. */
import { intOf, Tensor } from '../../ir/index.js';
import { dimValue, needStatic, range } from '../gradients/shaping.js';
import type { ExpandRule } from '../record.js';
import { counting } from './attention.js';

/** STFT-17: signal [batch, length] or [batch, length, 1 or 2] → [batch, frames, bins, 2]. */
const stft: ExpandRule = (c) => {
  const { b } = c;
  const [signal, step, window, length] = c.inputs as readonly [string, string, string | undefined, string | undefined];
  const stride = c.constant(step)?.numbers()[0] ?? c.refuse('its frame step is computed at run time');
  const size =
    length !== undefined
      ? (c.constant(length)?.numbers()[0] ?? c.refuse('its frame length is computed at run time'))
      : needStatic(c, [c.shape(window ?? c.refuse('it has neither window nor frame length'))[0]!], 'its window')[0]!;
  const total = dimValue(c, signal, 1);
  const frames = b.op('Add', [
    b.op('Div', [b.op('Sub', [total, b.int64s([size])]), b.int64s([stride])]),
    b.int64s([1]),
  ]);
  const starts = b.op('Mul', [counting(b, frames), b.int64s([stride])]);
  const at = b.op('Add', [b.op('Unsqueeze', [starts, b.int64s([1])]), b.int64s(range(size))]);
  const samples = c.shape(signal).length === 2 ? b.op('Unsqueeze', [signal, b.int64s([2])]) : signal;
  const cut = b.op('Gather', [samples, at], { axis: 1 });
  const weighted = window === undefined ? cut : b.op('Mul', [cut, b.op('Unsqueeze', [window, b.int64s([1])])]);
  const onesided = intOf(c.node, 'onesided', 1);
  const axis = b.constant(Tensor.scalar('int64', 2));
  return [
    c.opset >= 20
      ? b.op('DFT', [weighted, undefined, axis], { onesided })
      : b.op('DFT', [weighted], { onesided, axis: 2 }),
  ];
};

export const signalExpansions: Readonly<Record<string, ExpandRule>> = { STFT: stft };
