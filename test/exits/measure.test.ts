/** @file Costs of the parts of a progressive model, and real runs of designs. No time is asserted, only what it is made of. */
import { describe, expect, test } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import { backboneCost, checkCosts, cumulativeCosts } from '../../src/exits/costs.js';
import { costsFromProfile, exitParts, macsCosts, measureExitCosts } from '../../src/exits/measure-costs.js';
import { measureDesign } from '../../src/exits/measure-design.js';
import { crossingBytes, fitExitOverhead } from '../../src/exits/exit-overhead.js';
import { createRandom } from '../../src/platform/random.js';
import { parseProfile, profileModel } from '../../src/runtime/index.js';
import { noise, plainChain, residualNet } from './networks.js';

const candidates = findCandidates(residualNet());
const progressive = attachExits(candidates, candidates.all, { kind: 'msdnet', width: 8 }, 2);
const quick = { threads: 1, runs: 4, warmup: 1 } as const;

test('parts: every node of the network belongs to exactly one', () => {
  const { segments, heads } = exitParts(progressive);
  expect(segments).toHaveLength(8);
  expect(heads).toHaveLength(8);
  expect(heads.at(-1)!.size).toBe(0);
  const named = [...segments, ...heads].flatMap((part) => [...part]);
  expect(new Set(named).size).toBe(named.length);
  expect(new Set(named)).toEqual(new Set(progressive.model.graph.nodes.map((node) => node.name)));
});

test('in MACs: segments add up to the backbone, exit by exit; heads to what the metadata says', () => {
  const costs = macsCosts(progressive);
  checkCosts(costs);
  expect(backboneCost(costs)).toBe(candidates.macs);
  // In a chain of blocks the running sums are the candidates' own MACs; a shortcut counts from where it is first needed.
  const sums = cumulativeCosts(costs.segments);
  progressive.info.exits.forEach((exit, index) => {
    expect(costs.heads[index]).toBe(exit.head.macs);
    if (exit.blockEnd) expect(sums[index]).toBe(exit.macs);
    else expect(sums[index]).toBeGreaterThanOrEqual(exit.macs);
  });
  expect(costs.memory!.segments.every((bytes) => bytes > 0)).toBe(true);
});

describe('in ms', () => {
  test(
    'measured on this device: positive parts that go with a profile of the whole network',
    { timeout: 60_000 },
    async () => {
      const { costs, profile, backboneMs, exitMs } = await measureExitCosts(progressive, quick);
      checkCosts(costs);
      expect(costs.unit).toBe('ms');
      expect(costs.segments.slice(0, 6).every((ms) => ms > 0)).toBe(true);
      expect(costs.heads.slice(0, -1).every((ms) => ms > 0)).toBe(true);
      expect(backboneCost(costs)).toBeGreaterThan(0.5 * backboneMs);
      expect(backboneCost(costs)).toBeLessThan(1.5 * backboneMs);
      expect(exitMs).toHaveLength(7);
      expect(exitMs.every((ms) => ms >= 0)).toBe(true);
      // Another device's file goes the same way.
      const elsewhere = parseProfile(JSON.stringify(profile));
      const there = costsFromProfile(progressive, elsewhere, new Float64Array(7).fill(0.25));
      checkCosts(there);
      expect(there.heads[0]).toBeGreaterThan(0.25);
    },
  );

  test('a profile of another model is refused', async () => {
    const profile = await profileModel(plainChain(), quick);
    expect(() => costsFromProfile(progressive, profile)).toThrow(/the profile has no layer of part/);
  });
});

describe('what an exit costs besides its head', () => {
  test('crossing bytes: one feature map at the end of a block, the skipped one as well inside it', () => {
    const bytes = crossingBytes(progressive);
    const { exits } = progressive.info;
    expect(bytes).toHaveLength(exits.length);
    const ends = exits.flatMap((exit, i) => (exit.blockEnd ? [bytes[i]!] : []));
    expect(ends.every((crossed, i) => i === 0 || crossed <= ends[i - 1]!)).toBe(true);
    exits.forEach((exit, i) => {
      if (!exit.blockEnd && exits[i + 1]?.blockEnd && exits[i - 1]?.blockEnd)
        expect(bytes[i]).toBeGreaterThan(bytes[i + 1]!);
    });
  });

  test('a fit recovers decision and rate from exact observations, whatever the designs', () => {
    const bytes = Float64Array.of(64, 128, 32, 16);
    const truth = bytes.map((crossed) => 0.004 + 0.0001 * crossed);
    const designs = [[0], [1], [2], [0, 2], [0, 1, 3]];
    const observed = designs.map((exits) => ({ exits, ms: exits.reduce((sum, exit) => sum + truth[exit]!, 0) }));
    fitExitOverhead(observed, bytes).forEach((ms, exit) => expect(ms).toBeCloseTo(truth[exit]!, 10));
  });

  test('neither part falls below 0, and exits of equal bytes share one number', () => {
    const bytes = Float64Array.of(64, 128);
    expect([
      ...fitExitOverhead(
        [
          { exits: [0], ms: -0.01 },
          { exits: [1], ms: -0.02 },
        ],
        bytes,
      ),
    ]).toEqual([0, 0]);
    // Falls as the bytes grow: the bytes explain nothing.
    const falling = fitExitOverhead(
      [
        { exits: [0], ms: 0.03 },
        { exits: [1], ms: 0.01 },
      ],
      bytes,
    );
    expect(falling[0]).toBeCloseTo(0.02, 10);
    expect(falling[1]).toBeCloseTo(0.02, 10);
    const equal = fitExitOverhead([{ exits: [0, 1], ms: 0.02 }], Float64Array.of(64, 64));
    expect(equal[0]! + equal[1]!).toBeCloseTo(0.02, 10);
    expect([...fitExitOverhead([], Float64Array.of(64))]).toEqual([0]);
  });
});

test('a design measured: both forms agree, samples leave where they did', { timeout: 60_000 }, async () => {
  const images = noise(createRandom(4), [6, 3, 12, 12], 2);
  const design = { exits: [1, 4], policy: { kind: 'margin', thresholds: 0.1 }, fallback: 'last' } as const;
  const measured = await measureDesign(progressive, design, images, { rounds: 2, warmup: 1 });
  expect(measured.disagreements).toBe(0);
  expect([...measured.exits].every((exit) => [1, 4, 7].includes(exit))).toBe(true);
  for (const form of [measured.staged, measured.baked, measured.backbone]) {
    expect(form.runs).toBe(12);
    expect(form.typicalMean).toBeGreaterThan(0);
  }
});
