/** @file One design, four forms: look-up in the memo, the whole network, stages, one baked file. All must agree. */
import { describe, expect, test } from 'vitest';
import { bakeDesign } from '../../src/exits/bake.js';
import { readBaked } from '../../src/exits/bake-metadata.js';
import { policyKinds } from '../../src/exits/policies/index.js';
import { backboneOf, logitsOutputs } from '../../src/exits/progressive.js';
import { stagesOf } from '../../src/exits/stages.js';
import type { Tensor } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';
import { allScores, caseOf, compareForms, drawDesign, memoOf, oneThread } from './forms.js';
import { branchedNet, plainChain, residualNet, sharedModel } from './networks.js';

describe.each([
  ['a chain that ends in Softmax', plainChain, 'pool'],
  ['residual blocks', residualNet, 'msdnet'],
  ['branches', branchedNet, 'sdn'],
] as const)('%s', (_, build, head) => {
  test('24 random designs give the same exits and predictions in every form', { timeout: 60_000 }, async () => {
    const network = caseOf(build(), 24, head);
    const memo = await memoOf(network);
    const random = createRandom(17);
    for (let round = 0; round < 24; round++) {
      const temperatures = Float64Array.from(memo.logits, () => (round % 3 === 0 ? 1 : 0.4 + 2 * random.next()));
      const scores = allScores(memo, temperatures);
      await compareForms(network, scores, drawDesign(random, scores, policyKinds[round % policyKinds.length]));
    }
  });

  test('the stages together compute what the whole network computes', async () => {
    const { progressive, images } = caseOf(build(), 3, head);
    const all = progressive.info.exits.map((__, exit) => exit);
    await using whole = await openSession(encodeModel(progressive.model), oneThread);
    const feeds = { [progressive.info.input]: images };
    const expected = await whole.run(feeds);
    for (const exits of [all, all.filter((exit) => exit % 2 === 1), []]) {
      const known = new Map<string, Tensor>(Object.entries(feeds));
      const nodes = new Set<string>();
      for (const stage of stagesOf(progressive, { exits })) {
        for (const node of stage.model.graph.nodes)
          if (node.op === 'Conv' || node.op === 'Gemm') {
            expect(nodes.has(node.name), `${node.name} is computed twice`).toBe(false);
            nodes.add(node.name);
          }
        await using session = await openSession(encodeModel(stage.model), oneThread);
        const inputs = Object.fromEntries(stage.inputs.map(({ name }) => [name, known.get(name)!]));
        const results = await session.run(inputs);
        for (const [name, tensor] of Object.entries(results)) known.set(name, tensor);
        const want = expected[stage.logits]!.data as Float32Array;
        (results[stage.logits]!.data as Float32Array).forEach((value, i) => expect(value).toBeCloseTo(want[i]!, 4));
      }
    }
  });
});

describe('ResNet-20 as exported from PyTorch, 22 random heads', () => {
  const model = sharedModel('resnet20-cifar10-bn');

  test.runIf(model)('every policy and fallback agrees in all forms', { timeout: 120_000 }, async () => {
    const network = caseOf(model!, 16);
    const memo = await memoOf(network);
    const scores = allScores(memo);
    const random = createRandom(3);
    for (const kind of policyKinds) await compareForms(network, scores, drawDesign(random, scores, kind));
  });

  test.runIf(model)('attaching changes neither the backbone’s weights nor its answers', async () => {
    const { progressive, images } = caseOf(model!, 4);
    for (const [name, tensor] of model!.graph.initializers)
      expect(progressive.model.graph.initializers.get(name)).toBe(tensor);
    expect(logitsOutputs(progressive.info)).toHaveLength(23);
    await using before = await openSession(encodeModel(model!), oneThread);
    await using after = await openSession(encodeModel(backboneOf(progressive)), oneThread);
    const [x, y] = [await before.run({ input: images }), await after.run({ input: images })];
    expect(y.logits!.bytes).toEqual(x.logits!.bytes);
  });
});

describe('baked models', () => {
  test('with one exit compare its confidence with the final one', { timeout: 60_000 }, async () => {
    const network = caseOf(residualNet(), 24);
    const memo = await memoOf(network);
    const answeredBy = new Set<number>();
    for (const last of [0.1, 0.5, 1, 4, 20]) {
      const temperatures = memo.logits.map((__, exit) => (exit === 7 ? last : 1));
      const scores = allScores(memo, temperatures);
      const policy = { kind: 'confidence', thresholds: 0.9, temperatures: [1, last] } as const;
      const traced = await compareForms(network, scores, { exits: [2], policy, fallback: 'most-confident' });
      traced.answeredBy.forEach((exit, sample) => {
        if (traced.exitOf[sample] === 7) answeredBy.add(exit);
      });
    }
    expect([...answeredBy].sort()).toEqual([2, 7]);
  });

  test('say what they are, with one If per early exit and each weight once', () => {
    const { progressive } = caseOf(residualNet(), 1);
    const policy = { kind: 'entropy', thresholds: [0.5, -Infinity] } as const;
    const baked = bakeDesign(progressive, { exits: [1, 4], policy, fallback: 'last' });
    expect(readBaked(baked)).toMatchObject({
      input: 'input',
      classes: 6,
      outputs: { logits: 'logits', exit: 'exit', label: 'label' },
      exits: [{ exit: 1 }, { exit: 4 }, { exit: 7 }],
      policy: { kind: 'entropy', thresholds: [0.5, -Infinity] },
      fallback: 'last',
    });
    expect(baked.metadata.has('cuttle.exits')).toBe(false);
    const text = encodeModel(baked);
    const staged = stagesOf(progressive, { exits: [1, 4] });
    const weights = staged.reduce(
      (sum, { model }) =>
        sum + [...model.graph.initializers.values()].reduce((s, { bytes }) => s + bytes.byteLength, 0),
      0,
    );
    expect(text.byteLength).toBeLessThan(weights + 20_000);
    expect(baked.graph.inputs[0]!.type).toMatchObject({ shape: [1, 3, 12, 12] });
  });
});
