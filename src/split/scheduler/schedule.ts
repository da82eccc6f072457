/**
 * @file The scheduler: the best ⟨cut, rule, bit-width⟩ under prioritised hard constraints and soft targets. All
 * configurations are looked at, metric by metric over plain arrays (SPINN algorithm 1, DynO algorithm 2).
 */
import { SchedulerError } from './errors.js';
import { Metrics, type Conditions, type Metric } from './metrics.js';
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
  readonly rule: number;
  readonly bits: number;
  /** Number of the configuration: (cut · R + rule) · B + bits. */
  readonly index: number;
  /** Constraints that no configuration could meet besides those before them; empty where all are met. */
  readonly unmet: readonly Constraint[];
  /** Predicted; energy and the 95th percentile of the latency where they are known. */
  readonly metrics: Readonly<Record<Exclude<Metric, 'energy' | 'latency95'>, number>> & {
    readonly energy: number | undefined;
    readonly latency95: number | undefined;
  };
}

/**
 * Schedules many times over the same tables: they are checked once, and memory is taken once. Ties go to the configuration
 * with the lowest number. Throws SchedulerError where the tables do not fit.
 */
export class Scheduler {
  readonly tables: SplitTables;
  readonly #metrics: Metrics;
  /** The configurations that are left, in the first places. */
  readonly #left: Int32Array;
  /** Distances of those that are left. */
  readonly #away: Float64Array;

  constructor(tables: SplitTables) {
    checkTables(tables);
    this.tables = tables;
    this.#metrics = new Metrics(tables);
    this.#left = new Int32Array(tables.accuracy.length);
    this.#away = new Float64Array(tables.accuracy.length);
  }

  /** The best configuration under these conditions. Throws SchedulerError for goals or conditions that make no sense. */
  decide(goals: Goals, conditions: Conditions): Decision {
    checkGoals(goals);
    checkConditions(conditions);
    const known = new Map<Metric, Float64Array>();
    const column = (metric: Metric): Float64Array => {
      let values = known.get(metric);
      if (values === undefined) known.set(metric, (values = this.#metrics.column(metric, conditions)));
      return values;
    };
    const left = this.#left;
    let count = left.length;
    for (let i = 0; i < count; i++) left[i] = i;
    const { constraints, targets, infeasible = 'relax' } = goals;
    let unmet: readonly Constraint[] = [];
    for (const [place, constraint] of constraints.entries()) {
      const met = keepMet(left, count, column(constraint.metric), constraint);
      if (met > 0) {
        count = met;
        continue;
      }
      unmet = infeasible === 'closest' ? [constraint] : constraints.slice(place);
      break;
    }
    const away = this.#away;
    for (const constraint of unmet) {
      violations(away, left, count, column(constraint.metric), constraint);
      count = keepNearest(left, count, away, 0);
    }
    for (const target of targets) {
      distances(away, left, count, column(target.metric), target.goal);
      count = keepNearest(left, count, away, target.tolerance ?? 0);
    }
    return this.#decision(left[0]!, unmet, column);
  }

  #decision(index: number, unmet: readonly Constraint[], column: (metric: Metric) => Float64Array): Decision {
    const { rules, bits, power, tail } = this.tables;
    const value = (metric: Metric): number => column(metric)[index]!;
    return {
      cut: Math.floor(index / (rules.length * bits.length)),
      rule: Math.floor(index / bits.length) % rules.length,
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
        latency95: tail === undefined ? undefined : value('latency95'),
      },
    };
  }
}

/** Moves the configurations that meet a constraint to the front, in their order, and counts them; with none, nothing moves. */
function keepMet(left: Int32Array, count: number, values: Float64Array, { op, value }: Constraint): number {
  let met = 0;
  if (op === '<=') {
    for (let i = 0; i < count; i++) if (values[left[i]!]! <= value) left[met++] = left[i]!;
  } else {
    for (let i = 0; i < count; i++) if (values[left[i]!]! >= value) left[met++] = left[i]!;
  }
  return met;
}

/** How much each configuration misses a constraint by. */
function violations(
  away: Float64Array,
  left: Int32Array,
  count: number,
  values: Float64Array,
  { op, value }: Constraint,
): void {
  const sign = op === '<=' ? 1 : -1;
  for (let i = 0; i < count; i++) away[i] = Math.max(0, sign * (values[left[i]!]! - value));
}

/** What each configuration should have little of to come near a goal. */
function distances(
  away: Float64Array,
  left: Int32Array,
  count: number,
  values: Float64Array,
  goal: Target['goal'],
): void {
  if (goal === 'min') for (let i = 0; i < count; i++) away[i] = values[left[i]!]!;
  else if (goal === 'max') for (let i = 0; i < count; i++) away[i] = -values[left[i]!]!;
  else for (let i = 0; i < count; i++) away[i] = Math.abs(values[left[i]!]! - goal);
}

/** Keeps those whose distance is within a tolerance of the least, in their order, and counts them. */
function keepNearest(left: Int32Array, count: number, away: Float64Array, tolerance: number): number {
  let least = Infinity;
  for (let i = 0; i < count; i++) if (away[i]! < least) least = away[i]!;
  const limit = least + tolerance;
  let kept = 0;
  for (let i = 0; i < count; i++) if (away[i]! <= limit) left[kept++] = left[i]!;
  return kept;
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
