/** @file VGG with batch normalisation for small images (Simonyan and Zisserman 2015, arXiv 1409.1556, table 1). */
import type { Model } from '../ir/index.js';
import { LayerStack, type ArchitectureOptions } from './layers.js';

/** Channels of each 3×3 convolution; 'pool' is a 2×2 max pooling. */
const CONFIGURATIONS = {
  11: [64, 'pool', 128, 'pool', 256, 256, 'pool', 512, 512, 'pool', 512, 512, 'pool'],
  16: [64, 64, 'pool', 128, 128, 'pool', 256, 256, 256, 'pool', 512, 512, 512, 'pool', 512, 512, 512, 'pool'],
} as const;

/**
 * VGG-11 or VGG-16 in its small-input form: the convolutional part, global average pooling, one linear classifier
 * in place of the three 4,096-wide layers made for 224×224. Poolings that would leave nothing are left out.
 */
export function vgg(name: string, depth: keyof typeof CONFIGURATIONS, options: ArchitectureOptions): Model {
  const stack = new LayerStack(options);
  let x = stack.input();
  let convolutions = 0;
  let pools = 0;
  for (const layer of CONFIGURATIONS[depth]) {
    if (layer === 'pool') {
      x = stack.maxPool(`pool${++pools}`, x);
      continue;
    }
    const index = ++convolutions;
    x = stack.batchNorm(`bn${index}`, stack.conv(`conv${index}`, x, layer, { kernel: 3, padding: 1 }));
    x = stack.relu(`relu${index}`, x);
  }
  return stack.classifier(name, 'fc', stack.flatten('flatten', stack.globalAveragePool('avgpool', x)));
}
