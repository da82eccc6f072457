/** @file Small networks for digits: LeNet-5 and a residual-free CNN that trains in seconds. */
import type { Model } from '../ir/index.js';
import { LayerStack, type ArchitectureOptions } from './layers.js';

/** LeNet-5 (LeCun et al. 1998) with ReLU and max pooling in place of tanh and sub-sampling. */
export function lenet(name: string, options: ArchitectureOptions): Model {
  const stack = new LayerStack(options);
  let x = stack.conv('conv1', stack.input(), 6, { kernel: 5, padding: 2, bias: true });
  x = stack.maxPool('pool1', stack.relu('relu1', x));
  x = stack.conv('conv2', x, 16, { kernel: 5, bias: true });
  x = stack.flatten('flatten', stack.maxPool('pool2', stack.relu('relu2', x)));
  x = stack.relu('relu3', stack.linear('fc1', x, 120, 2));
  x = stack.relu('relu4', stack.linear('fc2', x, 84, 2));
  return stack.classifier(name, 'fc3', x);
}

/** Channels and stride of each 3×3 convolution: the first layers already halve the image, so that an epoch is short. */
const DIGITS_LAYERS = [
  { channels: 12, stride: 2 },
  { channels: 12, stride: 1 },
  { channels: 24, stride: 2 },
  { channels: 24, stride: 1 },
  { channels: 24, stride: 1 },
  { channels: 48, stride: 2 },
  { channels: 48, stride: 1 },
  { channels: 48, stride: 1 },
] as const;

/** An eight-layer CNN with batch normalisation: deep enough for early exits, small enough for a demo. */
export function digitsCnn(name: string, options: ArchitectureOptions): Model {
  const stack = new LayerStack(options);
  let x = stack.input();
  DIGITS_LAYERS.forEach(({ channels, stride }, index) => {
    x = stack.conv(`conv${index + 1}`, x, channels, { kernel: 3, padding: 1, stride });
    x = stack.relu(`relu${index + 1}`, stack.batchNorm(`bn${index + 1}`, x));
  });
  return stack.classifier(name, 'fc', stack.flatten('flatten', stack.globalAveragePool('avgpool', x)));
}
