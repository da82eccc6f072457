/**
 * @file Where a training step spends its time: milliseconds per kind of kernel, natively.
 *
 * node bench/train-step/profile.mjs [--networks resnet-20,mobilenet-v2,vgg-11] [--threads 2] [--runs 6]
 *
 * Needs `npm run build`. Results go to bench/results/train-step-profile.json.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeDevice, profileModel } from '../../dist/runtime/index.js';
import { buildStep } from '../../dist/train/index.js';
import { networks } from './networks.mjs';

const { values } = parseArgs({
  options: {
    networks: { type: 'string', default: 'resnet-20,mobilenet-v2,vgg-11' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '6' },
  },
});
const session = { backend: 'native', threads: Number(values.threads) };
const report = { bench: 'train-step-profile', unit: 'ms', device: await describeDevice(session), networks: {} };
for (const name of values.networks.split(',')) {
  const { model, optimizer, weightDecay, batch } = networks[name];
  const step = buildStep(model(), {
    losses: [{ kind: 'cross-entropy', name: 'classification', logits: 'logits' }],
    optimizer,
    weightDecay,
  });
  const { latencyMs, layers } = await profileModel(step.model, {
    ...session,
    runs: Number(values.runs),
    symbols: { batch },
  });
  const kinds = new Map();
  for (const { op, ms } of layers) {
    const kind = kinds.get(op) ?? { nodes: 0, ms: 0 };
    kinds.set(op, { nodes: kind.nodes + 1, ms: kind.ms + ms });
  }
  const slowest = [...kinds].sort(([, a], [, b]) => b.ms - a.ms).slice(0, 12);
  report.networks[name] = { batch, stepMs: latencyMs.p50, kernels: Object.fromEntries(slowest) };
  console.log(name, latencyMs.p50, slowest.map(([op, { ms }]) => `${op} ${ms.toFixed(1)}`).join(', '));
}
writeFileSync(new URL('../results/train-step-profile.json', import.meta.url), `${JSON.stringify(report, null, 2)}\n`);
