/** @file The cheapest head: global average pooling and a linear layer. */
import type { ExitHead } from './head.js';
import { headLayers } from './layers.js';

/** Global average pooling, then a linear layer: C × classes weights, no other work worth mentioning. */
export const pool: ExitHead = {
  kind: 'pool',
  title: 'global average pool → linear',
  source: 'the usual last layers of a classifier',
  defaultWidth: 0,
  build(site) {
    const layers = headLayers(site);
    const [channels, height, width] = site.shape;
    if (height === 1 && width === 1) return layers.linear('linear', site);
    const value = site.b.op('GlobalAveragePool', [site.value], {}, { name: `${site.name}/pool` });
    return layers.linear('linear', { value, shape: [channels, 1, 1] });
  },
};
