/** @file The synchronous-dataflow model: the paper's example, Γq = 0, and agreement with what samples really do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidDesignError } from '../../src/exits/design.js';
import { traceDesign } from '../../src/exits/evaluate.js';
import { conditionalExitRates, forwardRates } from '../../src/exits/rates.js';
import { scoreTables } from '../../src/exits/scores.js';
import { executionRates, multiply, sdfLatency, sdfMemory, sdfModel } from '../../src/exits/sdf.js';
import { syntheticCosts, syntheticMemo } from './synthetic.js';

describe('HAPI’s worked example', () => {
  // Five layers; node 6 is the exit after layer 3 (left out), node 7 the exit after layer 2, where 80 % leave.
  const model = sdfModel({ layers: 5, after: [2, 1] }, [1], [0, 0.8]);

  it('has the printed rates, and they solve Γq = 0', () => {
    const q = executionRates(model.topology);
    [1, 1, 0.2, 0.2, 0.2, 0, 1].forEach((rate, i) => expect(q[i]).toBeCloseTo(rate, 12));
    for (const balance of multiply(model.topology, q)) expect(Math.abs(balance)).toBeLessThan(1e-12);
  });

  it('has Γ = C ⊙ R with the continue rate at the layer of the exit', () => {
    const { connectivity, expectedRates, topology } = model;
    expect([connectivity.rows, connectivity.columns]).toEqual([6, 7]);
    expect(connectivity.data[1 * 7 + 1]).toBe(1);
    expect(expectedRates.data[1 * 7 + 1]).toBeCloseTo(0.2, 12);
    expect(topology.data[1 * 7 + 2]).toBe(-1);
    // The row of the exit that was left out is empty.
    expect(Array.from(topology.data.subarray(4 * 7, 5 * 7)).every((value) => value === 0)).toBe(true);
  });

  it('has the latency qᵀl, and memory counts only what can run', () => {
    const q = executionRates(model.topology);
    expect(sdfLatency(q, [1, 2, 3, 4, 5, 100, 10])).toBeCloseTo(1 + 2 + 0.2 * 12 + 10, 12);
    expect(sdfMemory(q, [1, 2, 4, 8, 16, 32, 64])).toBe(1 + 2 + 4 + 8 + 16 + 64);
  });
});

describe('execution rates', () => {
  it('equal the forward recursion on any chain, dead ends included', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })), {
          minLength: 2,
          maxLength: 12,
        }),
        (rates) => {
          const layers = rates.length;
          const after = rates.map((_, layer) => layer).reverse();
          const chosen = after.filter((layer) => rates[layer]! > 0).map((layer) => after.indexOf(layer));
          const byCandidate = after.map((layer) => rates[layer]!);
          const { topology } = sdfModel({ layers, after }, chosen, byCandidate);
          const q = executionRates(topology);
          const forward = forwardRates(rates);
          for (let layer = 0; layer < layers; layer++) expect(q[layer]).toBeCloseTo(forward[layer]!, 12);
          for (let i = 0; i < after.length; i++)
            expect(q[layers + i]).toBeCloseTo(chosen.includes(i) ? forward[after[i]!]! : 0, 12);
          for (const balance of multiply(topology, q)) expect(Math.abs(balance)).toBeLessThan(1e-9);
        },
      ),
    );
  });

  it('equal the frequencies with which replayed samples run each part, and give the predicted latency', () => {
    const candidates = 9;
    const memo = syntheticMemo({ candidates, samples: 500, classes: 6, seed: 21 });
    const scores = scoreTables(memo);
    const costs = syntheticCosts(candidates);
    fc.assert(
      fc.property(
        fc.subarray([0, 1, 2, 3, 4, 5, 6, 7, 8], { minLength: 1 }),
        fc.double({ min: 0.2, max: 1, noNaN: true }),
        fc.boolean(),
        (exits, thresholds, truncated) => {
          const traced = traceDesign(scores, costs, {
            exits,
            policy: { kind: 'confidence', thresholds },
            fallback: 'last',
            truncated,
          });
          const conditional = conditionalExitRates(traced.exitCounts);
          const exitRates = new Float64Array(candidates);
          exits.forEach((exit, i) => (exitRates[exit] = conditional[i]!));
          const network = { layers: candidates + 1, after: Array.from({ length: candidates }, (_, i) => i) };
          const q = executionRates(sdfModel(network, exits, exitRates).topology);
          for (let part = 0; part <= candidates; part++) {
            const runs = traced.exitOf.filter((exit) => exit >= part).length / scores.samples;
            expect(Math.abs(q[part]! - runs)).toBeLessThan(1e-9);
          }
          for (let exit = 0; exit < candidates; exit++) {
            const runs = exits.includes(exit) ? traced.exitOf.filter((at) => at >= exit).length / scores.samples : 0;
            expect(Math.abs(q[candidates + 1 + exit]! - runs)).toBeLessThan(1e-9);
          }
          const latencies = [...costs.segments, ...costs.heads.subarray(0, candidates)];
          expect(sdfLatency(q, latencies)).toBeCloseTo(traced.latency.average, 9);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuse candidates on no layer and rates outside 0 … 1', () => {
    expect(() => sdfModel({ layers: 3, after: [3] }, [0], [0.5])).toThrow(InvalidDesignError);
    expect(() => sdfModel({ layers: 3, after: [1] }, [0], [1.5])).toThrow(InvalidDesignError);
  });
});
