/** @file Runs one design in all its forms and compares every sample. */
import { expect } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { bakeDesign } from '../../src/exits/bake.js';
import type { HeadKind } from '../../src/exits/heads/index.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { collectMemo } from '../../src/exits/collect.js';
import type { DesignChoice } from '../../src/exits/design.js';
import { traceDesign, type TracedDesign } from '../../src/exits/evaluate.js';
import { macsCosts } from '../../src/exits/measure-costs.js';
import { singleImage } from '../../src/exits/measure-design.js';
import type { Memo } from '../../src/exits/memo.js';
import { exitPolicies, policyKinds } from '../../src/exits/policies/index.js';
import type { Progressive } from '../../src/exits/progressive.js';
import { fitGates, withGates } from '../../src/exits/policies/fit-gates.js';
import { evidenceColumn, scoreTables, type ScoreTables } from '../../src/exits/scores.js';
import { openProgressive } from '../../src/exits/session.js';
import { snapThresholds } from '../../src/exits/thresholds.js';
import { Tensor, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom, type Random } from '../../src/platform/random.js';
import { openSession } from '../../src/runtime/index.js';
import { noise } from './networks.js';

export const oneThread = { threads: 1 } as const;

export interface Case {
  readonly progressive: Progressive;
  readonly images: Tensor<'float32'>;
}

/** A network with random heads, and images on which its exits disagree. */
export function caseOf(model: Model, samples: number, head: HeadKind = 'msdnet'): Case {
  const candidates = findCandidates(model);
  const progressive = attachExits(candidates, candidates.all, { kind: head, width: 8 }, 5);
  const images = noise(createRandom(9), [samples, ...candidates.classifier.inputShape], 2);
  return { progressive, images };
}

/** The memo of a case, collected in two batches; labels at random. */
export async function memoOf({ progressive, images }: Case): Promise<Memo> {
  const samples = images.dims[0]!;
  const random = createRandom(1);
  const labels = Tensor.int64s(Array.from({ length: samples }, () => random.int(progressive.info.classes)));
  const half = samples >> 1;
  const part = (tensor: Tensor, from: number, to: number): Tensor => {
    const row = tensor.bytes.byteLength / samples;
    return Tensor.fromBytes(
      tensor.dtype,
      [to - from, ...tensor.dims.slice(1)],
      tensor.bytes.slice(from * row, to * row),
    );
  };
  const batches = [
    [0, half],
    [half, samples],
  ].map(([from, to]) => ({ images: part(images, from!, to!), labels: part(labels, from!, to!) }));
  return collectMemo(progressive, batches, oneThread);
}

/** Score tables with trained gates: what every policy needs. */
export function allScores(memo: Memo, temperatures?: ArrayLike<number>): ScoreTables {
  const scores = scoreTables(memo, temperatures);
  return withGates(scores, fitGates(scores));
}

/** A design drawn at random: any exits, any policy, thresholds among the scores, temperatures, either fallback. */
export function drawDesign(
  random: Random,
  scores: ScoreTables,
  kind = policyKinds[random.int(policyKinds.length)]!,
): DesignChoice {
  const final = scores.exits - 1;
  const exits = Array.from({ length: final }, (_, exit) => exit).filter(() => random.next() < 0.5);
  const truncated = exits.length > 1 && random.next() < 0.25;
  const { evidence } = exitPolicies[kind];
  const threshold = (): number => {
    if (evidence === 'streak') return 1 + random.int(3);
    const values = evidenceColumn(scores, evidence, random.int(final));
    return values[random.int(values.length)]!;
  };
  const shared = random.next() < 0.5;
  return {
    exits,
    policy: {
      kind,
      thresholds: shared ? threshold() : exits.map(threshold),
      ...(evidence === 'gate' && { gates: exits.map((exit) => scores.gates![exit]!) }),
      temperatures: [...exits, ...(truncated ? [] : [final])].map((exit) => scores.temperatures[exit]!),
    },
    fallback: random.next() < 0.5 ? 'last' : 'most-confident',
    ...(truncated && { truncated }),
  };
}

/** Runs a design in all forms and compares every sample. */
export async function compareForms(
  { progressive, images }: Case,
  scores: ScoreTables,
  drawn: DesignChoice,
): Promise<TracedDesign> {
  const design = snapThresholds(scores, drawn);
  const traced = traceDesign(scores, macsCosts(progressive), design);
  const looked = { exits: [...traced.exitOf], predictions: [...traced.predictions], by: [...traced.answeredBy] };

  await using staged = await openProgressive(progressive, design, oneThread);
  const batch = await staged.run(images);
  const answersOf = (answers: typeof batch.answers): typeof looked => ({
    exits: answers.map((answer) => answer.exit),
    predictions: answers.map((answer) => answer.prediction),
    by: answers.map((answer) => answer.answeredBy),
  });
  expect(answersOf(batch.answers)).toEqual(looked);
  // Everyone enters the first stage; each later one sees those that have not left, and runs only if there are any.
  let left = images.dims[0]!;
  [...batch.entered].forEach((entered, position) => {
    expect(entered).toBe(left);
    expect(staged.runs[position]).toBe(left > 0 ? 1 : 0);
    left -= traced.exitCounts[position]!;
  });

  await using baked = await openSession(encodeModel(bakeDesign(progressive, design)), oneThread);
  const single: (typeof batch.answers)[number][] = [];
  for (let index = 0; index < images.dims[0]!; index++) {
    const image = singleImage(images, index);
    single.push((await staged.run(image)).answers[0]!);
    const { logits, exit, label } = await baked.run({ [progressive.info.input]: image });
    expect([Number(exit!.data[0]), Number(label!.data[0])]).toEqual([looked.exits[index], looked.predictions[index]]);
    const { classes } = progressive.info;
    const row = batch.logits.subarray(index * classes, (index + 1) * classes);
    (logits!.data as Float32Array).forEach((value, c) => expect(value).toBeCloseTo(row[c]!, 3));
  }
  expect(answersOf(single)).toEqual(looked);
  return traced;
}
