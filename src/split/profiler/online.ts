/** @file The profiler at run time: load of device and server, latency and bandwidth of the link, probing (SPINN §4.3, DynO §4.2). */
import type { Conditions } from '../scheduler/metrics.js';

/** How long transfers tell of the present: DynO's five minutes. */
export const REAL_TIME_MS = 5 * 60_000;

export interface LinkOptions {
  /** Weight of a new observation in the averages, 0 to 1; 0.2 where omitted: recorded mobile links vary from packet to packet. */
  readonly weight?: number;
  /** For how long an observation counts as real time, ms; `REAL_TIME_MS` where omitted. */
  readonly validMs?: number;
}

interface Averages {
  latencyMs: number | undefined;
  bytesPerMs: number | undefined;
}

/** Two observations in a row that differ from the average by more than this factor, the same way, are a step: it starts afresh. */
const STEP = 1.5;

/**
 * Latency and bandwidth as two moving averages: one of the last minutes, and one of all transfers over networks of the
 * same type, which counts where the last minutes saw none. Transfers take latency + bytes / bandwidth.
 */
export class LinkEstimate {
  readonly #weight: number;
  readonly #validMs: number;
  readonly #history = new Map<string, Averages>();
  #recent: Averages = { latencyMs: undefined, bytesPerMs: undefined };
  /** The last observation of each that lay a step away, and on which side. */
  readonly #away: Record<keyof Averages, { readonly value: number; readonly side: number } | undefined> = {
    latencyMs: undefined,
    bytesPerMs: undefined,
  };
  #network = '';
  #latest = -Infinity;

  constructor({ weight = 0.2, validMs = REAL_TIME_MS }: LinkOptions = {}) {
    this.#weight = weight;
    this.#validMs = validMs;
  }

  /** The device is on another network now (`wifi`, `4g` …): its own history counts until transfers have happened. */
  network(type: string): void {
    if (type === this.#network) return;
    this.#network = type;
    this.#recent = { latencyMs: undefined, bytesPerMs: undefined };
    this.#latest = -Infinity;
  }

  /** A message of hardly any bytes took `ms` there and back. */
  latency(ms: number, at: number): void {
    if (!(ms >= 0 && ms < Infinity)) return;
    this.#record('latencyMs', ms, at);
  }

  /**
   * A transfer of `bytes` took `ms`, latency included. One that was faster than the latency says that the latency is less;
   * of the bandwidth it says nothing.
   */
  transfer(bytes: number, ms: number, at: number): void {
    const rest = ms - (this.estimate(at)?.latencyMs ?? 0);
    if (!(bytes > 0 && ms > 0 && ms < Infinity)) return;
    if (rest > 0) this.#record('bytesPerMs', bytes / rest, at);
    else this.#record('latencyMs', ms, at);
  }

  /** The link at a time: real time where it is known, else the history of this network type; undefined where neither is. */
  estimate(at: number): { readonly latencyMs: number; readonly bytesPerMs: number } | undefined {
    const recent = at - this.#latest <= this.#validMs ? this.#recent : undefined;
    const history = this.#history.get(this.#network);
    const bytesPerMs = recent?.bytesPerMs ?? history?.bytesPerMs;
    const latencyMs = recent?.latencyMs ?? history?.latencyMs;
    if (bytesPerMs === undefined) return latencyMs === undefined ? undefined : { latencyMs, bytesPerMs: 0 };
    return { latencyMs: latencyMs ?? 0, bytesPerMs };
  }

  #record(what: keyof Averages, value: number, at: number): void {
    if (at - this.#latest > this.#validMs) this.#recent = { latencyMs: undefined, bytesPerMs: undefined };
    this.#latest = at;
    let history = this.#history.get(this.#network);
    if (history === undefined)
      this.#history.set(this.#network, (history = { latencyMs: undefined, bytesPerMs: undefined }));
    const old = this.#recent[what];
    // What went faster than the latency shows that it was not all latency: waiting behind other bytes adds to it.
    const shorter = what === 'latencyMs' && old !== undefined && value < old;
    // Bandwidths average as time per byte: a transfer that seems to take no time says little, one that stands still much.
    const mixed =
      what === 'bytesPerMs' && old !== undefined && old > 0
        ? 1 / this.#mixed(1 / old, 1 / value, this.#weight)
        : this.#mixed(old, value, this.#weight);
    this.#recent[what] = shorter ? value : (this.#stepped(what, value) ?? mixed);
    // History moves ten times as slowly.
    history[what] = this.#mixed(history[what], value, this.#weight / 10);
  }

  /** The new average where this observation and the one before both lie a step away on the same side; else undefined. */
  #stepped(what: keyof Averages, value: number): number | undefined {
    const old = this.#recent[what];
    const before = this.#away[what];
    const ratio = old === undefined ? 1 : value / old;
    const side = ratio > STEP ? 1 : ratio < 1 / STEP ? -1 : 0;
    this.#away[what] = side === 0 ? undefined : { value, side };
    // One stray value moves the average as any other; a second one shows that it was not stray.
    if (side === 0 || before?.side !== side) return undefined;
    this.#away[what] = undefined;
    // The slower of both: a stray value may be one of them after all.
    return what === 'bytesPerMs' ? Math.min(value, before.value) : Math.max(value, before.value);
  }

  #mixed(old: number | undefined, value: number, weight: number): number {
    return old === undefined ? value : old + weight * (value - old);
  }
}

/** Time now over time offline, from the last measured part: T⟨s′⟩ = scale · T_offline⟨s′⟩ for any other cut. */
export class LoadEstimate {
  #scale = 1;

  get scale(): number {
    return this.#scale;
  }

  /** A part that takes `offlineMs` without load took `ms`. Parts of no length say nothing. */
  record(ms: number, offlineMs: number): void {
    if (offlineMs > 0 && ms > 0 && ms < Infinity) this.#scale = ms / offlineMs;
  }
}

/**
 * The server's time where it does not tell: what the response took less what the link did, T_response − (L + D_response / B).
 * 0 at least. `responseMs` counts from the end of sending to the whole answer.
 */
export function serverMsBySubtraction(
  responseMs: number,
  responseBytes: number,
  link: { readonly latencyMs: number; readonly bytesPerMs: number },
): number {
  return Math.max(0, responseMs - (link.latencyMs + responseBytes / link.bytesPerMs));
}

export interface ProbeOptions {
  /** First wait between probes, ms; 1,000 where omitted. */
  readonly firstMs?: number;
  /** The longest; 60,000 where omitted. */
  readonly mostMs?: number;
}

/**
 * When to send a probe while nothing is sent anyway (server overloaded, link gone): local execution goes on meanwhile.
 * Each probe in vain doubles the wait; one that succeeds begins anew.
 */
export class ProbeSchedule {
  readonly #firstMs: number;
  readonly #mostMs: number;
  #waitMs: number;
  #last = -Infinity;
  #pending = false;

  constructor({ firstMs = 1000, mostMs = 60_000 }: ProbeOptions = {}) {
    this.#firstMs = this.#waitMs = firstMs;
    this.#mostMs = mostMs;
  }

  /** Whether a probe should go now. One at a time. */
  due(at: number): boolean {
    return !this.#pending && at - this.#last >= this.#waitMs;
  }

  /** A probe (or an ordinary request) has gone. */
  sent(at: number): void {
    this.#last = at;
    this.#pending = true;
  }

  /** It has come back, or it has not. */
  settled(answered: boolean): void {
    this.#pending = false;
    this.#waitMs = answered ? this.#firstMs : Math.min(this.#mostMs, 2 * this.#waitMs);
  }
}

/** What one inference showed. Parts that did not happen are absent. */
export interface Observation {
  /** Milliseconds on a clock that only differences of matter. */
  readonly at: number;
  /** Device compute, and what the tables say of it. */
  readonly device?: { readonly ms: number; readonly offlineMs: number };
  /** Sending: bytes, and ms including latency. */
  readonly transfer?: { readonly bytes: number; readonly ms: number };
  /** The answer: ms from the end of sending, its bytes, the server's own time where it told, and what the tables say. */
  readonly response?: {
    readonly ms: number;
    readonly bytes: number;
    readonly serverMs: number | undefined;
    readonly offlineMs: number;
  };
}

/** All that is known at run time, as the scheduler's conditions. */
export class OnlineProfile {
  readonly link: LinkEstimate;
  readonly device = new LoadEstimate();
  readonly server = new LoadEstimate();
  readonly probes: ProbeSchedule;

  constructor(options: LinkOptions & ProbeOptions = {}) {
    this.link = new LinkEstimate(options);
    this.probes = new ProbeSchedule(options);
  }

  /** Takes what an inference showed. The server's own word goes before subtraction. */
  observe({ at, device, transfer, response }: Observation): void {
    if (device) this.device.record(device.ms, device.offlineMs);
    if (transfer) this.link.transfer(transfer.bytes, transfer.ms, at);
    if (!response) return;
    const link = this.link.estimate(at);
    const known = response.serverMs ?? (link && serverMsBySubtraction(response.ms, response.bytes, link));
    if (known !== undefined) this.server.record(known, response.offlineMs);
  }

  /** The conditions at a time. A link of which nothing is known counts as none. */
  conditions(at: number): Conditions {
    const link = this.link.estimate(at) ?? { latencyMs: 0, bytesPerMs: 0 };
    return { deviceScale: this.device.scale, serverScale: this.server.scale, ...link };
  }
}
