/** @file CIFAR-style residual networks of depth 6n + 2 (He et al. 2016, arXiv 1512.03385, §4.2) with 1×1 shortcuts. */
import type { Model } from '../ir/index.js';
import { LayerStack, type ArchitectureOptions, type Features } from './layers.js';

const CHANNELS = [16, 32, 64] as const;

/**
 * ResNet-(6n + 2): a 3×3 stem, three groups of n basic blocks with 16, 32 and 64 channels, global average pooling and a
 * linear classifier. Where the shape changes, the shortcut is a 1×1 convolution with batch normalisation.
 * At 3×32×32 and 10 classes ResNet-20 takes 40,813,184 multiply–accumulates. `options.width` scales the channels.
 */
export function resnet(name: string, depth: number, options: ArchitectureOptions): Model {
  const stack = new LayerStack(options);
  const blocks = (depth - 2) / 6;
  const channels = CHANNELS.map((count) => Math.max(1, Math.round(count * (options.width ?? 1))));
  let x = stack.conv('conv1', stack.input(), channels[0]!, { kernel: 3, padding: 1 });
  x = stack.relu('relu1', stack.batchNorm('bn1', x));
  channels.forEach((count, group) => {
    for (let block = 0; block < blocks; block++)
      x = basicBlock(stack, `layer${group + 1}.${block}`, x, count, group > 0 && block === 0 ? 2 : 1);
  });
  return stack.classifier(name, 'fc', stack.flatten('flatten', stack.globalAveragePool('avgpool', x)));
}

function basicBlock(stack: LayerStack, name: string, x: Features, width: number, stride: number): Features {
  const inner = stack.batchNorm(
    `${name}.bn1`,
    stack.conv(`${name}.conv1`, x, width, { kernel: 3, padding: 1, stride }),
  );
  const outer = stack.batchNorm(
    `${name}.bn2`,
    stack.conv(`${name}.conv2`, stack.relu(`${name}.relu1`, inner), width, { kernel: 3, padding: 1 }),
  );
  const shortcut =
    stride === 1 && x.channels === width
      ? x
      : stack.batchNorm(`${name}.shortcut.bn`, stack.conv(`${name}.shortcut.conv`, x, width, { kernel: 1, stride }));
  return stack.relu(`${name}.relu2`, stack.add(`${name}.add`, outer, shortcut));
}
