/** @file Openings of one configuration → what is reported of it: typical time with interval, spread, noise; drift of a sustained run. */
import { summarise } from '../../runtime/index.js';
import { trendOf } from '../rank.js';
import { median, typicalInterval, variation } from '../statistics.js';
import type { ColdStart } from './child-protocol.js';
import type { Opening, Window } from './opening.js';
import type { BenchEntry, BenchOpening, NoiseKind, Sustained } from './schema.js';

/** From where on figures are called noisy. */
export const noiseLimits = {
  /** Coefficient of variation inside an opening. */
  cv: 0.05,
  /** Coefficient of variation of the openings' medians. */
  spread: 0.1,
  /** Share of all cores that others take. */
  background: 0.05,
  /** Counted runs of an opening. */
  runs: 10,
} as const;

/** One opening with what only a process of its own can tell. */
export interface MeasuredOpening extends Opening {
  readonly cold?: Omit<ColdStart, 'loadMs' | 'firstMs'>;
  readonly memory?: BenchEntry['memory'];
}

/** Everything of an entry that follows from its openings (at least one). `samples` keeps every run in the result. */
export function summariseOpenings(
  openings: readonly MeasuredOpening[],
  { batch, samples = false }: { readonly batch: number; readonly samples?: boolean },
): Omit<BenchEntry, 'model' | 'configuration' | 'accuracy' | 'sustained'> {
  const listed = openings.map((opening) => describeOpening(opening, samples));
  const typicalMs = typicalInterval(openings.map((opening) => opening.samples));
  const known = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined);
  const background = median(known(openings.map((opening) => opening.background)));
  const cold = known(listed.map(({ coldStartMs }) => coldStartMs));
  const memory = known(openings.map((opening) => opening.memory));
  const cv = median(listed.map((opening) => opening.cv));
  const spread = variation(listed.map(({ p50 }) => p50));
  const noise: NoiseKind[] = [];
  if (cv >= noiseLimits.cv) noise.push('unsteady');
  if (spread >= noiseLimits.spread) noise.push('openings-differ');
  if (background >= noiseLimits.background) noise.push('busy-machine');
  if (listed.some(({ runs }) => runs < noiseLimits.runs)) noise.push('few-runs');
  return {
    typicalMs,
    latencyMs: summarise(openings.flatMap((opening) => Array.from(opening.samples))),
    ...{ cv, spread, throughput: (1000 * batch) / typicalMs.value },
    ...(cold.length > 0 && { coldStartMs: median(cold) }),
    loadMs: median(listed.map(({ loadMs }) => loadMs)),
    firstMs: median(listed.map(({ firstMs }) => firstMs)),
    ...(memory.length > 0 && {
      memory: {
        peakResidentBytes: Math.max(...memory.map(({ peakResidentBytes }) => peakResidentBytes)),
        addedBytes: Math.max(...memory.map(({ addedBytes }) => addedBytes)),
      },
    }),
    ...(Number.isFinite(background) && { background }),
    noise,
    remarks: [...new Set(openings.flatMap(({ remarks }) => remarks))],
    openings: listed,
  };
}

function describeOpening(opening: MeasuredOpening, samples: boolean): BenchOpening {
  const { loadMs, firstMs, cv, cold, background, memory } = opening;
  return {
    ...{ p50: median(Array.from(opening.samples)), cv, runs: opening.samples.length, loadMs, firstMs },
    ...(cold && { coldStartMs: cold.processMs + cold.runtimeMs + cold.readMs + loadMs + firstMs, ...cold }),
    ...(background !== undefined && { background }),
    ...(memory && { memory }),
    ...(samples && { samples: Array.from(opening.samples) }),
  };
}

/** A change is a drift from here on, where the trend is no accident either (p < 0.05). */
const DRIFT = 0.03;

/** Summarises a sustained run's curve: first stretch against last, slope, whether that is a drift. Needs at least one window. */
export function summariseSustained(curve: readonly Window[], seconds: number, windowSeconds: number): Sustained {
  const stretchSeconds = Math.min(60, seconds / 4);
  const end = curve.at(-1)!.at;
  const typicalOf = (windows: readonly Window[]): number => median(windows.map(({ p50 }) => p50));
  const firstMs = typicalOf(curve.filter(({ at }, i) => i === 0 || at <= stretchSeconds));
  const lastMs = typicalOf(curve.filter(({ at }, i) => i === curve.length - 1 || at >= end - stretchSeconds));
  const change = lastMs / firstMs - 1;
  const { slope, p } = trendOf(curve.map(({ p50 }) => p50));
  const drifts = p < 0.05 && Math.abs(change) >= DRIFT && Math.sign(slope) === Math.sign(change);
  return {
    ...{ seconds, windowSeconds, curve: [...curve], stretchSeconds, firstMs, lastMs, change },
    slopePerMinute: ((slope / firstMs) * 60) / windowSeconds,
    p,
    verdict: !drifts ? 'steady' : change > 0 ? 'slower' : 'faster',
  };
}
