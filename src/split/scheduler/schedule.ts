/**
 * @file The scheduler: the best ⟨cut, threshold, bit-width⟩ under prioritised hard constraints and soft targets. All
 * configurations are looked at, metric by metric over plain arrays (SPINN algorithm 1, DynO algorithm 2).
 */
import { SchedulerError } from './errors.js';
import { metricOf, type Conditions, type Metric } from './metrics.js';
import { checkTables, type SplitTables } from './tables.js';

/** A hard constraint; earlier ones matter more. */
export interface Constraint {
  readonly metric: Metric;
  readonly op: '<=' | '>=';
  readonly value: number;
}

/** A soft target; earlier ones matter more. */
export interface Target {
  readonly metric: Metric;
  /** Least, most, or as near to a number as can be. */
  readonly goal: 'min' | 'max' | number;
  /**
   * How far from the best a configuration may be and still count as equally good, for the targets behind: in the metric's
   * unit. With 0, the default, later targets decide only among exact equals.
   */
  readonly tolerance?: number;
}

/** What is asked for. */
export interface Goals {
  readonly constraints: readonly Constraint[];
  readonly targets: readonly Target[];
  /**
   * What happens where a constraint leaves nothing. `relax` (SPINN, the default): it and those behind it become soft
   * targets, before the given ones. `closest` (DynO): the configuration nearest to meeting it is the answer.
   */
  readonly infeasible?: 'relax' | 'closest';
}

/** The scheduler's answer. */
export interface Decision {
  /** Places in the tables' lists. */
  readonly cut: number;
  readonly threshold: number;
  readonly bits: number;
  /** Number of the configuration: (cut · T + threshold) · B + bits. */
  readonly index: number;
  /** Constraints that no configuration could meet besides those before them; empty where all are met. */
  readonly unmet: readonly Constraint[];
  /** Predicted; energy where it is known. */
  readonly metrics: Readonly<Record<Exclude<Metric, 'energy'>, number>> & { readonly energy: number | undefined };
}

/**
 * Schedules many times over the same tables: they are checked once. Ties go to the configuration with the lowest number.
 * Throws SchedulerError where the tables do not fit.
 */
export class Scheduler {
  readonly tables: SplitTables;

  constructor(tables: SplitTables) {
    checkTables(tables);
    this.tables = tables;
  }

  /** The best configuration under these conditions. Throws SchedulerError for goals or conditions that make no sense. */
  decide(goals: Goals, conditions: Conditions): Decision {
    checkGoals(goals);
    checkConditions(conditions);
    const known = new Map<Metric, Float64Array>();
    const column = (metric: Metric): Float64Array => {
      let values = known.get(metric);
      if (values === undefined) known.set(metric, (values = metricOf(this.tables, conditions, metric)));
      return values;
    };
    let left = Int32Array.from({ length: this.tables.accuracy.length }, (_, index) => index);
    const { constraints, targets, infeasible = 'relax' } = goals;
    let unmet: readonly Constraint[] = [];
    for (const [place, constraint] of constraints.entries()) {
      const values = column(constraint.metric);
      const { value } = constraint;
      const met =
        constraint.op === '<='
          ? left.filter((index) => values[index]! <= value)
          : left.filter((index) => values[index]! >= value);
      if (met.length > 0) {
        left = met;
        continue;
      }
      unmet = infeasible === 'closest' ? [constraint] : constraints.slice(place);
      break;
    }
    for (const constraint of unmet) left = nearest(left, violation(column(constraint.metric), left, constraint), 0);
    for (const target of targets)
      left = nearest(left, distance(column(target.metric), left, target.goal), target.tolerance ?? 0);
    return this.#decision(left[0]!, unmet, column);
  }

  #decision(index: number, unmet: readonly Constraint[], column: (metric: Metric) => Float64Array): Decision {
    const { thresholds, bits, power } = this.tables;
    const value = (metric: Metric): number => column(metric)[index]!;
    return {
      cut: Math.floor(index / (thresholds.length * bits.length)),
      threshold: Math.floor(index / bits.length) % thresholds.length,
      bits: index % bits.length,
      index,
      unmet,
      metrics: {
        latency: value('latency'),
        throughput: value('throughput'),
        server: value('server'),
        device: value('device'),
        accuracy: value('accuracy'),
        energy: power === undefined ? undefined : value('energy'),
      },
    };
  }
}

/** How much each configuration misses a constraint by. */
function violation(values: Float64Array, left: Int32Array, { op, value }: Constraint): Float64Array {
  const missed = new Float64Array(left.length);
  const sign = op === '<=' ? 1 : -1;
  for (let i = 0; i < left.length; i++) missed[i] = Math.max(0, sign * (values[left[i]!]! - value));
  return missed;
}

/** What each configuration should have little of to come near a goal. */
function distance(values: Float64Array, left: Int32Array, goal: Target['goal']): Float64Array {
  const away = new Float64Array(left.length);
  for (let i = 0; i < left.length; i++) {
    const value = values[left[i]!]!;
    away[i] = goal === 'min' ? value : goal === 'max' ? -value : Math.abs(value - goal);
  }
  return away;
}

/** Those whose distance is within a tolerance of the least. */
function nearest(left: Int32Array, distances: Float64Array, tolerance: number): Int32Array<ArrayBuffer> {
  let least = Infinity;
  for (const value of distances) if (value < least) least = value;
  const limit = least + tolerance;
  return Int32Array.from(left).filter((_, i) => distances[i]! <= limit);
}

function checkGoals({ constraints, targets }: Goals): void {
  for (const { metric, op, value } of constraints)
    if (Number.isNaN(value)) throw new SchedulerError(`the constraint ${metric} ${op} ${value} is no constraint`);
  for (const { metric, goal, tolerance = 0 } of targets)
    if (!(tolerance >= 0) || (typeof goal === 'number' && !Number.isFinite(goal)))
      throw new SchedulerError(`the target on ${metric} has goal ${goal} and tolerance ${tolerance}`);
}

function checkConditions({ deviceScale, serverScale, latencyMs, bytesPerMs }: Conditions): void {
  if (!(deviceScale > 0 && serverScale > 0 && latencyMs >= 0 && bytesPerMs >= 0))
    throw new SchedulerError(
      `scales ${deviceScale} and ${serverScale}, latency ${latencyMs} ms and ${bytesPerMs} bytes/ms are no conditions`,
    );
}
