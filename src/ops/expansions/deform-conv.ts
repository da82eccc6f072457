/** @file DeformConv in gathers, weights and one matrix product. */
import { intOf, Tensor } from '../../ir/index.js';
import { windowOf } from '../gradients/conv-geometry.js';
import { arithOf, needStatic, range, reshape } from '../gradients/shaping.js';
import { arrayOf } from '../gradients/arith.js';
import type { ExpandRule } from '../record.js';
import { gatherTaps, linearTaps } from './sampling.js';

/** DeformConv-19/22 over images: every kernel tap reads where its offset points, pixels outside count as zeros. */
const deformConv: ExpandRule = (c) => {
  const { b } = c;
  const e = arithOf(c);
  const [x, weight, offset, bias, mask] = c.inputs as readonly [string, string, string, ...string[]];
  const [channels, height, width] = needStatic(c, c.shape(x).slice(1), 'channels and spatial dims of its input');
  const [outChannels, perGroup, ...kernel] = needStatic(c, c.shape(weight), 'the dims of its weight');
  if (kernel.length !== 2) c.refuse('it is not two-dimensional');
  const output = needStatic(c, c.shape(offset).slice(2), 'the spatial dims of its offset');
  const groups = intOf(c.node, 'group', 1);
  const offsetGroups = intOf(c.node, 'offset_group', 1);
  const { strides, dilations, padBegin } = windowOf(c, kernel, c.shape(x));
  const taps = kernel[0]! * kernel[1]!;
  const places = output[0]! * output[1]!;
  // Where each tap of each place lies without its offset: [taps, places].
  const base = (d: 0 | 1): string =>
    arrayOf(
      b,
      e.dtype,
      [taps, places],
      range(taps).flatMap((tap) =>
        range(places).map((place) => {
          const at = d === 0 ? Math.floor(place / output[1]!) : place % output[1]!;
          const k = d === 0 ? Math.floor(tap / kernel[1]!) : tap % kernel[1]!;
          return at * strides[d]! - padBegin[d]! + k * dilations[d]!;
        }),
      ),
    );
  const offsets = reshape(c, offset, [-1, taps, 2, places]);
  const samples = taps * places;
  const positions = ([0, 1] as const).map((d) => {
    const own = b.op('Gather', [offsets, b.constant(Tensor.scalar('int64', d))], { axis: 2 });
    return reshape(c, e.add(own, base(d)), [-1, samples]);
  });
  const image = reshape(c, x, [-1, channels! / offsetGroups, height! * width!]);
  const axes = [linearTaps(b, e, positions[0]!, height!), linearTaps(b, e, positions[1]!, width!)];
  const sampled = gatherTaps(b, e, image, b.int64s([channels! / offsetGroups]), axes, [height!, width!]);
  const masked = mask === undefined ? sampled : e.mul(sampled, reshape(c, mask, [-1, 1, samples]));
  const columns = reshape(c, masked, [-1, groups, perGroup! * taps, places]);
  const rows = reshape(c, weight, [groups, outChannels! / groups, perGroup! * taps]);
  const product = reshape(c, b.op('MatMul', [rows, columns]), [-1, outChannels!, ...output]);
  return [bias === undefined ? product : e.add(product, reshape(c, bias, [outChannels!, 1, 1]))];
};

export const deformConvExpansions: Readonly<Record<string, ExpandRule>> = { DeformConv: deformConv };
