/** @file MSDNet's classifier, the head that HAPI, SPINN and MESS use everywhere. */
import type { ExitHead } from './head.js';
import { headLayers } from './layers.js';

/**
 * Two 3×3 convolutions with stride 2, each with BatchNormalization and ReLU, 2×2 average pooling, a linear layer. On maps
 * that are too small, strides and pooling drop out axis by axis, so that no axis falls below 1.
 * Source: MSDNet (Huang et al. 2018), CIFAR classifier with 128 channels.
 */
export const msdnet: ExitHead = {
  kind: 'msdnet',
  title: '2 × (3×3 convolution, stride 2) → 2×2 average pool → linear',
  source: 'MSDNet (2018), HAPI (2020)',
  defaultWidth: 128,
  build(site, width) {
    const layers = headLayers(site);
    const first = layers.convBnRelu('conv1', site, width);
    const second = layers.convBnRelu('conv2', first, width);
    const [, height, wide] = second.shape;
    const pooled = layers.pool('pool', 'AveragePool', second, [Math.min(2, height), Math.min(2, wide)]);
    return layers.linear('linear', pooled);
  },
};
