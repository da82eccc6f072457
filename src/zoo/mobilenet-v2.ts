/** @file MobileNetV2 for small images with a width multiplier (Sandler et al. 2018, arXiv 1801.04381, table 2). */
import type { Model } from '../ir/index.js';
import { LayerStack, type ArchitectureOptions, type Features } from './layers.js';

/** Expansion, channels, repeats and first stride of each group. Stem and second group keep the size at 32×32 inputs. */
const GROUPS = [
  { expansion: 1, channels: 16, repeats: 1, stride: 1 },
  { expansion: 6, channels: 24, repeats: 2, stride: 1 },
  { expansion: 6, channels: 32, repeats: 3, stride: 2 },
  { expansion: 6, channels: 64, repeats: 4, stride: 2 },
  { expansion: 6, channels: 96, repeats: 3, stride: 1 },
  { expansion: 6, channels: 160, repeats: 3, stride: 2 },
  { expansion: 6, channels: 320, repeats: 1, stride: 1 },
] as const;
const STEM_CHANNELS = 32;
const LAST_CHANNELS = 1280;

/** MobileNetV2 in its CIFAR form; `width` scales every layer's channels, rounded to multiples of 8. */
export function mobilenetV2(name: string, width: number, options: ArchitectureOptions): Model {
  const stack = new LayerStack(options);
  let x = convBlock(stack, 'stem', stack.input(), scaled(STEM_CHANNELS, width), { kernel: 3, padding: 1 });
  GROUPS.forEach((group, index) => {
    for (let repeat = 0; repeat < group.repeats; repeat++) {
      const stride = repeat === 0 ? group.stride : 1;
      x = invertedResidual(
        stack,
        `block${index + 1}.${repeat}`,
        x,
        scaled(group.channels, width),
        group.expansion,
        stride,
      );
    }
  });
  // The paper keeps the last layer's 1,280 channels for multipliers below one.
  x = convBlock(stack, 'last', x, scaled(LAST_CHANNELS, Math.max(1, width)), { kernel: 1 });
  return stack.classifier(name, 'fc', stack.flatten('flatten', stack.globalAveragePool('avgpool', x)));
}

function convBlock(
  stack: LayerStack,
  name: string,
  x: Features,
  channels: number,
  options: { kernel: number; padding?: number; stride?: number; groups?: number },
): Features {
  const normalised = stack.batchNorm(`${name}.bn`, stack.conv(`${name}.conv`, x, channels, options));
  return stack.relu6(`${name}.relu6`, normalised);
}

function invertedResidual(
  stack: LayerStack,
  name: string,
  x: Features,
  channels: number,
  expansion: number,
  stride: number,
): Features {
  const inner = x.channels * expansion;
  let y = expansion === 1 ? x : convBlock(stack, `${name}.expand`, x, inner, { kernel: 1 });
  y = convBlock(stack, `${name}.depthwise`, y, inner, { kernel: 3, padding: 1, stride, groups: inner });
  y = stack.batchNorm(`${name}.project.bn`, stack.conv(`${name}.project.conv`, y, channels, { kernel: 1 }));
  return stride === 1 && x.channels === channels ? stack.add(`${name}.add`, x, y) : y;
}

/** Channels × width to the nearest multiple of 8, never more than 10 % below the exact product (the authors' rule). */
function scaled(channels: number, width: number): number {
  const exact = channels * width;
  const rounded = Math.max(8, Math.floor((exact + 4) / 8) * 8);
  return rounded < 0.9 * exact ? rounded + 8 : rounded;
}
