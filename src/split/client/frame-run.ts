/** @file One inference: the device's part, the request, the way on while it is out, and which answer counts. */
import type { Tensor } from '../../ir/index.js';
import { now, turn } from '../../platform/index.js';
// Exits decide here as they do where nothing is split.
import type { DesignChoice } from '../../exits/design.js';
import { leavesAt } from '../../exits/policies/index.js';
import { rowEvidence, type RowEvidence } from '../../exits/scores.js';
import type { SplitNetwork } from '../network.js';
import type { SegmentWalk, Walk, WalkAnswer } from '../segment-walk.js';
import { OipError } from '../oip/index.js';
import type { Codecs } from '../packing/index.js';
import type { LocalReason, SplitAnswer, SplitEvent } from './answer.js';
import type { PartTimes } from './part-times.js';
import { watchfulDesign, type SplitPlan } from './plan.js';
import { RemoteCall } from './remote-call.js';
import { failureOf, type RemoteFailure, type RemoteReply, type SplitTransport } from './transport.js';

/** Turns of the event loop that a request gets to leave before the device computes on. */
const TURNS_TO_SEND = 4;

/** Expected parts take so much longer at times; a deadline allows for it. */
const SLACK = 1.25;

/** What the device does while a request is out. */
export type Continuation =
  /** Goes on to the next early exit, and to the end where the reply is late. */
  | 'exit'
  /** Goes on only where the reply is late: for pipelines, whose next frame needs the device. */
  | 'late'
  /** Goes on to the end at once. */
  | 'end';

/** What an inference needs of its session. */
export interface FrameContext {
  readonly frame: number;
  readonly plan: SplitPlan;
  readonly walk: SegmentWalk;
  readonly parts: PartTimes;
  /** Load of the device. */
  readonly scale: number;
  /** Cuts at which the device pauses on its way behind the cut. */
  readonly stops: readonly number[];
  readonly codecs: Codecs;
  /** Absent where nothing is to be sent. */
  readonly transport: SplitTransport | undefined;
  /** Why there is none, for the answer. */
  readonly without: LocalReason;
  readonly failure: RemoteFailure | undefined;
  /** When a reply is expected, ms after sending `bytes`; undefined where nothing is known. */
  readonly replyMs: (bytes: number) => number | undefined;
  readonly continuation: Continuation;
  /** On the clock of `now`. */
  readonly startedAt: number;
  readonly deadlineAt: number;
  /** How long before the deadline waiting ends. */
  readonly marginMs: number;
  readonly signal: AbortSignal | undefined;
  readonly emit: (event: SplitEvent) => void;
  /** The device is free: everything is computed, or sent. */
  readonly onSent: () => void;
  /** The device's part up to the cut took `ms` where the profile says `offlineMs`. */
  readonly onDevice: (ms: number, offlineMs: number) => void;
  /** A request ended; `cancelled` where it was called off before it answered. */
  readonly onRemote: (call: RemoteCall, cancelled: boolean) => void;
}

/** Runs one sample. Throws the signal's reason, CutError for wrong feeds, what the runtime throws; never for the network. */
export async function runFrame(context: FrameContext, feeds: Readonly<Record<string, Tensor>>): Promise<SplitAnswer> {
  return await new FrameRun(context, feeds).run();
}

interface Local {
  readonly answer: WalkAnswer;
  readonly reason: LocalReason;
}

class FrameRun {
  readonly #c: FrameContext;
  readonly #last: number;
  #walk: Walk;
  /** Exits that the present walk visits. */
  #exits: readonly number[];
  #packMs = 0;
  #deviceMs = 0;
  #call: RemoteCall | undefined;
  #failure: RemoteFailure | undefined;

  constructor(context: FrameContext, feeds: Readonly<Record<string, Tensor>>) {
    const { plan, walk, deadlineAt } = context;
    this.#c = context;
    this.#failure = context.failure;
    this.#last = walk.network.cuts.cuts.length - 1;
    // With a deadline there must be exits to fall back on, though the plan leaves at none, or at one alone.
    const watches = deadlineAt < Infinity && leavesAtOneEnd(plan.design);
    const design = watches ? watchfulDesign(walk.network, plan.design) : plan.design;
    this.#exits = design?.exits ?? [];
    this.#walk = walk.begin({ from: 0, tensors: feeds, ...(design === undefined ? {} : { design }) });
  }

  async run(): Promise<SplitAnswer> {
    try {
      return await this.#run();
    } finally {
      // Only where the caller gave up, or the runtime failed.
      if (this.#call !== undefined && this.#call.outcome === undefined) this.#cancel(this.#call, 'aborted');
    }
  }

  async #run(): Promise<SplitAnswer> {
    const { plan, transport, without } = this.#c;
    const sends = transport !== undefined && plan.cut < this.#last;
    const target = sends ? plan.cut : this.#last;
    await this.#goTo(target, []);
    this.#tellDevice();
    const local = this.#walk.result().answers[0];
    if (local !== undefined) return this.#local({ answer: local, reason: sends ? 'exit' : without });
    const best = this.#best();
    // It stopped short where the next part would have been late.
    if (best !== undefined && (this.#walk.cut < target || this.#outOfTime()))
      return this.#local({ answer: best, reason: 'deadline' });
    if (!sends) return await this.#alone(without);
    return await this.#offload(transport);
  }

  async #offload(transport: SplitTransport): Promise<SplitAnswer> {
    const { plan, codecs, deadlineAt, walk, emit, frame } = this.#c;
    const { tensors } = this.#walk.result().frontier!;
    const before = this.#best();
    const start = now();
    try {
      const request = transport.prepare({
        ...{ cut: plan.cut, packing: plan.packing, codecs, design: plan.design },
        tensors,
        logits: walk.network.final.output,
        deadlineMs: deadlineAt === Infinity ? undefined : Math.max(0, deadlineAt - start),
      });
      this.#packMs = now() - start;
      this.#call = new RemoteCall(request, (reply) => checkReply(walk, plan.design, reply));
    } catch (cause) {
      // What cannot be packed is a matter of this sample: the device goes on.
      return await this.#failed(failureOf(cause));
    }
    const call = this.#call;
    emit({ kind: 'offload', at: call.startedAt, frame, cut: plan.cut, bytes: call.bytes });
    for (let i = 0; i < TURNS_TO_SEND && call.outcome === undefined; i++) await turn();
    this.#c.onSent();
    if (leavesAtOneEnd(plan.design)) this.#watch(tensors);
    const local = await this.#meanwhile(call);
    if (local !== undefined) {
      this.#cancel(call, local.reason === 'deadline' ? 'deadline' : 'first');
      return this.#local(local);
    }
    this.#c.onRemote(call, false);
    const outcome = call.outcome!;
    if (!outcome.ok) return await this.#failed(outcome.failure);
    return this.#settled(outcome.reply, before);
  }

  /** Behind the cut every exit is run, though the plan leaves at none: the device's answer may be needed at any time. */
  #watch(tensors: Readonly<Record<string, Tensor>>): void {
    const { walk, plan } = this.#c;
    const design = watchfulDesign(walk.network, plan.design);
    this.#deviceMs += this.#walk.result().computeMs;
    this.#walk = walk.begin({ from: plan.cut, tensors, design });
    this.#exits = design.exits;
  }

  /** Goes on while a request is out. The device's answer where it counts; undefined when the request has ended. */
  async #meanwhile(call: RemoteCall): Promise<Local | undefined> {
    const { continuation, deadlineAt, marginMs, signal } = this.#c;
    const end = endOf(this.#c.walk.network, this.#c.plan.design);
    const expected = this.#c.replyMs(call.bytes);
    const lateAt = call.startedAt + (expected === undefined ? LATE_UNKNOWN : LATE_BASE + LATE_FACTOR * expected);
    // The next early exit is near; the end of all samples is not.
    let soon = continuation === 'exit' ? this.#walk.nextExit : continuation === 'end' ? this.#last : 0;
    if (continuation === 'exit' && soon === end) soon = 0;
    while (call.outcome === undefined) {
      signal?.throwIfAborted();
      const answer = this.#walk.result().answers[0];
      if (answer !== undefined) return { answer, reason: 'first' };
      const time = now();
      const best = this.#best();
      if (best !== undefined && time >= deadlineAt - marginMs) return { answer: best, reason: 'deadline' };
      const goOn = this.#walk.cut < soon || time >= lateAt || time >= deadlineAt - this.#restMs();
      if (goOn && (best === undefined || this.#inTime())) {
        await this.#part(this.#c.stops);
        await turn();
      } else await call.wait(goOn ? deadlineAt - marginMs : Math.min(lateAt, deadlineAt - this.#restMs()), signal);
    }
    return undefined;
  }

  /** The server's answer, unless an exit on the device was surer than the server's last one. */
  #settled(reply: RemoteReply, before: WalkAnswer | undefined): SplitAnswer {
    const { plan, walk } = this.#c;
    const { classes, final } = walk.network;
    const exit = reply.exit ?? final.exit;
    const temperature = temperatureOf(walk, plan.design, exit)!;
    const row: RowEvidence = { prediction: 0, top1: 0, entropy: 0, margin: 0 };
    rowEvidence(reply.logits, 0, classes, temperature, row);
    const settles = plan.design === undefined || left(plan.design, exit, row) || !(before && before.score >= row.top1);
    if (!settles && plan.design?.fallback === 'most-confident') return this.#local({ answer: before, reason: 'surer' });
    return this.#answer({ exit, label: row.prediction, score: row.top1, logits: reply.logits }, 'server', {});
  }

  /** A request came to nothing: the device goes on as far as the time allows. */
  async #failed(failure: RemoteFailure): Promise<SplitAnswer> {
    const { emit, frame } = this.#c;
    this.#failure = failure;
    emit({ kind: 'failed', at: now(), frame, failure });
    this.#c.onSent();
    return await this.#alone('failed');
  }

  /** The rest on the device: the end, or the best answer when time is up. */
  async #alone(reason: LocalReason): Promise<SplitAnswer> {
    await this.#goTo(this.#last, this.#c.stops);
    const { answers, best } = this.#walk.result();
    return this.#local({ answer: answers[0] ?? best[0]!, reason: answers[0] === undefined ? 'deadline' : reason });
  }

  /** Walks to a cut; stops early where the sample leaves, or where there is an answer and the next part would be late. */
  async #goTo(cut: number, stops: readonly number[]): Promise<void> {
    for (let first = true; this.#walk.cut < cut && !this.#walk.done; first = false) {
      if (!first) await turn();
      if (this.#best() !== undefined && !this.#inTime(stops, cut)) return;
      await this.#part(stops, cut);
    }
  }

  async #part(stops: readonly number[], limit = this.#last): Promise<void> {
    const { parts, signal } = this.#c;
    await this.#walk.to(this.#next(stops, limit), { signal, onPart: (part) => parts.record(part) });
  }

  /** Where the next part ends: a stop, an exit, or the limit. */
  #next(stops: readonly number[], limit: number): number {
    const stop = stops.find((cut) => cut > this.#walk.cut) ?? limit;
    return Math.min(stop, limit, Math.max(this.#walk.nextExit, this.#walk.cut + 1));
  }

  #inTime(stops = this.#c.stops, limit = this.#last): boolean {
    const { parts, scale, deadlineAt, marginMs } = this.#c;
    if (deadlineAt === Infinity) return true;
    const ms = parts.expected(this.#walk.cut, this.#next(stops, limit), this.#exits, scale);
    return now() + SLACK * ms <= deadlineAt - marginMs;
  }

  #outOfTime(): boolean {
    const { deadlineAt, marginMs } = this.#c;
    return now() >= deadlineAt - marginMs;
  }

  /** Expected time to the network's end, slack and margin included. */
  #restMs(): number {
    const { parts, scale, marginMs } = this.#c;
    return SLACK * parts.expected(this.#walk.cut, this.#last, this.#exits, scale) + marginMs;
  }

  #best(): WalkAnswer | undefined {
    return this.#walk.result().best[0];
  }

  #tellDevice(): void {
    const { cut } = this.#walk;
    const offline = this.#c.parts.offline(0, cut, this.#exits);
    if (offline !== undefined) this.#c.onDevice(this.#walk.result().computeMs, offline);
    if (this.#walk.done) this.#c.onSent();
  }

  #cancel(call: RemoteCall, reason: 'first' | 'deadline' | 'aborted'): void {
    const { emit, frame } = this.#c;
    const afterMs = now() - call.startedAt;
    call.cancel({ kind: reason === 'deadline' ? 'timeout' : 'cancelled', message: CANCELLED[reason] });
    emit({ kind: 'cancelled', at: now(), frame, reason, afterMs });
    this.#c.onRemote(call, true);
  }

  #local({ answer, reason }: Local): SplitAnswer {
    this.#c.onSent();
    const failure = this.#failure;
    return this.#answer(answer, 'device', { reason, ...(failure === undefined ? {} : { failure }) });
  }

  #answer(
    { exit, label, score, logits }: Omit<WalkAnswer, 'reached'>,
    where: SplitAnswer['where'],
    rest: Pick<SplitAnswer, 'reason' | 'failure'>,
  ): SplitAnswer {
    const { startedAt, deadlineAt, plan } = this.#c;
    const outcome = this.#call?.outcome;
    const report = outcome?.ok ? outcome.reply.report : undefined;
    const time = now();
    return {
      ...{ label, score, logits, exit, where },
      ...rest,
      late: time > deadlineAt,
      bytesSent: this.#call?.bytes ?? 0,
      bytesReceived: outcome?.ok ? outcome.reply.bytes : 0,
      times: {
        total: time - startedAt,
        device: this.#deviceMs + this.#walk.result().computeMs,
        pack: this.#packMs,
        remote: outcome?.ms ?? 0,
        server: report?.computeMs ?? 0,
        queue: report?.queueMs ?? 0,
      },
      plan,
    };
  }
}

/** A reply is late after the expected time, this many times, and some ms more; or after this where nothing is expected. */
const LATE_FACTOR = 2;
const LATE_BASE = 5;
const LATE_UNKNOWN = 100;

const CANCELLED = {
  first: 'the device was first',
  deadline: 'no answer before the deadline',
  aborted: 'the caller gave up',
} as const;

/** Throws OipError 'invalid' for a reply that is no answer for one sample of this network. */
export function checkReply(walk: SegmentWalk, design: DesignChoice | undefined, reply: RemoteReply): void {
  const { classes, final } = walk.network;
  const { logits, exit = final.exit } = reply;
  if (logits.length !== classes)
    throw new OipError('invalid', `the server gave ${logits.length} logits for one sample of ${classes} classes`);
  if (temperatureOf(walk, design, exit) === undefined)
    throw new OipError('invalid', `the server answered from exit ${exit}, which was not asked for`);
}

/** The temperature of an exit's softmax; undefined for exits that a design does not visit. */
function temperatureOf({ network }: SegmentWalk, design: DesignChoice | undefined, exit: number): number | undefined {
  const place = exit === network.final.exit ? (design?.exits.length ?? 0) : (design?.exits.indexOf(exit) ?? -1);
  if (place < 0) return undefined;
  const own = [...network.exits, network.final].find((candidate) => candidate.exit === exit);
  return design?.policy.temperatures?.[place] ?? own?.temperature;
}

/** Whether a sample left at an early exit by its policy, rather than being settled at the end. */
function left({ exits, policy }: DesignChoice, exit: number, row: RowEvidence): boolean {
  const place = exits.indexOf(exit);
  if (place < 0) return false;
  // The server alone knows streaks and gates.
  if (policy.kind === 'patience' || policy.kind === 'learned') return true;
  return leavesAt(policy, place, { ...row, streak: 0, gate: NaN });
}

/** Whether all samples go to the same place: no early exit lets one go. */
function leavesAtOneEnd(design: DesignChoice | undefined): boolean {
  return design === undefined || (design.truncated === true && design.exits.length === 1);
}

/** The cut at which a plan's last exit has answered. */
function endOf({ exits, final }: SplitNetwork, design: DesignChoice | undefined): number {
  const end = design?.truncated === true ? design.exits.at(-1) : final.exit;
  return [...exits, final].find(({ exit }) => exit === end)!.position;
}
