/** @file Learning-rate schedules: pure functions of the step. */

/** Where training stands. Steps count from 0; `totalSteps` is the length of the whole training. */
export interface Progress {
  readonly step: number;
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
}

/** The value of a hyper-parameter (learning rate, momentum, a loss weight) at a step. */
export type Schedule = (progress: Progress) => number;

/** The same value throughout. */
export function constant(value: number): Schedule {
  return () => value;
}

/** Multiplies by `gamma` at each milestone, given in epochs (torch.optim.lr_scheduler.MultiStepLR). */
export function stepDecay(value: number, milestones: readonly number[], gamma = 0.1): Schedule {
  return ({ step, stepsPerEpoch }) => {
    const epoch = step / stepsPerEpoch;
    return value * gamma ** milestones.filter((milestone) => epoch >= milestone).length;
  };
}

/** From `start` to `end` in a straight line over the whole training; the last step has `end`. */
export function linear(start: number, end = 0): Schedule {
  return ({ step, totalSteps }) => start + (end - start) * fraction(step, totalSteps - 1);
}

/** From `start` down to `end` along half a cosine (Loshchilov and Hutter 2017, eq. 5, one cycle over all steps). */
export function cosine(start: number, end = 0): Schedule {
  return ({ step, totalSteps }) => annealed(start, end, fraction(step, totalSteps));
}

export interface OneCycleOptions {
  /** Share of the steps on which the value rises. */
  readonly rise?: number;
  /** max / start. */
  readonly divideBy?: number;
  /** start / end. */
  readonly finalDivideBy?: number;
}

/** One cycle (Smith and Topin 2019): up to `max` and down again along half cosines, as torch.optim's OneCycleLR. */
export function oneCycle(max: number, options: OneCycleOptions = {}): Schedule {
  const { rise = 0.3, divideBy = 25, finalDivideBy = 1e4 } = options;
  const start = max / divideBy;
  return ({ step, totalSteps }) => {
    const peak = rise * totalSteps - 1;
    const last = totalSteps - 1;
    return step <= peak
      ? annealed(start, max, fraction(step, peak))
      : annealed(max, start / finalDivideBy, fraction(step - peak, last - peak));
  };
}

/**
 * Rises linearly over the first `steps` steps to where the schedule begins, which then runs over the rest: step
 * `i` of the warm-up has (i + 1) / (steps + 1) of the schedule's first value.
 */
export function withWarmUp(schedule: Schedule, steps: number): Schedule {
  return ({ step, totalSteps, stepsPerEpoch }) => {
    const rest = Math.max(1, totalSteps - steps);
    if (step >= steps) return schedule({ step: step - steps, totalSteps: rest, stepsPerEpoch });
    return (schedule({ step: 0, totalSteps: rest, stepsPerEpoch }) * (step + 1)) / (steps + 1);
  };
}

/** Schedule names of the command line. */
export const scheduleNames = ['constant', 'step', 'linear', 'cosine', 'one-cycle'] as const;
export type ScheduleName = (typeof scheduleNames)[number];

/** The schedule of that name around a peak value; `step` divides by 10 at half and at three quarters of the epochs. */
export function scheduleOf(name: ScheduleName, peak: number, epochs: number): Schedule {
  switch (name) {
    case 'constant':
      return constant(peak);
    case 'step':
      return stepDecay(peak, [epochs / 2, (epochs * 3) / 4]);
    case 'linear':
      return linear(peak);
    case 'cosine':
      return cosine(peak);
    case 'one-cycle':
      return oneCycle(peak);
  }
}

function fraction(step: number, length: number): number {
  return length <= 0 ? 1 : Math.min(1, Math.max(0, step / length));
}

function annealed(start: number, end: number, share: number): number {
  return end + ((start - end) / 2) * (1 + Math.cos(Math.PI * share));
}
