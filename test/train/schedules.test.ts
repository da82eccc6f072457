/** @file Schedules against PyTorch's, and warm-up. */
import { describe, expect, it } from 'vitest';
import {
  constant,
  cosine,
  linear,
  oneCycle,
  scheduleNames,
  scheduleOf,
  stepDecay,
  withWarmUp,
  type Schedule,
} from '../../src/train/index.js';
import { fixture } from './reference-net.js';

const valuesOf = (schedule: Schedule, totalSteps: number, stepsPerEpoch = 1): number[] =>
  Array.from({ length: totalSteps }, (_, step) => schedule({ step, totalSteps, stepsPerEpoch }));

describe('as in torch.optim.lr_scheduler', () => {
  const cases: Readonly<Record<string, Schedule>> = {
    oneCycle: oneCycle(0.4),
    cosine: cosine(0.4, 0.01),
    step: stepDecay(0.4, [10, 20], 0.2),
    linear: linear(0.4, 0.04),
  };
  it.each(Object.keys(cases))('%s', (name) => {
    const recorded = fixture.schedules[name]!;
    const values = valuesOf(cases[name]!, 37);
    recorded.forEach((value, step) => expect(values[step]).toBeCloseTo(value, 7));
  });
});

describe('warm-up', () => {
  it('rises linearly, then runs the whole schedule over the rest', () => {
    const values = valuesOf(withWarmUp(linear(1, 0), 4), 15);
    [0.2, 0.4, 0.6, 0.8, 1, 0.9].forEach((value, step) => expect(values[step]).toBeCloseTo(value, 10));
    expect(values.at(-1)).toBeCloseTo(0, 10);
  });
});

describe('by name', () => {
  it.each(scheduleNames)('%s stays between 0 and its peak', (name) => {
    const values = valuesOf(scheduleOf(name, 0.3, 8), 80, 10);
    expect(Math.max(...values)).toBeCloseTo(0.3, 2);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  });

  it('step divides by ten at half and at three quarters', () => {
    const values = valuesOf(scheduleOf('step', 1, 8), 80, 10);
    expect([values[39], values[40], values[60]]).toEqual([1, 0.1, expect.closeTo(0.01, 10)]);
    expect(valuesOf(constant(2), 2)).toEqual([2, 2]);
  });
});
