/** @file Reads ONNX Runtime's profiler output (Chrome trace events) into kernel times per run. */
import * as z from 'zod/mini';
import { CuttleError } from '../ir/index.js';
import { middleMean } from './latency.js';

/** The profiler's file is not what this version of ONNX Runtime writes. Exit code 1. */
export class ProfilerOutputError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('failed', 'runtime/profiler-output', message, { cause });
  }
}

/** One kernel of the optimised graph, its time averaged over the runs. */
export interface Kernel {
  /** ONNX Runtime's name for it: a node's, a fused node's, or `Op_index`. */
  readonly name: string;
  readonly op: string;
  readonly ms: number;
  /** ONNX Runtime's name of the execution provider that ran it. */
  readonly provider?: string;
  /** Kernels that ran inside it (branches, loops) in one run, on average; absent for none. */
  readonly inner?: number;
}

export interface KernelTimes {
  /** In the order in which they ran. */
  readonly kernels: readonly Kernel[];
  /** A whole run inside ONNX Runtime while it was profiled, ms. */
  readonly runMs: number;
  readonly runs: number;
}

const eventSchema = z.object({
  cat: z.string(),
  name: z.string(),
  ts: z.number(),
  dur: z.number(),
  args: z.optional(
    z.object({ op_name: z.optional(z.string()), node_index: z.optional(z.string()), provider: z.optional(z.string()) }),
  ),
});

type Event = z.infer<typeof eventSchema>;

/** Kernels that contain others: the inner ones' time is already part of theirs. */
const CONTAINERS = new Set(['If', 'Loop', 'Scan']);
const SUFFIX = '_kernel_time';

/** Averages every kernel over the quieter half of the runs that count (their place, from 0). Throws ProfilerOutputError on another format. */
export function readKernelEvents(text: string, counts: (run: number) => boolean): KernelTimes {
  let events: Event[];
  try {
    events = z.array(eventSchema).parse(JSON.parse(text));
  } catch (cause) {
    throw new ProfilerOutputError('ONNX Runtime’s profile cannot be read', cause);
  }
  const runs = events.filter((event) => event.name === 'model_run').sort((a, b) => a.ts - b.ts);
  const measured = quietRuns(runs.filter((_, run) => counts(run)));
  if (measured.length === 0) throw new ProfilerOutputError('ONNX Runtime’s profile holds no run');
  const kernelEvents = outermost(events.filter((event) => event.cat === 'Node' && event.name.endsWith(SUFFIX)));

  const times = new Map<
    string,
    { name: string; op: string; provider: string | undefined; durations: number[]; inner: number }
  >();
  let cursor = 0;
  for (const run of measured) {
    while (cursor < kernelEvents.length && kernelEvents[cursor]!.ts < run.ts) cursor++;
    for (; cursor < kernelEvents.length && kernelEvents[cursor]!.ts <= run.ts + run.dur; cursor++) {
      const event = kernelEvents[cursor]!;
      const key = `${event.args?.node_index ?? ''}:${event.name}`;
      let entry = times.get(key);
      if (entry === undefined)
        times.set(
          key,
          (entry = {
            name: event.name.slice(0, -SUFFIX.length),
            op: event.args?.op_name ?? '',
            provider: event.args?.provider,
            durations: [],
            inner: 0,
          }),
        );
      entry.durations.push(event.dur);
      entry.inner += event.inner;
    }
  }
  return {
    kernels: [...times.values()].map(({ name, op, provider, durations, inner }) => ({
      name,
      op,
      ...(provider !== undefined && { provider }),
      ...(inner > 0 && { inner: inner / measured.length }),
      // A kernel that some runs skip (inside a branch) counts for the share of runs that reach it.
      ms: (middleMean(durations) / 1000) * Math.min(1, durations.length / measured.length),
    })),
    runMs: middleMean(measured.map((run) => run.dur)) / 1000,
    runs: measured.length,
  };
}

/** The faster half of the runs (at least four), in time order: where the machine did something else meanwhile, they show it least. */
function quietRuns(runs: readonly Event[]): readonly Event[] {
  const keep = Math.max(4, Math.ceil(runs.length / 2));
  const limit = runs.map((run) => run.dur).sort((a, b) => a - b)[Math.min(keep, runs.length) - 1] ?? 0;
  return runs.filter((run) => run.dur <= limit);
}

/** Kernel events in time order without those that ran inside a container's. */
function outermost(events: readonly Event[]): readonly (Event & { readonly inner: number })[] {
  const sorted = [...events].sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const found: (Event & { inner: number })[] = [];
  let container: { readonly end: number; readonly event: { inner: number } } | undefined;
  for (const event of sorted) {
    if (container !== undefined && event.ts + event.dur <= container.end) {
      container.event.inner++;
      continue;
    }
    const outer = { ...event, inner: 0 };
    found.push(outer);
    if (CONTAINERS.has(event.args?.op_name ?? '')) container = { end: event.ts + event.dur, event: outer };
  }
  return found;
}
