/** @file The metrics of every configuration under the present conditions (SPINN §4.4, DynO §4.3): one loop each over the tables. */
import { SchedulerError } from './errors.js';
import type { SplitTables } from './tables.js';

/**
 * - `latency`: ms from input to answer, mean over samples.
 * - `throughput`: samples per second when device, link and server work at the same time: the slowest stage decides.
 * - `server`, `device`: ms of compute per sample on that side, packing included.
 * - `accuracy`: 0 to 1.
 * - `energy`: mJ of the device per sample, where its power is known.
 */
export type Metric = 'latency' | 'throughput' | 'server' | 'device' | 'accuracy' | 'energy';

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

/** A metric of all configurations, in the order cut, threshold, bit-width. Throws SchedulerError for unknown energy. */
export function metricOf(tables: SplitTables, conditions: Conditions, metric: Metric): Float64Array {
  if (metric === 'accuracy') return tables.accuracy;
  if (metric === 'energy' && tables.power === undefined)
    throw new SchedulerError(
      "the device's power is not known",
      'State watts (power) in the tables, or leave energy out.',
    );
  const [C, T, B] = [tables.cuts.length, tables.thresholds.length, tables.bits.length];
  const { deviceScale, serverScale, latencyMs, bytesPerMs } = conditions;
  const { compute = 0, send = 0, idle = 0 } = tables.power ?? {};
  const values = new Float64Array(C * T * B);
  for (let c = 0, i = 0; c < C; c++)
    for (let t = 0; t < T; t++) {
      const row = c * T + t;
      const sent = tables.sent[row]!;
      for (let b = 0; b < B; b++, i++) {
        const packed = c * B + b;
        const device = deviceScale * (tables.deviceMs[row]! + sent * tables.packMs[packed]!);
        const server = serverScale * (tables.serverMs[row]! + sent * tables.unpackMs[packed]!);
        // Without a link whatever sends takes for ever; what does not send is not concerned.
        const link = sent === 0 ? 0 : (sent * (tables.bytes[packed]! + tables.responseBytes)) / bytesPerMs;
        const wait = sent === 0 ? 0 : sent * latencyMs;
        switch (metric) {
          case 'latency':
            values[i] = device + wait + link + server;
            break;
          case 'throughput':
            values[i] = 1000 / Math.max(device, link, server);
            break;
          case 'device':
            values[i] = device;
            break;
          case 'server':
            values[i] = server;
            break;
          case 'energy':
            // A power of 0 stays 0, however long the link takes.
            values[i] = compute * device + (send === 0 ? 0 : send * link) + idle * (wait + server);
        }
      }
    }
  return values;
}
