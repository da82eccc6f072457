/** @file The recurrent network of bench/train-step: a character model, with its feeds and optimiser. Shared by all back ends. */
import { Tensor } from '../../../dist/ir/index.js';
import { createRandom } from '../../../dist/platform/index.js';
import { characterModel } from '../../../dist/zoo/recurrent.js';

export const SIZES = { vocabulary: 65, hidden: 256, layers: 1, batch: 32, time: 64 };

/** What a step is built from and fed with; a sample is one character. */
export function lstmNetwork({ cell = 'LSTM', ...given } = {}) {
  const sizes = { ...SIZES, ...given };
  const { vocabulary, hidden, layers, batch, time } = sizes;
  const random = createRandom(1);
  const tokens = () => BigInt64Array.from({ length: batch * time }, () => BigInt(random.int(vocabulary)));
  return {
    name: `character model: embedding of 64, ${layers} × ${cell} of ${hidden}, ${time} steps`,
    sizes,
    model: characterModel('lstm', { vocabulary, seed: 1 }, { cell, hidden, layers }),
    spec: {
      losses: [{ kind: 'cross-entropy', name: 'next', logits: 'logits', axis: -1 }],
      optimizer: { kind: 'adam' },
    },
    settings: { learningRate: 1e-3 },
    feeds: {
      input: Tensor.of('int64', [batch, time], tokens()),
      labels: Tensor.of('int64', [batch, time], tokens()),
    },
    samples: batch * time,
  };
}
