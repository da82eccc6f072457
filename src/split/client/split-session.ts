/** @file The device's side of a split network: decides, offloads, goes on meanwhile, and always has an answer. Node and browsers. */
import { CuttleError, type Model, type Tensor } from '../../ir/index.js';
import { now } from '../../platform/index.js';
import { syntheticFeeds } from '../../runtime/index.js';
// What runs where nobody measured anything: all exits, at the usual confidence.
import { allExits } from '../../exits/open-classifier.js';
import { isProgressive, readProgressive } from '../../exits/progressive.js';
import { openSplitNetwork, type SplitNetwork } from '../network.js';
import { modelDigest } from '../oip/index.js';
import { openCodecs, type Codecs } from '../packing/index.js';
import {
  OnlineProfile,
  placeOfExit,
  rulesOf,
  sideTimes,
  splitTables,
  type LinkOptions,
  type ProbeOptions,
  type SideTimes,
  type SplitProfile,
  type SplitTablesOptions,
} from '../profiler/index.js';
import { ChangeDetector, Scheduler, type ChangeOptions, type Conditions, type Goals } from '../scheduler/index.js';
import { SegmentWalk } from '../segment-walk.js';
import type { SegmentSessionsOptions } from '../segment-sessions.js';
import type { SplitAnswer, SplitEvent } from './answer.js';
import { runFrame, type Continuation, type FrameContext } from './frame-run.js';
import { PartTimes } from './part-times.js';
import { pipeline, type Started } from './pipeline.js';
import { planOf, samePlan, UNPACKED, watchfulDesign, type SplitPlan } from './plan.js';
import { RemoteCall } from './remote-call.js';
import { httpTransport, type WebProtocol } from './split-transport.js';
import { tablesOfCuts } from './tables-of-cuts.js';
import { failureOf, type RemoteFailure, type SplitTransport } from './transport.js';

/** Options that do not fit each other, or feeds that are not one sample. Exit code 2. */
export class SplitSessionError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'split/session', message, { hint });
  }
}

/** A server by its address; a transport where something else than Cuttle's own requests over `fetch` is wanted. */
export interface SplitServer {
  readonly url: string;
  /** The model's name there. */
  readonly model: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly client?: string;
  /** Form of the protocol; `http` where omitted. For gRPC in Node: `grpcTransport` of `cuttle/split/node`. */
  readonly protocol?: WebProtocol;
}

export interface SplitSessionOptions {
  /** Where the rest runs; without one everything runs on the device. */
  readonly server?: SplitServer | SplitTransport;
  /** What was measured of the network (`cuttle split table`): needed to decide. */
  readonly profile?: SplitProfile;
  /** Other machines than the profile's, and fewer choices. */
  readonly tables?: SplitTablesOptions;
  /** A plan to keep to, instead of deciding. */
  readonly plan?: SplitPlan;
  /** Least latency within 1 point of the best accuracy, where omitted. */
  readonly goals?: Goals;
  /** Exits that take part; all where omitted. Those of the profile where there is one. */
  readonly exits?: readonly number[];
  readonly session?: SegmentSessionsOptions;
  /** Where omitted, all that this host has. */
  readonly codecs?: Codecs;
  readonly online?: LinkOptions & ProbeOptions;
  readonly change?: ChangeOptions;
  /** The link until something is known of it: 10 Mbit/s and 20 ms where omitted. */
  readonly assumed?: { readonly latencyMs: number; readonly bytesPerMs: number };
  /** The device pauses this often (ms) behind the cut, to look for the reply; 5 where omitted. */
  readonly partMs?: number;
  /** Waiting ends this long before a deadline, ms; 4 where omitted. */
  readonly marginMs?: number;
  readonly onEvent?: (event: SplitEvent) => void;
}

export interface InferOptions {
  /** From the call, ms. Where it is too short for the first exit, the answer comes as soon as that one has one. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /**
   * What the device does while a request is out. Where omitted: `late` in streams of several frames and where the first soft
   * target is to spare the device (its time or its energy), else `exit`.
   */
  readonly continuation?: Continuation;
}

export interface StreamOptions extends InferOptions {
  /** Most frames under way; 4 where omitted. */
  readonly window?: number;
}

/** Failures in a row after which the server counts as unreachable, by kind; 1 for those not listed. */
const PATIENCE: Readonly<Partial<Record<RemoteFailure['kind'], number>>> = { timeout: 2 };

/** How long a probe may take, ms. */
const PROBE_MS = 5000;

/** How long the session waits for a server when it is opened, ms. */
const OPEN_PROBE_MS = 250;

/**
 * Opens a network for the device. Throws SplitSessionError for a server without profile or plan, SplitProfileError where
 * the profile is of another network, and what `openSplitNetwork` and the runtime throw; a server that is not there is no
 * error.
 */
export async function openSplitSession(model: Model, options: SplitSessionOptions = {}): Promise<SplitSession> {
  const { profile, plan, server } = options;
  if (server !== undefined && profile === undefined && plan === undefined)
    throw new SplitSessionError(
      'with a server, a session needs a profile to decide by, or a plan',
      'Make a profile with: cuttle split table MODEL --data DATA --out FILE',
    );
  const exits = options.exits ?? profile?.exits.map(({ exit }) => exit);
  const network = openSplitNetwork(model, exits === undefined ? {} : { exits });
  checkFits(network, profile, plan);
  const transport = server === undefined || 'prepare' in server ? server : await transportTo(model, server);
  const session = new SplitSession(network, transport, options.codecs ?? (await openCodecs()), {
    ...options,
    plan: plan ?? (profile === undefined ? localPlan(network) : undefined),
  });
  await session.prepare();
  return session;
}

/** A session; any number of inferences may be under way. */
export class SplitSession implements AsyncDisposable {
  readonly network: SplitNetwork;
  readonly #options: SplitSessionOptions;
  readonly #transport: SplitTransport | undefined;
  readonly #codecs: Codecs;
  readonly #walk: SegmentWalk;
  readonly #parts: PartTimes;
  readonly #stops: readonly number[];
  readonly #online: OnlineProfile;
  readonly #change: ChangeDetector;
  readonly #scheduler: Scheduler | undefined;
  /** The choices that are left while nothing can be sent. */
  readonly #alone: Scheduler | undefined;
  readonly #probeBits: number;
  readonly #serverTimes: Pick<SideTimes, 'cutMs' | 'exitMs'> | undefined;
  #goals: Goals;
  #plan: SplitPlan;
  #reachable = true;
  #refusal: RemoteFailure | undefined;
  #failures = 0;
  #frames = 0;
  #deciding: Promise<void> = Promise.resolve();
  readonly #probing = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  /** Use `openSplitSession`. */
  constructor(
    network: SplitNetwork,
    transport: SplitTransport | undefined,
    codecs: Codecs,
    options: SplitSessionOptions,
  ) {
    const { profile, plan } = options;
    this.network = network;
    this.#options = options;
    this.#transport = transport;
    this.#codecs = codecs;
    this.#walk = new SegmentWalk(network, options.session);
    this.#parts = new PartTimes(network, profile?.device);
    this.#stops = this.#parts.stops(options.partMs ?? 5);
    this.#online = new OnlineProfile(options.online);
    this.#change = new ChangeDetector(options.change);
    this.#scheduler = plan === undefined && profile ? schedulerOf(profile, options.tables, transport) : undefined;
    const last = network.cuts.cuts.length - 1;
    this.#alone =
      this.#scheduler && new Scheduler(tablesOfCuts(splitTables(profile!, options.tables), (cut) => cut === last));
    this.#goals = options.goals ?? defaultGoals(this.#scheduler);
    this.#probeBits = Math.min(8, ...(this.#scheduler?.tables.bits ?? []));
    const there = options.tables?.server;
    this.#serverTimes = profile && (there === undefined ? profile.server : sideTimes(profile, there));
    this.#plan = plan ?? localPlan(network);
  }

  /** What the next inference will do. */
  get plan(): SplitPlan {
    return this.#plan;
  }

  /** Whether requests are being sent; false after failures, until a probe is answered. */
  get reachable(): boolean {
    return this.#transport !== undefined && this.#reachable;
  }

  /** What is known of device, server and link now. */
  conditions(): Conditions {
    const { bytesPerMs, latencyMs, ...scales } = this.#online.conditions(now());
    const assumed = this.#options.assumed ?? { latencyMs: 20, bytesPerMs: 1250 };
    const known = this.#online.link.estimate(now());
    if (!this.reachable) return { ...scales, latencyMs, bytesPerMs: 0 };
    return {
      ...scales,
      latencyMs: known?.latencyMs ?? assumed.latencyMs,
      bytesPerMs: bytesPerMs > 0 ? bytesPerMs : assumed.bytesPerMs,
    };
  }

  /** The device is on another network (`wifi`, `4g` …): what is known of that one counts. */
  onNetwork(type: string): void {
    this.#online.link.network(type);
    this.#redecide();
  }

  /** Asks for something else from now on. Throws SchedulerError for goals that make no sense. */
  async setGoals(goals: Goals): Promise<void> {
    this.#scheduler?.decide(goals, this.conditions());
    this.#goals = goals;
    this.#redecide();
    await this.#deciding;
  }

  /** Loads what the first plan needs and asks the server once whether it is there; `openSplitSession` has done it. */
  async prepare(): Promise<void> {
    const last = this.network.cuts.cuts.length - 1;
    await this.#walk.prepare({ from: 0, to: last, design: watchfulDesign(this.network), stops: this.#stops });
    if (this.#parts.unknown) await this.#calibrate(last);
    if (this.#transport !== undefined) await this.#probeLink(this.#transport, OPEN_PROBE_MS);
    this.#redecide();
    await this.#deciding;
  }

  /**
   * Classifies one sample. Never throws because of the network or the server: then the device answers, and the answer says
   * why. Throws CutError for feeds that are not the network's inputs, SplitSessionError for more than one sample, the
   * signal's reason, and what the runtime throws.
   */
  async infer(feeds: Readonly<Record<string, Tensor>>, options: InferOptions = {}): Promise<SplitAnswer> {
    return await this.#start(feeds, { continuation: this.#ownContinuation(), ...options }).answer;
  }

  /**
   * Classifies a stream of samples, answers in their order: while one is on the link or at the server, the device works at
   * the next. A deadline counts from when the sample is taken from `frames`. Throws as `infer`, at the place of the sample.
   */
  stream(
    frames: AsyncIterable<Readonly<Record<string, Tensor>>> | Iterable<Readonly<Record<string, Tensor>>>,
    { window = 4, ...options }: StreamOptions = {},
  ): AsyncGenerator<SplitAnswer, void, undefined> {
    const continuation = window === 1 ? this.#ownContinuation() : 'late';
    return pipeline(frames, (feeds) => this.#start(feeds, { continuation, ...options }), window);
  }

  /** Calls off what is under way beside inferences, and frees all sessions. */
  async release(): Promise<void> {
    this.#closed.abort(new DOMException('the session was released', 'AbortError'));
    await Promise.all([this.#deciding, ...this.#probing]);
    this.#transport?.close?.();
    await this.#walk.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #ownContinuation(): Continuation {
    const { metric, goal } = this.#goals.targets[0] ?? {};
    return goal === 'min' && (metric === 'device' || metric === 'energy') ? 'late' : 'exit';
  }

  #start(feeds: Readonly<Record<string, Tensor>>, options: InferOptions): Started<SplitAnswer> {
    let onSent = (): void => undefined;
    const free = new Promise<void>((resolve) => (onSent = resolve));
    const answer = this.#infer(feeds, options, onSent).finally(onSent);
    return { free, answer };
  }

  async #infer(
    feeds: Readonly<Record<string, Tensor>>,
    { deadlineMs = Infinity, signal, continuation = 'exit' }: InferOptions,
    onSent: () => void,
  ): Promise<SplitAnswer> {
    const startedAt = now();
    signal?.throwIfAborted();
    this.#checkSample(feeds);
    const plan = this.#plan;
    const transport = this.reachable ? this.#transport : undefined;
    const frame = this.#frames++;
    this.#probeIfDue(plan, feeds, frame);
    const context: FrameContext = {
      ...{ frame, plan, transport, continuation, startedAt, signal, onSent },
      walk: this.#walk,
      parts: this.#parts,
      stops: this.#stops,
      codecs: this.#codecs,
      scale: this.#online.device.scale,
      without: this.#transport === undefined ? 'no-server' : this.#reachable ? 'planned' : 'unreachable',
      failure: this.reachable ? undefined : this.#refusal,
      deadlineAt: startedAt + deadlineMs,
      marginMs: this.#options.marginMs ?? 4,
      replyMs: (bytes) => this.#replyMs(plan, bytes),
      emit: (event) => this.#emit(event),
      onDevice: (ms, offlineMs) => this.#online.observe({ at: now(), device: { ms, offlineMs } }),
      onRemote: (call, cancelled) => this.#observe(plan, call, cancelled),
    };
    const answer = await runFrame(context, feeds);
    if (this.#change.observe(this.conditions())) this.#redecide();
    return answer;
  }

  #checkSample(feeds: Readonly<Record<string, Tensor>>): void {
    for (const name of this.network.inputs) {
      const axis = this.network.batchAxis(name);
      const samples = axis === undefined ? 1 : (feeds[name]?.dims[axis] ?? 1);
      if (samples !== 1)
        throw new SplitSessionError(`input '${name}' holds ${samples} samples`, 'Give one at a time, or use stream().');
    }
  }

  /** When a reply is expected, ms after sending. */
  #replyMs(plan: SplitPlan, bytes: number): number | undefined {
    const link = this.#online.link.estimate(now());
    if (link === undefined || link.bytesPerMs === 0) return undefined;
    const server = this.#serverOfflineMs(plan, undefined) * this.#online.server.scale;
    const told = plan.predicted === undefined ? 0 : server;
    return link.latencyMs + bytes / link.bytesPerMs + told;
  }

  /**
   * What the server needs from a plan's cut to the exit that answers (to the end where that is not known), the heads on the
   * way included; 0 where no profile knows it.
   */
  #serverOfflineMs({ cut, design }: Pick<SplitPlan, 'cut' | 'design'>, answered: number | undefined): number {
    if (this.#serverTimes === undefined) return 0;
    const { cutMs, exitMs } = this.#serverTimes;
    const { exits, final } = this.network;
    const ends = answered ?? (design?.truncated === true ? design.exits.at(-1)! : final.exit);
    const early = exits.find(({ exit }) => exit === ends);
    const end = early?.position ?? this.network.cuts.cuts.length - 1;
    const heads = exits.reduce((sum, { exit, position }, place) => {
      const runs = position > cut && exit <= ends && design?.exits.includes(exit) === true;
      return runs ? sum + exitMs[place]! : sum;
    }, 0);
    return cutMs.reduce((sum, ms, i) => (i > cut && i <= end ? sum + ms : sum), heads);
  }

  /** What a request showed of link and server. */
  #observe(plan: Pick<SplitPlan, 'cut' | 'design'>, call: RemoteCall, cancelled: boolean): void {
    const at = now();
    const outcome = call.outcome!;
    if (outcome.ok) {
      const { report, bytes, exit } = outcome.reply;
      const serverMs = report === undefined ? undefined : report.computeMs + report.queueMs;
      const total = call.bytes + bytes;
      this.#online.observe({
        at,
        ...(serverMs === undefined ? {} : { transfer: { bytes: total, ms: outcome.ms - serverMs } }),
        response: { ms: outcome.ms, bytes: total, serverMs, offlineMs: this.#serverOfflineMs(plan, exit) },
      });
      this.#failures = 0;
      return;
    }
    // As slow as this at the least.
    if (outcome.failure.kind === 'timeout' || cancelled) {
      const expected = this.#replyMs(this.#plan, call.bytes);
      if (expected === undefined || outcome.ms > expected) this.#online.link.transfer(call.bytes, outcome.ms, at);
    }
    if (outcome.failure.kind === 'cancelled') return;
    this.#count(outcome.failure);
  }

  /** One timeout is no reason to give the server up; a refusal is. */
  #count(failure: RemoteFailure): void {
    this.#failures++;
    if (this.#failures >= (PATIENCE[failure.kind] ?? 1)) this.#lose(failure);
  }

  /** Nothing is sent any more until a probe is answered. */
  #lose(failure: RemoteFailure): void {
    this.#refusal = failure;
    if (!this.#reachable) return;
    this.#reachable = false;
    this.#online.probes.sent(now());
    this.#online.probes.settled(false);
    this.#redecide();
  }

  /** While nothing is sent anyway, asks now and then whether that could change. */
  #probeIfDue(plan: SplitPlan, feeds: Readonly<Record<string, Tensor>>, frame: number): void {
    const transport = this.#transport;
    const idle = plan.cut === this.network.cuts.cuts.length - 1 || plan.predicted?.server === 0;
    if (transport === undefined || this.#scheduler === undefined) {
      if (transport === undefined || this.#reachable) return;
    } else if (this.#reachable && !idle) return;
    if (!this.#online.probes.due(now())) return;
    const probing = this.#reachable ? this.#probeLoad(transport, feeds, frame) : this.#probeLink(transport, PROBE_MS);
    this.#probing.add(probing);
    void probing.finally(() => this.#probing.delete(probing));
  }

  /** Whether the server is there at all; the round trip is the link's latency. */
  async #probeLink(transport: SplitTransport, timeoutMs: number): Promise<void> {
    const start = now();
    this.#online.probes.sent(start);
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#closed.signal]);
    try {
      await transport.probe(signal);
      const ms = now() - start;
      this.#online.link.latency(ms, now());
      this.#online.probes.settled(true);
      this.#failures = 0;
      this.#emit({ kind: 'probe', at: start, answered: true, ms });
      if (!this.#reachable) {
        this.#reachable = true;
        this.#refusal = undefined;
        this.#redecide();
      }
    } catch (cause) {
      this.#probeFailed(start, signal.aborted ? TIMED_OUT : failureOf(cause));
    }
  }

  /** How loaded the server is: a real request, from the inputs, whose answer nobody waits for. */
  async #probeLoad(transport: SplitTransport, feeds: Readonly<Record<string, Tensor>>, frame: number): Promise<void> {
    const start = now();
    this.#online.probes.sent(start);
    if (transport.tails !== undefined && !transport.tails.has(0)) return this.#online.probes.settled(false);
    try {
      const request = transport.prepare({
        ...{ cut: 0, codecs: this.#codecs, design: undefined, deadlineMs: undefined },
        tensors: Object.fromEntries(this.network.inputs.map((name) => [name, feeds[name]!])),
        packing: { bits: this.#probeBits, layout: 'lanes', codec: 'lz4' },
        logits: this.network.final.output,
      });
      const call = new RemoteCall(request);
      this.#emit({ kind: 'offload', at: start, frame, cut: 0, bytes: request.bytes });
      await call.wait(start + PROBE_MS, this.#closed.signal);
      if (call.outcome === undefined) call.cancel(TIMED_OUT);
      const outcome = call.outcome!;
      if (!outcome.ok) return this.#probeFailed(start, outcome.failure);
      this.#online.probes.settled(true);
      this.#observe({ cut: 0, design: undefined }, call, false);
      this.#emit({ kind: 'probe', at: start, answered: true, ms: outcome.ms });
      if (this.#change.observe(this.conditions())) this.#redecide();
    } catch (cause) {
      this.#probeFailed(start, failureOf(cause));
    }
  }

  #probeFailed(start: number, failure: RemoteFailure): void {
    this.#online.probes.settled(false);
    this.#emit({ kind: 'probe', at: start, answered: false, ms: now() - start, failure });
    if (this.#reachable) this.#count(failure);
    else this.#refusal = failure;
  }

  /** Without a profile, deadlines need to know what the parts take: any input tells. The first run warms up. */
  async #calibrate(last: number): Promise<void> {
    const symbols = Object.fromEntries(this.network.inputs.map((name) => [this.#batchSymbol(name), 1]));
    const tensors = syntheticFeeds(this.network.cuts.model, symbols);
    let parts: { readonly from: number; readonly to: number; readonly ms: number }[] = [];
    for (let run = 0; run < 2; run++) {
      parts = [];
      const design = watchfulDesign(this.network);
      await this.#walk.run({
        from: 0,
        to: last,
        tensors,
        design,
        stops: this.#stops,
        onPart: (part) => parts.push(part),
      });
    }
    this.#parts.calibrate(parts);
  }

  #batchSymbol(input: string): string {
    const type = this.network.types.get(input);
    const axis = this.network.batchAxis(input);
    const dim = type?.kind === 'tensor' && axis !== undefined ? type.shape?.[axis] : undefined;
    return typeof dim === 'string' ? dim : 'batch';
  }

  /** A new plan, once its parts are loaded; inferences go on by the old one meanwhile. */
  #redecide(): void {
    this.#deciding = this.#deciding.then(async () => {
      if (this.#closed.signal.aborted) return;
      const { profile } = this.#options;
      const scheduler = this.reachable ? this.#scheduler : this.#alone;
      const plan =
        scheduler === undefined
          ? this.#plan
          : planOf(profile!, scheduler, scheduler.decide(this.#goals, this.conditions()));
      await this.#load(plan);
      const changed = !samePlan(plan, this.#plan) || this.#plan.predicted === undefined;
      this.#plan = plan;
      if (changed) this.#emit({ kind: 'decision', at: now(), plan, reachable: this.reachable });
    });
  }

  /** Opens the sessions of a plan: up to its cut, and on from there. */
  async #load({ cut, design }: SplitPlan): Promise<void> {
    const last = this.network.cuts.cuts.length - 1;
    await this.#walk.prepare({ from: 0, to: cut, ...(design === undefined ? {} : { design }) });
    if (cut === last) return;
    const beyond = design ?? watchfulDesign(this.network);
    await this.#walk.prepare({ from: cut, to: last, design: beyond, stops: this.#stops });
  }

  #emit(event: SplitEvent): void {
    this.#options.onEvent?.(event);
  }
}

const TIMED_OUT: RemoteFailure = { kind: 'timeout', message: 'no answer in time' };

async function transportTo(model: Model, server: SplitServer): Promise<SplitTransport> {
  const { url, ...rest } = server;
  const digest = await modelDigest(model);
  return httpTransport(url, { ...rest, ...(digest === undefined ? {} : { digest }) });
}

/** Schedules among the cuts at which the server can go on. */
function schedulerOf(
  profile: SplitProfile,
  options: SplitTablesOptions | undefined,
  transport: SplitTransport | undefined,
): Scheduler {
  const tails = transport?.tails;
  if (tails === undefined) return new Scheduler(splitTables(profile, options));
  const bits = [...new Set([...tails.values()].map((tail) => tail.bits))];
  // A tail answers from the network's end: no exit behind it is the end of all samples.
  const first = Math.min(...tails.keys());
  const rules = (options?.rules ?? rulesOf(profile)).filter(
    (rule) => !('exit' in rule) || profile.exits[placeOfExit(profile, rule.exit)]!.position <= first,
  );
  const tables = splitTables(profile, { ...options, bits, rules });
  const last = profile.cuts.length - 1;
  return new Scheduler(tablesOfCuts(tables, (cut) => cut === last || tails.has(cut)));
}

/** Everything on the device: what runs without a server, and until something has been decided. */
function localPlan(network: SplitNetwork): SplitPlan {
  const { model } = network;
  const all = isProgressive(model) ? allExits(readProgressive(model)) : undefined;
  const fits = all !== undefined && network.exits.length === all.exits.length;
  return { cut: network.cuts.cuts.length - 1, design: fits ? all : undefined, packing: UNPACKED };
}

/** Least latency among what loses at most a point of accuracy. */
function defaultGoals(scheduler: Scheduler | undefined): Goals {
  const best = scheduler?.tables.accuracy.reduce((most, value) => Math.max(most, value), 0) ?? 0;
  return {
    constraints: [{ metric: 'accuracy', op: '>=', value: best - 0.01 }],
    targets: [{ metric: 'latency', goal: 'min' }],
  };
}

function checkFits(network: SplitNetwork, profile: SplitProfile | undefined, plan: SplitPlan | undefined): void {
  const cuts = network.cuts.cuts.length;
  if (profile !== undefined && profile.cuts.length !== cuts)
    throw new SplitSessionError(
      `the profile is of a network with ${profile.cuts.length} cuts, this one has ${cuts}`,
      'Measure this network: cuttle split table MODEL --data DATA --out FILE',
    );
  if (plan !== undefined && !(plan.cut >= 0 && plan.cut < cuts && Number.isInteger(plan.cut)))
    throw new SplitSessionError(`the plan's cut ${plan.cut} is not one of 0 to ${cuts - 1}`, 'See cutsOf(model).');
}
