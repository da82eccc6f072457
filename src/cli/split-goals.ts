/** @file Options that say what the scheduler of a split network is to reach: `--require latency<=50ms`, `--minimise server` … */
import { z } from 'zod';
import type { Constraint, Goals, Metric, Target } from '../split/index.js';
import { UsageError } from './verb.js';

const METRICS: readonly Metric[] = ['latency', 'latency95', 'throughput', 'server', 'device', 'accuracy', 'energy'];

/** Units that may follow a number, by metric, and what they multiply it by. */
const UNITS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ms: { ms: 1, s: 1000, '': 1 },
  share: { '%': 0.01, '': 1 },
  plain: { '': 1, '/s': 1, fps: 1, mJ: 1 },
};

const unitsOf = (metric: Metric): Readonly<Record<string, number>> =>
  metric === 'accuracy' ? UNITS.share! : metric === 'throughput' || metric === 'energy' ? UNITS.plain! : UNITS.ms!;

/** `--require`, `--target`, `--minimise`, `--maximise`, `--infeasible`. */
export const goalFlags = [
  [
    '--require <bound...>',
    'hard constraints, first ones first: latency<=50ms, latency95<=80ms, accuracy>=0.9, server<=5ms, throughput>=30, device, energy',
  ],
  ['--target <value...>', 'come as near as can be to a value: accuracy>=0.9, latency<=20ms'],
  ['--minimise <metric...>', 'soft targets, after --target: latency, latency95, server, device, energy'],
  ['--maximise <metric...>', 'soft targets, after --minimise: throughput, accuracy'],
  [
    '--infeasible <what>',
    'where a constraint cannot be met: relax it and those behind it into soft targets (default relax), or take the closest',
  ],
] as const;

const many = z.union([z.array(z.string()), z.string()]).transform((value) => [value].flat());
const list = many.optional();

export const goalOptions = {
  require: list,
  target: list,
  minimise: list,
  maximise: list,
  infeasible: z.enum(['relax', 'closest']).default('relax'),
};

type Given = z.infer<z.ZodObject<typeof goalOptions>>;

/**
 * The goals that the options state; the least latency where they state no target. Throws UsageError for what is no bound
 * or metric.
 */
export function goalsGiven({ require = [], target = [], minimise = [], maximise = [], infeasible }: Given): Goals {
  const targets: readonly Target[] = [
    ...target.map((text): Target => {
      const { metric, value } = boundOf(text);
      return { metric, goal: value };
    }),
    ...minimise.map((metric): Target => ({ metric: metricOf(metric), goal: 'min' })),
    ...maximise.map((metric): Target => ({ metric: metricOf(metric), goal: 'max' })),
  ];
  return {
    constraints: require.map(boundOf),
    targets: targets.length > 0 ? targets : [{ metric: 'latency', goal: 'min' }],
    infeasible,
  };
}

function metricOf(text: string): Metric {
  const metric = METRICS.find((known) => known === text);
  if (metric === undefined)
    throw new UsageError(`there is no metric '${text}'`, `Choose one of ${METRICS.join(', ')}.`);
  return metric;
}

function boundOf(text: string): Constraint {
  const match = /^([a-z0-9]+)(<=|>=)([0-9.eE+-]+)\s*([a-zA-Z/%]*)$/.exec(text.replaceAll(' ', ''));
  if (match === null)
    throw new UsageError(`'${text}' is no bound`, 'Write a metric, <= or >=, and a number: latency<=50ms.');
  const metric = metricOf(match[1]!);
  const factor = unitsOf(metric)[match[4]!];
  const value = Number(match[3]) * (factor ?? NaN);
  if (Number.isNaN(value))
    throw new UsageError(
      `'${match[3]}${match[4]}' is no amount of ${metric}`,
      `Units: ${Object.keys(unitsOf(metric)).join(' ')}`,
    );
  return { metric, op: match[2] as Constraint['op'], value };
}
