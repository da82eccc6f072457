/** @file The head of Shallow-Deep Networks: max and average pooling mixed by a learned share, then a linear layer. */
import { Tensor } from '../../ir/index.js';
import type { ExitHead } from './head.js';
import { headLayers } from './layers.js';

/**
 * α · maxpool + (1 − α) · avgpool with window and stride ⌊size / 4⌋, then a linear layer; a map smaller than 4 is not
 * pooled. α is learned, one per head, 0.5 at the start.
 * Source: SDN (Kaya et al. 2019), §4.1.
 */
export const sdn: ExitHead = {
  kind: 'sdn',
  title: 'mixed max and average pooling to about 4×4 → linear',
  source: 'SDN (2019)',
  defaultWidth: 0,
  build(site) {
    const { b, name } = site;
    const layers = headLayers(site);
    const [, height, width] = site.shape;
    const kernel = [Math.max(1, Math.floor(height / 4)), Math.max(1, Math.floor(width / 4))] as const;
    if (kernel[0] === 1 && kernel[1] === 1) return layers.linear('linear', site);
    const max = layers.pool('max_pool', 'MaxPool', site, kernel);
    const average = layers.pool('average_pool', 'AveragePool', site, kernel);
    // max ≥ average, so that α · (average − max) is PRelu with slope α: one operator, whose slope trains as any other's.
    const difference = b.op('Sub', [average.value, max.value], {}, { name: `${name}/difference` });
    const alpha = b.parameter(`${name}.alpha`, Tensor.floats([0.5]));
    const share = b.op('PRelu', [difference, alpha], {}, { name: `${name}/share` });
    const mixed = b.op('Sub', [average.value, share], {}, { name: `${name}/mixed` });
    return layers.linear('linear', { value: mixed, shape: average.shape });
  },
};
