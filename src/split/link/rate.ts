/** @file How fast bytes leave a link over time: fixed, in steps, or as a recorded trace says. */
import { LinkError } from './errors.js';

/** A span of time, ms; `to` is not part of it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Takes messages one after another and says when each has left. */
export interface Sender {
  /** The time at which `bytes` have left that are handed over at `at`, behind all that was handed over before; may be Infinity. */
  send(bytes: number, at: number): number;
}

/** What a link can carry at which time. */
export interface LinkRate {
  /** A sender on an idle link. During `outages` nothing leaves. */
  sender(outages?: readonly Span[]): Sender;
}

/** Bytes per millisecond of a bandwidth in megabits per second (10⁶ bits). */
export function bytesPerMs(megabitsPerSecond: number): number {
  return (megabitsPerSecond * 1e6) / 8 / 1000;
}

/** A rate that holds from a time on. */
export interface RateStep {
  readonly from: number;
  /** Bytes per millisecond; 0 for none. */
  readonly bytesPerMs: number;
}

/** The same rate for ever. Throws LinkError for a negative one. */
export function fixedRate(bytesPerMs: number): LinkRate {
  return steppedRate([{ from: -Infinity, bytesPerMs }]);
}

/** Rates that change at given times; before the first one its rate holds. Throws LinkError unless times ascend. */
export function steppedRate(steps: readonly RateStep[]): LinkRate {
  if (steps.length === 0) throw new LinkError('a rate in steps needs a step');
  steps.forEach(({ from, bytesPerMs }, i) => {
    if (!(bytesPerMs >= 0)) throw new LinkError(`a rate of ${bytesPerMs} bytes per ms is none`);
    if (i > 0 && !(from > steps[i - 1]!.from)) throw new LinkError('the steps of a rate are not in the order of time');
  });
  return { sender: (outages = []) => new SteppedSender(interrupted(steps, outages)) };
}

class SteppedSender implements Sender {
  readonly #steps: readonly RateStep[];
  #free = -Infinity;

  constructor(steps: readonly RateStep[]) {
    this.#steps = steps;
  }

  send(bytes: number, at: number): number {
    let time = Math.max(at, this.#free);
    let left = bytes;
    const steps = this.#steps;
    let i = steps.findLastIndex(({ from }) => from <= time);
    for (i = Math.max(0, i); left > 0; i++) {
      const { bytesPerMs } = steps[i]!;
      const end = steps[i + 1]?.from ?? Infinity;
      const room = bytesPerMs === 0 ? 0 : (end - time) * bytesPerMs;
      if (room >= left) {
        time += left / bytesPerMs;
        left = 0;
      } else if (end === Infinity) return (this.#free = Infinity);
      else {
        left -= room;
        time = end;
      }
    }
    return (this.#free = time);
  }
}

/** Steps with rate 0 during outages. */
function interrupted(steps: readonly RateStep[], outages: readonly Span[]): readonly RateStep[] {
  if (outages.length === 0) return steps;
  const rateAt = (time: number): number => (steps.findLast(({ from }) => from <= time) ?? steps[0]!).bytesPerMs;
  const marks = [...steps.map(({ from }) => from), ...outages.flatMap(({ from, to }) => [from, to])];
  return [...new Set(marks)]
    .sort((a, b) => a - b)
    .map((from) => ({ from, bytesPerMs: isOut(outages, from) ? 0 : rateAt(from) }));
}

/** Whether a time lies within one of some spans. */
export function isOut(outages: readonly Span[], time: number): boolean {
  return outages.some(({ from, to }) => time >= from && time < to);
}

/** Bytes of one delivery of a trace (Mahimahi's MTU). */
export const TRACE_PACKET = 1500;

const MAX_TRACE_LINES = 50_000_000;

/** A recorded link: the milliseconds at which one packet each can leave. */
export interface LinkTrace {
  /** Ascending; several packets may share a millisecond. */
  readonly deliveries: Float64Array;
  /** After how many ms the trace begins anew. */
  readonly periodMs: number;
}

/**
 * Reads a trace in Mahimahi's format: one millisecond per line, each the time of one packet of 1,500 bytes; the last one is
 * the period. Throws LinkError for what is no number, not ascending, empty, or of no length.
 */
export function parseTrace(text: string): LinkTrace {
  const lines = text.split('\n');
  if (lines.length > MAX_TRACE_LINES) throw new LinkError(`the trace has more than ${MAX_TRACE_LINES} lines`);
  const deliveries: number[] = [];
  lines.forEach((line, i) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return;
    const time = Number(trimmed);
    if (!(time >= (deliveries.at(-1) ?? 0) && time < Infinity))
      throw new LinkError(`line ${i + 1} of the trace, '${trimmed.slice(0, 40)}', is no time after the one before`);
    deliveries.push(time);
  });
  const periodMs = deliveries.at(-1) ?? 0;
  if (periodMs === 0) throw new LinkError('the trace has no length');
  return { deliveries: Float64Array.from(deliveries), periodMs };
}

/** A recorded link as a rate; what a packet's delivery does not need is lost unless more is waiting, as in Mahimahi. */
export function traceRate(trace: LinkTrace): LinkRate {
  return { sender: (outages = []) => new TraceSender(trace, outages) };
}

/** Mean bytes per ms of a trace within a span. */
export function meanRate(trace: LinkTrace, { from, to }: Span): number {
  return ((indexAt(trace, to) - indexAt(trace, from)) * TRACE_PACKET) / (to - from);
}

class TraceSender implements Sender {
  readonly #trace: LinkTrace;
  readonly #outages: readonly Span[];
  /** Number of the next delivery, counted over all periods, and bytes left of the one before. */
  #next = 0;
  #credit = 0;
  #free = -Infinity;

  constructor(trace: LinkTrace, outages: readonly Span[]) {
    this.#trace = trace;
    this.#outages = outages;
  }

  send(bytes: number, at: number): number {
    if (at > this.#free) {
      this.#next = Math.max(this.#next, indexAt(this.#trace, at));
      this.#credit = 0;
    }
    let time = Math.max(at, this.#free);
    let left = bytes - this.#credit;
    while (left > 0) {
      time = timeOf(this.#trace, this.#next);
      const out = this.#outages.find(({ from, to }) => time >= from && time < to);
      if (out === undefined) {
        left -= TRACE_PACKET;
        this.#next++;
      } else if (out.to === Infinity) return (this.#free = Infinity);
      else this.#next = Math.max(this.#next + 1, indexAt(this.#trace, out.to));
    }
    this.#credit = -left;
    return (this.#free = time);
  }
}

const timeOf = ({ deliveries, periodMs }: LinkTrace, index: number): number =>
  Math.floor(index / deliveries.length) * periodMs + deliveries[index % deliveries.length]!;

/** Number of the first delivery at or after a time (before 0: the first). */
function indexAt({ deliveries, periodMs }: LinkTrace, time: number): number {
  if (time <= 0) return 0;
  // The last delivery of a period falls on the start of the next.
  const period = Math.ceil(time / periodMs) - 1;
  const within = time - period * periodMs;
  let [low, high] = [0, deliveries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (deliveries[middle]! < within) low = middle + 1;
    else high = middle;
  }
  return period * deliveries.length + low;
}
