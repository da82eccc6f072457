/** @file Split networks: parts between any two cuts, chained, equal the whole bit for bit; exits decide as they do unsplit. */
import { describe, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import type { DesignChoice } from '../../src/exits/design.js';
import { policyKinds } from '../../src/exits/policies/index.js';
import { readProgressive } from '../../src/exits/progressive.js';
import { openProgressive } from '../../src/exits/session.js';
import type { Model, Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { openSession, syntheticFeeds } from '../../src/runtime/index.js';
import { CutError } from '../../src/split/cuts.js';
import { openSplitNetwork, SplitNetworkError } from '../../src/split/network.js';
import { SegmentsReleasedError } from '../../src/split/segment-sessions.js';
import { SegmentWalk } from '../../src/split/segment-walk.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { noise } from '../exits/networks.js';
import { recurrentNet } from '../exits/networks-sequence.js';
import { inceptionNet } from './networks.js';

/** Without ONNX Runtime's rewrites: across a cut it cannot fuse the same operators. */
const exact = { backend: 'native', threads: 1, optimization: 'disabled' } as const;
const same = (a: Tensor, b: Tensor): boolean => Buffer.from(a.bytes).equals(Buffer.from(b.bytes));

const resnet = (depth: 8 | 20): Model =>
  buildArchitecture(`resnet-${depth}`, { classes: 10, input: [3, 8, 8], seed: 1 });

/** With an exit at every third candidate. */
function withExits(model: Model): Model {
  const candidates = findCandidates(model);
  return attachExits(
    candidates,
    candidates.all.filter((_, i) => i % 3 === 1),
    { kind: 'msdnet', width: 8 },
    2,
  ).model;
}

const networks: Readonly<Record<string, () => Model>> = {
  'ResNet-8 with exits': () => withExits(resnet(8)),
  'ResNet-20': () => resnet(20),
  'ResNet-20 with exits': () => withExits(resnet(20)),
  'MobileNetV2 with exits': () =>
    withExits(buildArchitecture('mobilenet-v2-0.25', { classes: 10, input: [3, 8, 8], seed: 1 })),
  'Inception-like': inceptionNet,
  'LSTM with exits': () => withExits(recurrentNet('LSTM', true)),
};

describe.each(Object.entries(networks))('%s', (name, build) => {
  const model = build();
  const network = openSplitNetwork(model, name === 'Inception-like' ? { output: 'logits' } : {});
  const last = network.cuts.cuts.length - 1;

  test('parts through every cut equal the whole, exits included', { timeout: 120_000 }, async () => {
    const feeds = syntheticFeeds(model, { batch: 2, N: 2 });
    await using whole = await openSession(model, exact);
    const expected = await whole.run(feeds);
    let known: Record<string, Tensor> = { ...feeds };
    const made: Record<string, Tensor> = {};
    for (let cut = 0; cut < last; cut++) {
      await using session = await openSession(network.segment(cut, cut + 1), exact);
      const results = await session.run(Object.fromEntries(session.inputNames.map((n) => [n, known[n]!])));
      Object.assign(made, results);
      // Only the frontier goes on: a part that needed more could not run.
      known = Object.fromEntries(
        network.cuts.cuts[cut + 1]!.frontier.map((n) => [n, results[n] ?? known[n]!] as const),
      );
    }
    for (const [output, tensor] of Object.entries(expected)) expect(same(made[output]!, tensor), output).toBe(true);
    expect(Object.keys(expected)).toEqual(expect.arrayContaining(network.exits.map(({ output }) => output)));
  });

  test('a walk on the device and one on the server give every exit its logits', { timeout: 120_000 }, async () => {
    const feeds = syntheticFeeds(model, { batch: 2, N: 2 });
    await using whole = await openSession(model, exact);
    const expected = await whole.run(feeds);
    await using walk = new SegmentWalk(network, exact);
    const design: DesignChoice = {
      exits: network.exits.map(({ exit }) => exit),
      policy: { kind: 'confidence', thresholds: 2 },
      fallback: 'last',
    };
    const logits = expected[network.final.output]!.data as Float32Array;
    const step = Math.ceil(last / 6);
    for (let cut = 0; cut <= last; cut += step) {
      const seen: number[] = [];
      const onExit = ({ exit }: { readonly exit: number }): unknown => seen.push(exit);
      const device = await walk.run({ from: 0, to: cut, tensors: feeds, design, onExit });
      expect(device.visited.at(-1) ?? 0).toBe(cut);
      const { frontier } = device;
      expect(Object.keys(frontier?.tensors ?? {}).sort()).toEqual([...network.cuts.cuts[cut]!.frontier].sort());
      const result = frontier
        ? await walk.run({ from: cut, to: last, tensors: frontier.tensors, design, onExit })
        : device;
      expect(seen).toEqual([...design.exits, network.final.exit]);
      expect(result.frontier).toBeUndefined();
      result.answers.forEach((answer, sample) => {
        const row = logits.subarray(sample * network.classes, (sample + 1) * network.classes);
        expect(answer).toMatchObject({ exit: network.final.exit, label: row.indexOf(Math.max(...row)) });
        expect([...answer!.logits]).toEqual([...row]);
      });
    }
  });
});

describe('exits', () => {
  const model = withExits(resnet(20));
  const network = openSplitNetwork(model);
  const last = network.cuts.cuts.length - 1;
  const images = noise(createRandom(3), [16, 3, 8, 8], 2);
  const feeds = { [network.inputs[0]!]: images };
  const all = network.exits.map(({ exit }) => exit);
  const designs: readonly DesignChoice[] = policyKinds
    .filter((kind) => kind !== 'learned')
    .map((kind) => ({
      exits: all,
      policy: {
        kind,
        thresholds: { confidence: 0.3, entropy: 2.15, margin: 0.12, patience: 1, learned: 0 }[kind],
        temperatures: [...all.map((exit) => 1 + exit / 10), 1.5],
      },
      fallback: 'most-confident' as const,
    }));

  test.each(designs)('decide as in an unsplit session: $policy.kind', async (design) => {
    await using unsplit = await openProgressive(readProgressive(model), design, exact);
    const { answers, logits } = await unsplit.run(images);
    expect(new Set(answers.map(({ exit }) => exit)).size).toBeGreaterThan(1);
    await using walk = new SegmentWalk(network, exact);
    const stops = [3, last - 2];
    const result = await walk.run({ from: 0, to: last, tensors: feeds, design, stops });
    expect(result.answers).toEqual(result.best);
    result.answers.forEach((answer, sample) => {
      const { exit, answeredBy, prediction, confidence } = answers[sample]!;
      expect(answer).toMatchObject({ exit: answeredBy, reached: exit, label: prediction, score: confidence });
      expect([...answer!.logits]).toEqual([...logits.slice(sample * 10, (sample + 1) * 10)]);
    });
    // Where nobody is left, nothing runs.
    expect(result.visited.filter((cut) => stops.includes(cut)).length).toBeGreaterThan(0);
  });

  test('samples that left are dropped; those that stayed are answered from their frontier', async () => {
    const design = designs[0]!;
    const cut = network.exits[0]!.position;
    await using walk = new SegmentWalk(network, exact);
    const whole = await walk.run({ from: 0, to: last, tensors: feeds, design });
    const device = await walk.run({ from: 0, to: cut, tensors: feeds, design });
    const { samples, tensors } = device.frontier!;
    expect(samples.length).toBeGreaterThan(0);
    expect(samples.length).toBeLessThan(16);
    for (const tensor of Object.values(tensors)) expect(tensor.dims[0]).toBe(samples.length);
    expect(device.best.every((best) => best !== undefined)).toBe(true);
    const server = await walk.run({ from: cut, to: last, tensors, design: { ...design, fallback: 'last' } });
    samples.forEach((sample, row) => {
      expect(device.answers[sample]).toBeUndefined();
      const [here, there] = [server.answers[row]!, whole.answers[sample]!];
      expect(here.reached).toBe(there.reached);
      if (there.exit === there.reached) expect(here).toEqual(there);
    });
  });

  test('a walk goes on from where it stopped, and a signal ends it between parts', async () => {
    const design = { ...designs[0]!, policy: { kind: 'confidence' as const, thresholds: 2 } };
    await using walk = new SegmentWalk(network, exact);
    const begun = walk.begin({ from: 0, tensors: feeds, design });
    expect(begun.result().best).toEqual(Array.from({ length: 16 }, () => undefined));
    await begun.to(begun.nextExit);
    expect(begun.cut).toBe(network.exits[0]!.position);
    expect(begun.result().best[0]).toMatchObject({ exit: 0, reached: 0 });
    await begun.to(begun.cut);
    await expect(begun.to(1)).rejects.toThrow(CutError);
    const controller = new AbortController();
    const going = begun.to(last, {
      signal: controller.signal,
      onExit: () => controller.abort(new Error('enough')),
    });
    await expect(going).rejects.toThrow('enough');
    expect(begun.cut).toBe(network.exits[1]!.position);
    await begun.to(last);
    expect(begun.done).toBe(true);
  });

  test('sessions are kept up to a limit, and none after release', async () => {
    const walk = new SegmentWalk(network, { ...exact, keep: 2 });
    await walk.prepare({ from: 0, to: last, design: designs[0]! });
    expect(walk.sessions.size).toBe(2);
    await Promise.all([walk.run({ from: 0, to: last, tensors: feeds }), walk.run({ from: 0, to: 5, tensors: feeds })]);
    expect(walk.sessions.size).toBe(2);
    await walk.release();
    await expect(walk.run({ from: 0, to: last, tensors: feeds })).rejects.toThrow(SegmentsReleasedError);
  });

  test('exits in parallel branches follow each other too, and number cuts alike whichever take part', async () => {
    const candidates = findCandidates(resnet(20));
    const everywhere = attachExits(candidates, candidates.all, { kind: 'pool' }, 2).model;
    const full = openSplitNetwork(everywhere);
    expect(full.exits.length).toBe(candidates.all.length);
    const positions = full.exits.map(({ position }) => position);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    const few = openSplitNetwork(everywhere, { exits: [0, 5] });
    expect(few.cuts.cuts.map(({ frontier }) => frontier)).toEqual(full.cuts.cuts.map(({ frontier }) => frontier));
    const design: DesignChoice = {
      exits: full.exits.map(({ exit }) => exit),
      policy: { kind: 'confidence', thresholds: 0.3 },
      fallback: 'most-confident',
    };
    await using unsplit = await openProgressive(readProgressive(everywhere), design, exact);
    const { answers } = await unsplit.run(images);
    await using walk = new SegmentWalk(full, exact);
    const result = await walk.run({ from: 0, to: full.cuts.cuts.length - 1, tensors: feeds, design });
    expect(result.answers.map((answer) => [answer!.exit, answer!.label, answer!.score])).toEqual(
      answers.map(({ answeredBy, prediction, confidence }) => [answeredBy, prediction, confidence]),
    );
  });

  test('positions are the first cut that computes the exit; parts leave out exits that take no part', () => {
    for (const { output, position } of [...network.exits, network.final]) {
      const names = (cut: number): readonly string[] => network.segment(0, cut).graph.outputs.map(({ name }) => name);
      expect(names(position)).toContain(output);
      if (position > 1) expect(names(position - 1)).not.toContain(output);
    }
    const few = openSplitNetwork(model, { exits: [1] });
    expect(few.exits.map(({ exit }) => exit)).toEqual([1]);
    const outputs = few.segment(0, last).graph.outputs.map(({ name }) => name);
    expect(outputs.filter((name) => /^exit_/.test(name))).toEqual(['exit_1']);
    expect(network.segment(0, last, []).graph.nodes.length).toBe(network.cuts.nodes.length);
  });

  test('what cannot be is refused', async () => {
    expect(() => network.segment(5, 5)).toThrow(CutError);
    expect(() => network.segment(0, last + 1)).toThrow(CutError);
    expect(() => openSplitNetwork(model, { exits: [99] })).toThrow(CutError);
    expect(() => openSplitNetwork(model, { exits: [1, 0] })).toThrow(CutError);
    expect(() => openSplitNetwork(inceptionNet(), { output: 'early' })).toThrow(SplitNetworkError);
    await using walk = new SegmentWalk(network, exact);
    await expect(walk.run({ from: 0, to: last, tensors: {} })).rejects.toThrow(CutError);
    const few = new SegmentWalk(openSplitNetwork(model, { exits: [1] }), exact);
    await expect(few.run({ from: 0, to: last, tensors: feeds, design: designs[0]! })).rejects.toThrow(CutError);
    await few.release();
  });
});
