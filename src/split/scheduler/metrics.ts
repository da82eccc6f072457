/** @file The metrics of every configuration under the present conditions (SPINN §4.4, DynO §4.3): one loop each over plain arrays. */
import { SchedulerError } from './errors.js';
import type { SplitTables } from './tables.js';

/**
 * - `latency`: ms from input to answer, mean over samples.
 * - `latency95`: the same for the 95th percentile of the samples; the tables must hold `tail`.
 * - `throughput`: samples per second when device, link and server work at the same time: the slowest stage decides.
 * - `server`, `device`: ms of compute per sample on that side, packing included.
 * - `accuracy`: 0 to 1.
 * - `energy`: mJ of the device per sample, where its power is known.
 */
export type Metric = 'latency' | 'latency95' | 'throughput' | 'server' | 'device' | 'accuracy' | 'energy';

/** What the profiler knows of this moment. */
export interface Conditions {
  /** Device time now over device time offline. */
  readonly deviceScale: number;
  readonly serverScale: number;
  /** Milliseconds that a message of no bytes takes, there and back. */
  readonly latencyMs: number;
  /** Bytes per millisecond; 0 while there is no link. */
  readonly bytesPerMs: number;
}

/** Work of every configuration at scale 1: what conditions scale and add up. */
interface Work {
  /** Ms on either side, packing included. */
  readonly device: Float64Array;
  readonly server: Float64Array;
  /** Share of the samples that are sent, and bytes over the link per sample. */
  readonly sent: Float64Array;
  readonly bytes: Float64Array;
}

/** Metrics over the same tables, many times: what does not depend on the conditions is worked out once. */
export class Metrics {
  readonly #tables: SplitTables;
  readonly #mean: Work;
  readonly #tail: Work | undefined;
  /** One column per metric, written again at each call. */
  readonly #columns = new Map<Metric, Float64Array>();

  constructor(tables: SplitTables) {
    this.#tables = tables;
    this.#mean = workOf(tables, tables);
    this.#tail = tables.tail && workOf(tables, tables.tail);
  }

  /**
   * A metric of all configurations, in the order cut, rule, bit-width. The next call for the same metric writes into
   * the same memory. Throws SchedulerError for what the tables do not know.
   */
  column(metric: Metric, conditions: Conditions): Float64Array {
    if (metric === 'accuracy') return this.#tables.accuracy;
    let values = this.#columns.get(metric);
    if (values === undefined) this.#columns.set(metric, (values = new Float64Array(this.#tables.accuracy.length)));
    this.#fill(values, metric, conditions);
    return values;
  }

  #fill(values: Float64Array, metric: Exclude<Metric, 'accuracy'>, conditions: Conditions): void {
    switch (metric) {
      case 'device':
        return scale(values, this.#mean.device, conditions.deviceScale);
      case 'server':
        return scale(values, this.#mean.server, conditions.serverScale);
      case 'latency':
        return latency(values, this.#mean, conditions);
      case 'latency95':
        if (this.#tail === undefined)
          throw new SchedulerError(
            'the tables say nothing of the 95th percentile',
            'Make them with splitTables, or use the mean latency.',
          );
        return latency(values, this.#tail, conditions);
      case 'throughput':
        return throughput(values, this.#mean, conditions);
      case 'energy':
        return energy(values, this.#mean, conditions, this.#tables.power);
    }
  }
}

function workOf(
  { cuts, rules, bits, bytes, packMs, unpackMs, responseBytes }: SplitTables,
  { deviceMs, sent, serverMs }: Pick<SplitTables, 'deviceMs' | 'sent' | 'serverMs'>,
): Work {
  const [C, R, B] = [cuts.length, rules.length, bits.length];
  const column = (): Float64Array => new Float64Array(C * R * B);
  const work = { device: column(), server: column(), sent: column(), bytes: column() };
  for (let c = 0, i = 0; c < C; c++)
    for (let r = 0; r < R; r++) {
      const row = c * R + r;
      const share = sent[row]!;
      for (let b = 0; b < B; b++, i++) {
        const packed = c * B + b;
        work.device[i] = deviceMs[row]! + share * packMs[packed]!;
        work.server[i] = serverMs[i]! + share * unpackMs[packed]!;
        work.sent[i] = share;
        work.bytes[i] = share * (bytes[packed]! + responseBytes);
      }
    }
  return work;
}

function scale(values: Float64Array, work: Float64Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i] = factor * work[i]!;
}

// Without a link whatever sends takes for ever; what does not send is not concerned: 0 bytes / 0 bytes per ms is 0 ms here.

function latency(values: Float64Array, { device, server, sent, bytes }: Work, conditions: Conditions): void {
  const { deviceScale, serverScale, latencyMs, bytesPerMs } = conditions;
  for (let i = 0; i < values.length; i++) {
    const link = bytes[i] === 0 ? 0 : bytes[i]! / bytesPerMs;
    values[i] = deviceScale * device[i]! + sent[i]! * latencyMs + link + serverScale * server[i]!;
  }
}

function throughput(values: Float64Array, { device, server, bytes }: Work, conditions: Conditions): void {
  const { deviceScale, serverScale, bytesPerMs } = conditions;
  for (let i = 0; i < values.length; i++) {
    const link = bytes[i] === 0 ? 0 : bytes[i]! / bytesPerMs;
    let slowest = deviceScale * device[i]!;
    const remote = serverScale * server[i]!;
    if (link > slowest) slowest = link;
    if (remote > slowest) slowest = remote;
    values[i] = 1000 / slowest;
  }
}

function energy(
  values: Float64Array,
  { device, server, sent, bytes }: Work,
  { deviceScale, serverScale, latencyMs, bytesPerMs }: Conditions,
  power: SplitTables['power'],
): void {
  if (power === undefined)
    throw new SchedulerError(
      "the device's power is not known",
      'State watts (power) in the tables, or leave energy out.',
    );
  const { compute, send, idle } = power;
  for (let i = 0; i < values.length; i++) {
    // A power of 0 stays 0, however long the link takes.
    const link = send === 0 || bytes[i] === 0 ? 0 : send * (bytes[i]! / bytesPerMs);
    values[i] = compute * (deviceScale * device[i]!) + link + idle * (sent[i]! * latencyMs + serverScale * server[i]!);
  }
}
