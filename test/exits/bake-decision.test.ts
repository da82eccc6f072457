/** @file Decisions in ONNX operators against `rowEvidence` and `leaves`, with thresholds all the way to saturation. */
import { expect, test } from 'vitest';
import { emitDecision, fallbackPrecision, precisionFor } from '../../src/exits/bake-decision.js';
import { exitPolicies, leaves } from '../../src/exits/policies/index.js';
import type { PolicyConfig } from '../../src/exits/policies/policy.js';
import { rowEvidence, type RowEvidence } from '../../src/exits/scores.js';
import { EMIT_OPSET, GraphBuilder, makeModel, Tensor, tensorType } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';

const classes = 7;
const rows = 240;

/** Rows of logits from undecided to saturated. */
function logitRows(): Float32Array {
  const random = createRandom(4);
  const values = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row++) {
    const spread = 0.2 * 1.02 ** row;
    for (let c = 0; c < classes; c++) values[row * classes + c] = random.normal() * spread;
  }
  return values;
}

test.each(['confidence', 'margin', 'entropy'] as const)('%s decides as the look-up does', async (kind) => {
  const policy = exitPolicies[kind];
  const evidence = policy.evidence as 'top1' | 'margin' | 'entropy';
  const logits = logitRows();
  for (const temperature of [1, 1.7]) {
    const out: RowEvidence = { prediction: 0, top1: 0, entropy: 0, margin: 0 };
    const scores = Float32Array.from(
      { length: rows },
      (_, row) => rowEvidence(logits, row * classes, classes, temperature, out)[evidence],
    );
    const sorted = [...new Set(scores)].sort((a, b) => a - b);
    // In the middle of the gap above every twelfth score, and of the gaps at both ends.
    const ranks = sorted.map((_, rank) => rank).filter((rank) => rank > 0 && (rank % 12 === 0 || rank < 4));
    ranks.push(sorted.length - 1, sorted.length - 2);
    const thresholds = [...ranks.map((rank) => Math.fround((sorted[rank - 1]! + sorted[rank]!) / 2)), 0, 2, Infinity];
    const used = new Set(thresholds.map((threshold) => precisionFor(evidence, threshold)));
    expect([...used].sort()).toEqual(['float32', 'float64']);

    const config: PolicyConfig = { kind, thresholds, temperatures: thresholds.map(() => temperature) };
    const b = new GraphBuilder();
    const input = b.input('logits', tensorType('float32', [1, classes]));
    const outputs = thresholds.map((_, position) => emitDecision(b, config, position, input, undefined).leave);
    const model = makeModel(b.graph('decisions', outputs), { opsets: new Map([['', EMIT_OPSET]]) });
    await using session = await openSession(encodeModel(model), { threads: 1 });
    for (let row = 0; row < rows; row++) {
      const fed = Tensor.floats(logits.slice(row * classes, (row + 1) * classes), [1, classes]);
      const results = await session.run({ logits: fed });
      const got = outputs.map((name) => Boolean(results[name]!.data[0]));
      expect(got, `row ${row}`).toEqual(thresholds.map((threshold) => leaves(policy, scores[row]!, threshold)));
    }
  }
});

test('confidences are compared in float32 only where no exit that is passed can be saturated', () => {
  const at = (kind: PolicyConfig['kind'], ...thresholds: number[]): string =>
    fallbackPrecision({ kind, thresholds }, thresholds.length);
  expect(at('confidence', 0.8, 0.99)).toBe('float32');
  expect(at('confidence', 0.8, 0.999)).toBe('float64');
  expect(at('margin', Infinity)).toBe('float64');
  expect(at('entropy', 0.5, 0.1)).toBe('float32');
  expect(at('entropy', 0.5, 0)).toBe('float64');
  expect(at('patience', 2)).toBe('float64');
});
