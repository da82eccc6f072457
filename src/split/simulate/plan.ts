/** @file A plan: how a split network serves every sample, and what that costs under given conditions. */
import type { Conditions } from '../scheduler/metrics.js';
import type { ExitRule } from '../scheduler/rule.js';
import { cutServed, type SplitProfile } from '../profiler/split-profile.js';
import { outcomeAt, packedAt, pathCosts } from '../profiler/split-tables.js';

/** What happens to the samples that stop at one exit. Times at scale 1, ms; a part that does not happen is 0. */
export interface SamplePath {
  /** Share of all samples, 0 to 1. */
  readonly share: number;
  /** Device compute before sending, packing included. */
  readonly deviceMs: number;
  /** Bytes to the server; 0 where nothing is sent. */
  readonly upBytes: number;
  /** Server compute, unpacking included. */
  readonly serverMs: number;
  /** Bytes back. */
  readonly downBytes: number;
  /** Device compute on what came back (Edgent, where the server runs the first part). */
  readonly afterMs: number;
}

/** One configuration of one policy. */
export interface Plan {
  readonly cut: number;
  /** When samples leave. */
  readonly rule: ExitRule;
  /** Bits of what is sent. */
  readonly bits: number;
  readonly accuracy: number;
  /** Whether device, link and server work on different frames at the same time. */
  readonly pipelined: boolean;
  readonly paths: readonly SamplePath[];
}

/** What a plan costs: means over samples, and the 95th percentile of the latency. */
export interface PlanCost {
  readonly latency: number;
  readonly latency95: number;
  /** Samples per second. */
  readonly throughput: number;
  readonly server: number;
  readonly device: number;
  readonly accuracy: number;
}

/** The plan of a configuration of the scheduler's tables. Throws SchedulerError for one that was not measured. */
export function planOf(profile: SplitProfile, { bits, rule, ...asked }: Pick<Plan, 'cut' | 'rule' | 'bits'>): Plan {
  const cut = cutServed(profile, asked.cut, rule);
  const row = packedAt(profile, cut, bits);
  const { accuracy, stops } = outcomeAt(profile, row, rule);
  const costs = pathCosts(profile, profile, cut, rule);
  return {
    ...{ cut, rule, bits, accuracy, pipelined: true },
    paths: costs.map(({ deviceMs, serverMs, sent }, exit) => ({
      share: stops[exit]!,
      deviceMs: deviceMs + (sent ? row!.packMs : 0),
      upBytes: sent ? row!.bytes : 0,
      serverMs: serverMs + (sent ? row!.unpackMs : 0),
      downBytes: sent ? profile.responseBytes : 0,
      afterMs: 0,
    })),
  };
}

/** What a plan costs under fixed conditions, with no queue but its own. */
export function costOf({ paths, accuracy, pipelined }: Plan, conditions: Conditions): PlanCost {
  const { deviceScale, serverScale, latencyMs, bytesPerMs } = conditions;
  const cost = { latency: 0, device: 0, server: 0, link: 0 };
  const latencies: { readonly share: number; readonly ms: number }[] = [];
  for (const path of paths) {
    if (path.share === 0) continue;
    const device = deviceScale * (path.deviceMs + path.afterMs);
    const server = serverScale * path.serverMs;
    const link = path.upBytes === 0 ? 0 : (path.upBytes + path.downBytes) / bytesPerMs;
    const ms = device + server + link + (path.upBytes === 0 ? 0 : latencyMs);
    latencies.push({ share: path.share, ms });
    cost.latency += path.share * ms;
    cost.device += path.share * device;
    cost.server += path.share * server;
    cost.link += path.share * link;
  }
  latencies.sort((a, b) => a.ms - b.ms);
  let reached = 0;
  const slow = latencies.find(({ share }) => (reached += share) >= 0.95 - 1e-9) ?? latencies.at(-1)!;
  return {
    latency: cost.latency,
    latency95: slow.ms,
    throughput: 1000 / (pipelined ? Math.max(cost.device, cost.link, cost.server) : cost.latency),
    server: cost.server,
    device: cost.device,
    accuracy,
  };
}
