/**
 * @file Virtual time: frames go through device, link and server while loads and link change; the client knows only what its
 * own transfers showed, decides as it does in earnest, and answers itself where no answer comes. Deterministic.
 */
import { createRandom } from '../../platform/index.js';
import { OnlineProfile } from '../profiler/online.js';
import { bitsOf, type SplitProfile } from '../profiler/split-profile.js';
import { packedAt } from '../profiler/split-tables.js';
import { ChangeDetector, type ChangeOptions } from '../scheduler/change.js';
import type { Conditions } from '../scheduler/metrics.js';
import { NO_EXITS, type ExitRule } from '../scheduler/rule.js';
import type { Goals } from '../scheduler/schedule.js';
import { LinkModel, type LinkModelOptions } from '../link/link-model.js';
import { costOf, planOf, type Plan, type SamplePath } from './plan.js';
import type { SplitPolicy } from './policies.js';

/** What is simulated. Times are ms of virtual time from 0. */
export interface Simulation {
  readonly profile: SplitProfile;
  readonly policy: SplitPolicy;
  readonly goals: Goals;
  /** To the server and back. */
  readonly up: LinkModelOptions;
  readonly down: LinkModelOptions;
  /** Slow-down factors at a time; 1 where omitted. */
  readonly deviceSlowDown?: (at: number) => number;
  readonly serverSlowDown?: (at: number) => number;
  /** Frames to serve … */
  readonly frames?: number;
  /** … or for how long to start new ones, ms. One of both. */
  readonly durationMs?: number;
  /** A frame each so many ms; where omitted, the next one begins as soon as the plan allows. */
  readonly intervalMs?: number;
  /** Frames under way at most, for plans that are pipelined; where omitted, as many as keep the slowest part busy, up to 64. */
  readonly inFlight?: number;
  /** After how long without an answer the device finishes a frame itself; never where omitted. */
  readonly timeoutMs?: number;
  /** What the client assumes before anything was seen; nothing is known of the link where omitted. */
  readonly initial?: Conditions;
  readonly change?: ChangeOptions;
  /** Which exit stops which frame. */
  readonly seed?: number;
}

/** One frame. */
export interface SimulatedFrame {
  readonly start: number;
  readonly done: number;
  readonly latencyMs: number;
  readonly cut: number;
  readonly rule: ExitRule;
  readonly bits: number;
  readonly sent: boolean;
  /** The device answered because the server did not in time. */
  readonly gaveUp: boolean;
  readonly deviceMs: number;
  readonly serverMs: number;
  readonly upBytes: number;
  /** Expected, of the plan that served it. */
  readonly accuracy: number;
}

/** A decision that the scheduler took. */
export interface SimulatedDecision extends Pick<Plan, 'cut' | 'rule' | 'bits'> {
  readonly at: number;
  /** Number of the first frame that it serves. */
  readonly frame: number;
  readonly conditions: Conditions;
  /** Whether the plan is another than before. */
  readonly changed: boolean;
}

export interface SimulationResult {
  readonly frames: readonly SimulatedFrame[];
  readonly decisions: readonly SimulatedDecision[];
  readonly summary: {
    readonly framesPerSecond: number;
    readonly latencyMs: { readonly mean: number; readonly p50: number; readonly p95: number };
    readonly accuracy: number;
    /** Server compute per frame, ms. */
    readonly serverMs: number;
    readonly sentShare: number;
    readonly bytesPerFrame: number;
    readonly gaveUpShare: number;
    /** Decisions that changed the plan. */
    readonly changes: number;
  };
}

/** A message of hardly any bytes: how the client learns the latency. */
const PING_BYTES = 64;
const PING_MS = 1000;
/** So many answers in a row that do not come in time, and nothing is sent until a probe is answered. */
const PATIENCE = 2;

/** Plays a simulation to its end. Throws SchedulerError for goals that make no sense. */
export function simulateSplit(simulation: Simulation): SimulationResult {
  return new Player(simulation).play();
}

interface Pending {
  readonly at: number;
  readonly tell: () => void;
}

class Player {
  readonly #s: Simulation;
  readonly #online: OnlineProfile;
  readonly #detector: ChangeDetector;
  readonly #random;
  readonly #local: Plan;
  readonly #frames: SimulatedFrame[] = [];
  readonly #decisions: SimulatedDecision[] = [];
  /** What becomes known at a time. */
  readonly #pending: Pending[] = [];
  #up: LinkModel;
  #down: LinkModel;
  #deviceFree = 0;
  #upFree = 0;
  #serverFree = 0;
  #nextPing = 0;
  #plan: Plan | undefined;
  /** Frames under way at most. */
  #depth = 1;
  #reachable = true;
  #failures = 0;
  /** Decide at the next frame, whatever the detector says. */
  #again = true;

  constructor(simulation: Simulation) {
    this.#s = simulation;
    // A simulated link is looked at often: its frames are short.
    this.#online = new OnlineProfile({ firstMs: 100, mostMs: 5000 });
    this.#detector = new ChangeDetector(simulation.change);
    this.#up = new LinkModel(simulation.up);
    this.#down = new LinkModel(simulation.down);
    this.#random = createRandom(simulation.seed ?? 0);
    const { initial } = simulation;
    if (initial) {
      this.#online.device.record(initial.deviceScale, 1);
      this.#online.server.record(initial.serverScale, 1);
      this.#online.link.latency(initial.latencyMs, 0);
      this.#online.link.transfer(initial.bytesPerMs * PING_MS, initial.latencyMs + PING_MS, 0);
    }
    const { cuts } = simulation.profile;
    this.#local = planOf(simulation.profile, { cut: cuts.length - 1, rule: NO_EXITS, bits: 32 });
  }

  play(): SimulationResult {
    const { frames = Infinity, durationMs = Infinity, intervalMs } = this.#s;
    for (let frame = 0; frame < frames; frame++) {
      const wished = intervalMs === undefined ? 0 : frame * intervalMs;
      // Saturated: a frame begins when the device is free and not too many are under way.
      const oldest = this.#frames[frame - this.#depth]?.done ?? 0;
      const start = Math.max(wished, this.#deviceFree, intervalMs === undefined ? oldest : 0);
      if (start >= durationMs) break;
      this.#learn(start);
      this.#ping(start);
      this.#decide(frame, start);
      this.#probe(start);
      this.#serve(intervalMs === undefined ? start : wished, start);
    }
    return { frames: this.#frames, decisions: this.#decisions, summary: summaryOf(this.#frames, this.#decisions) };
  }

  #learn(at: number): void {
    this.#pending.sort((a, b) => a.at - b.at);
    while (this.#pending.length > 0 && this.#pending[0]!.at <= at) this.#pending.shift()!.tell();
  }

  #conditions(at: number): Conditions {
    const known = this.#online.conditions(at);
    return this.#reachable ? known : { ...known, bytesPerMs: 0 };
  }

  /** An answer came in time, or it did not. */
  #heard(answered: boolean): void {
    this.#failures = answered ? 0 : this.#failures + 1;
    const reachable = answered || (this.#reachable && this.#failures < PATIENCE);
    if (reachable !== this.#reachable) this.#again = true;
    this.#reachable = reachable;
  }

  #decide(frame: number, at: number): void {
    const conditions = this.#conditions(at);
    const moved = this.#detector.observe(conditions);
    if (!moved && !this.#again) return;
    this.#again = false;
    const plan = this.#s.policy.decide(this.#s.goals, conditions);
    const changed = plan !== this.#plan;
    this.#plan = plan;
    const { latency, throughput } = costOf(plan, conditions);
    const busy = Math.ceil((latency * throughput) / 1000) + 2;
    this.#depth = plan.pipelined ? (this.#s.inFlight ?? Math.min(busy, 64)) : 1;
    const { cut, rule, bits } = plan;
    this.#decisions.push({ at, frame, cut, rule, bits, conditions, changed });
  }

  /** Now and then a message of hardly any bytes goes there and back, beside everything else. */
  #ping(at: number): void {
    if (at < this.#nextPing) return;
    this.#nextPing = at + PING_MS;
    const there = at + this.#up.transferMs(PING_BYTES, at);
    const back = there + this.#down.transferMs(PING_BYTES, there);
    if (back < Infinity) this.#pending.push({ at: back, tell: () => this.#online.link.latency(back - at, back) });
  }

  /** Where nothing is sent, the image goes as a probe now and then; the device works on meanwhile. */
  #probe(at: number): void {
    const { profile, serverSlowDown } = this.#s;
    const sends = this.#plan!.paths.some(({ share, upBytes }) => share > 0 && upBytes > 0);
    if (sends || !this.#online.probes.due(at)) return;
    this.#online.probes.sent(at);
    const { bytes } = packedAt(profile, 0, bitsOf(profile).includes(8) ? 8 : bitsOf(profile)[0]!)!;
    const begin = Math.max(at, this.#upFree);
    const { left, arrives } = this.#up.send(bytes, begin);
    const giveUp = begin + (this.#s.timeoutMs ?? Infinity);
    if (left < Infinity) this.#upFree = left;
    const offlineMs = profile.server.cutMs.reduce((sum, ms) => sum + ms, 0);
    const serverMs = offlineMs * (serverSlowDown?.(arrives) ?? 1);
    const finished = Math.max(arrives, this.#serverFree) + serverMs;
    const answered = arrives < Infinity ? finished + this.#down.transferMs(profile.responseBytes, finished) : Infinity;
    if (answered <= giveUp && answered < Infinity) {
      this.#serverFree = finished;
      const queue = finished - arrives;
      this.#tell(answered, { begin, bytes: bytes + profile.responseBytes, serverMs, offlineMs, queue });
      this.#pending.push({ at: answered, tell: () => this.#probed(true) });
    } else if (giveUp < Infinity) this.#pending.push({ at: giveUp, tell: () => this.#probed(false) });
  }

  /** A request is given up: what has not left by then blocks nobody. */
  #cancelled(at: number): void {
    if (this.#upFree <= at) return;
    this.#upFree = at;
    this.#up = new LinkModel(this.#s.up);
    this.#down = new LinkModel(this.#s.down);
  }

  #probed(answered: boolean): void {
    this.#online.probes.settled(answered);
    this.#heard(answered);
  }

  /** What an answer tells of link and server: the server says its own time, the rest was the link. */
  #tell(
    at: number,
    heard: {
      readonly begin: number;
      readonly bytes: number;
      readonly serverMs: number;
      readonly offlineMs: number;
      readonly queue: number;
    },
  ): void {
    this.#pending.push({
      at,
      tell: () => {
        const ms = at - heard.begin - heard.queue;
        const response = { ms: 0, bytes: 0, serverMs: heard.serverMs, offlineMs: heard.offlineMs };
        this.#heard(true);
        this.#online.observe({ at, transfer: { bytes: heard.bytes, ms }, response });
      },
    });
  }

  #serve(arrived: number, start: number): void {
    const { deviceSlowDown, serverSlowDown, timeoutMs = Infinity, profile } = this.#s;
    const plan = this.#plan!;
    const path = this.#path(plan);
    const slow = deviceSlowDown?.(start) ?? 1;
    const deviceMs = path.deviceMs * slow;
    const computed = start + deviceMs;
    this.#deviceFree = computed;
    if (path.deviceMs > 0)
      this.#pending.push({
        at: computed,
        tell: () => this.#online.device.record(deviceMs, path.deviceMs),
      });
    const sent = path.upBytes > 0;
    const record = (
      frame: Omit<SimulatedFrame, 'start' | 'latencyMs' | 'cut' | 'rule' | 'bits' | 'sent' | 'upBytes'>,
    ) => {
      const { cut, rule, bits } = plan;
      const { done } = frame;
      this.#frames.push({
        ...{ start: arrived, latencyMs: done - arrived, cut, rule, bits, sent, upBytes: path.upBytes },
        ...frame,
      });
    };
    const common = { accuracy: plan.accuracy, gaveUp: false };
    if (!sent) return record({ ...common, done: computed, deviceMs, serverMs: 0 });

    const begin = Math.max(computed, this.#upFree);
    const { left, arrives } = this.#up.send(path.upBytes, begin);
    if (left < Infinity) this.#upFree = left;
    const serverMs = path.serverMs * (serverSlowDown?.(arrives) ?? 1);
    const finished = Math.max(arrives, this.#serverFree) + serverMs;
    const giveUp = computed + timeoutMs;
    const answered = arrives < Infinity ? this.#down.send(path.downBytes, finished).arrives : Infinity;
    if (answered <= giveUp && answered < Infinity) {
      this.#serverFree = finished;
      const afterMs = path.afterMs * (deviceSlowDown?.(answered) ?? 1);
      const done = Math.max(answered, afterMs > 0 ? this.#deviceFree : 0) + afterMs;
      if (afterMs > 0) this.#deviceFree = done;
      const bytes = path.upBytes + path.downBytes;
      this.#tell(answered, { begin, bytes, serverMs, offlineMs: path.serverMs, queue: finished - arrives });
      return record({ ...common, done, deviceMs: deviceMs + afterMs, serverMs });
    }
    // What the transfer has shown by then: so many bytes in no less than this time.
    if (giveUp < Infinity) {
      this.#cancelled(giveUp);
      this.#pending.push({
        at: giveUp,
        tell: () => {
          this.#heard(false);
          this.#online.link.transfer(path.upBytes, giveUp - begin, giveUp);
        },
      });
    }
    const rest = Math.max(0, wholeMs(this.#local) - path.deviceMs) * slow;
    const from = giveUp < Infinity ? giveUp : computed;
    const done = Math.max(from, this.#deviceFree) + rest;
    this.#deviceFree = done;
    record({ accuracy: profile.final.accuracy, gaveUp: true, done, deviceMs: deviceMs + rest, serverMs: 0 });
  }

  /** Which way this frame goes: a number between 0 and 1 per frame, the same for every policy. */
  #path({ paths }: Plan): SamplePath {
    let rest = this.#random.next();
    for (const path of paths) if ((rest -= path.share) < 0) return path;
    return paths.findLast(({ share }) => share > 0)!;
  }
}

const wholeMs = ({ paths }: Plan): number => paths.at(-1)!.deviceMs;

function summaryOf(
  frames: readonly SimulatedFrame[],
  decisions: readonly SimulatedDecision[],
): SimulationResult['summary'] {
  const mean = (value: (frame: SimulatedFrame) => number): number =>
    frames.reduce((sum, frame) => sum + value(frame), 0) / Math.max(1, frames.length);
  const latencies = frames.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  const at = (level: number): number => latencies[Math.max(0, Math.ceil(level * latencies.length) - 1)] ?? NaN;
  const ends = frames.map(({ done }) => done);
  const span = frames.length === 0 ? 0 : ends.reduce((a, b) => Math.max(a, b), 0) - frames[0]!.start;
  return {
    framesPerSecond: span > 0 ? (1000 * frames.length) / span : 0,
    latencyMs: { mean: mean(({ latencyMs }) => latencyMs), p50: at(0.5), p95: at(0.95) },
    accuracy: mean(({ accuracy }) => accuracy),
    serverMs: mean(({ serverMs }) => serverMs),
    sentShare: mean(({ sent }) => Number(sent)),
    bytesPerFrame: mean(({ upBytes }) => upBytes),
    gaveUpShare: mean(({ gaveUp }) => Number(gaveUp)),
    changes: decisions.filter(({ changed }) => changed).length - 1,
  };
}
