/** @file Cuttle: the whole step is one ONNX graph. */
import { Tensor } from 'cuttle/ir';
import { describeDevice } from 'cuttle/runtime';
import { buildStep, createTrainer } from 'cuttle/train';
import { buildArchitecture } from 'cuttle/zoo';
import { batchOf } from './network.mjs';

export async function prepare({ backend, threads, depth, batch }) {
  const model = buildArchitecture(`resnet-${depth}`, { classes: 10, input: [3, 32, 32], seed: 1 });
  const step = buildStep(model, {
    losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
    optimizer: { kind: 'sgd', momentum: 0.9, nesterov: true },
    profile: backend,
  });
  const trainer = await createTrainer(step, { backend, threads });
  const { pixels, labels } = batchOf(batch);
  const feeds = {
    input: Tensor.of('float32', [batch, 3, 32, 32], pixels),
    labels: Tensor.of('int64', [batch], BigInt64Array.from(labels, BigInt)),
  };
  const device = await describeDevice({ backend, threads });
  return {
    version: device.runtime,
    threads: device.threads,
    step: async () => (await trainer.run(feeds, { learningRate: 0.05 })).loss,
  };
}
