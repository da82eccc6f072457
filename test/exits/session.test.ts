/** @file The progressive session: what runs, what does not, and how a run is cut short. */
import { expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { InvalidDesignError, type DesignChoice } from '../../src/exits/design.js';
import { openProgressive, ProgressiveRunError } from '../../src/exits/session.js';
import { keepSamples } from '../../src/exits/session-rows.js';
import { Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/random.js';
import { noise, residualNet } from './networks.js';

const candidates = findCandidates(residualNet());
const progressive = attachExits(candidates, candidates.all, { kind: 'msdnet', width: 8 }, 2);
const images = noise(createRandom(4), [12, 3, 12, 12], 2);
const oneThread = { threads: 1 } as const;
const design = (thresholds: number | readonly number[], exits = [0, 2, 4]): DesignChoice => ({
  exits,
  policy: { kind: 'confidence', thresholds },
  fallback: 'most-confident',
});

test('later stages are never executed once everybody has left', async () => {
  await using session = await openProgressive(progressive, design([0, 0.5, 0.5]), oneThread);
  const { answers, entered } = await session.run(images);
  expect(answers.every(({ exit }) => exit === 0)).toBe(true);
  expect(session.runs).toEqual([1, 0, 0, 0]);
  expect([...entered]).toEqual([12, 0, 0, 0]);
});

test('a sample answers the same whoever travels with it', async () => {
  await using session = await openProgressive(progressive, design(0.35), oneThread);
  const { answers, entered } = await session.run(images);
  expect(new Set(answers.map(({ exit }) => exit)).size).toBeGreaterThan(1);
  expect([...entered].some((count) => count > 0 && count < 12)).toBe(true);
  const few = await session.run(keepSamples(images, 0, [3, 7, 8]));
  [3, 7, 8].forEach((sample, row) => {
    const { exit, answeredBy, prediction } = answers[sample]!;
    expect(few.answers[row]).toMatchObject({ exit, answeredBy, prediction });
  });
});

test('maxExit ends the network there; the fallback settles what is left', async () => {
  await using session = await openProgressive(progressive, design(2), oneThread);
  const whole = await session.run(images);
  expect(whole.answers.every(({ exit }) => exit === progressive.info.exits.length)).toBe(true);
  const before = session.runs.at(-1)!;
  const limited = await session.run(images, { maxExit: 3 });
  expect(limited.answers.every(({ exit, answeredBy }) => exit === 2 && [0, 2].includes(answeredBy))).toBe(true);
  expect(session.runs.at(-1)).toBe(before);
  expect(limited.cutShort).toBe(false);
  await using short = await openProgressive(progressive, { ...design(2, [0, 2]), truncated: true }, oneThread);
  expect((await short.run(images)).answers).toEqual(limited.answers);
  await using late = await openProgressive(progressive, design(2, [4]), oneThread);
  await expect(late.run(images, { maxExit: 3 })).rejects.toThrow(ProgressiveRunError);
});

test('a deadline stops before the stage that would miss it, and equals the design that ends there', async () => {
  await using session = await openProgressive(progressive, design(2), oneThread);
  const cut = await session.run(images, { deadlineMs: 60_000, stageMs: [0, 0, 1e9, 0] });
  expect(cut.cutShort).toBe(true);
  expect([...cut.entered]).toEqual([12, 12, 0, 0]);
  const limited = await session.run(images, { maxExit: 2 });
  expect(cut.answers).toEqual(limited.answers);
  expect(cut.logits).toEqual(limited.logits);
  // The first stage runs even where the time is over already: there is always an answer.
  const late = await session.run(images, { deadlineMs: 0 });
  expect([...late.entered]).toEqual([12, 0, 0, 0]);
  expect(late.answers.every(({ exit }) => exit === 0)).toBe(true);
});

test('an abort between stages ends the run', async () => {
  await using session = await openProgressive(progressive, design(2), oneThread);
  const controller = new AbortController();
  const run = session.run(images, { signal: controller.signal });
  queueMicrotask(() => controller.abort(new Error('enough')));
  await expect(run).rejects.toThrow('enough');
  expect(session.runs.at(-1)).toBe(0);
});

test('what cannot run is refused', async () => {
  await expect(openProgressive(progressive, design(0.5, [3, 1]))).rejects.toThrow(InvalidDesignError);
  await expect(openProgressive(progressive, design(0.5, [99]))).rejects.toThrow(InvalidDesignError);
  await using session = await openProgressive(progressive, design(0.5), oneThread);
  await expect(session.run(Tensor.floats([], [0, 3, 12, 12]))).rejects.toThrow(ProgressiveRunError);
});

test('keepSamples takes rows along any axis', () => {
  const tensor = Tensor.of(
    'int64',
    [2, 3, 2],
    Array.from({ length: 12 }, (_, i) => i),
  );
  expect(keepSamples(tensor, 0, [1]).numbers()).toEqual([6, 7, 8, 9, 10, 11]);
  expect(keepSamples(tensor, 1, [0, 2]).numbers()).toEqual([0, 1, 4, 5, 6, 7, 10, 11]);
  expect(keepSamples(tensor, 2, [1]).numbers()).toEqual([1, 3, 5, 7, 9, 11]);
  expect(keepSamples(tensor, 1, [0, 2]).dims).toEqual([2, 2, 2]);
});
