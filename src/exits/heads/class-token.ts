/** @file The head of a Transformer's classifier: a linear layer on the class token. */
import { UnknownHeadError, type ExitHead } from './head.js';
import { headLayers } from './layers.js';

/** The first token of a sequence, then a linear layer. Only for sequences and vectors: a feature map has no such token. */
export const classToken: ExitHead = {
  kind: 'class-token',
  title: 'first token of a sequence → linear',
  source: 'BERT (2019), ViT (2021); exits of DeeBERT (2020) and PABEE (2020)',
  defaultWidth: 0,
  build(site) {
    const { b, name, value } = site;
    const layers = headLayers(site);
    const [channels, steps, width] = site.shape;
    if (width !== 1)
      throw new UnknownHeadError(`the class-token head reads sequences, but ${name} hangs on a map of width ${width}`);
    if (steps === 1) return layers.linear('linear', site);
    const token = b.op('Slice', [value, b.int64s([0]), b.int64s([1]), b.int64s([2])], {}, { name: `${name}/token` });
    return layers.linear('linear', { value: token, shape: [channels, 1, 1] });
  },
};
