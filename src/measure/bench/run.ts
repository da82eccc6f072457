/** @file Runs a benchmark: every configuration opened several times, each time in a process of its own, by turns. Node only. */
import { type Model } from '../../ir/index.js';
import { describeHost, now } from '../../platform/index.js';
import { askChild } from '../../platform/node/ask-child.js';
import { joinPath, withTemporaryFolder, writeFileAtomic } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import { loadAverage } from '../../platform/node/load.js';
import { workerUrl } from '../../platform/node/workers.js';
import { measureLatency } from '../../runtime/index.js';
import type { ChildAnswer, ChildRequest } from './child-protocol.js';
import { configurationName, configurationsOf, type Configuration, type Sweep } from './configuration.js';
import type { OpeningPlan, Window } from './opening.js';
import { BENCH_VERSION, type BenchEntry, type BenchResult } from './schema.js';
import { summariseOpenings, summariseSustained, type MeasuredOpening } from './summary.js';
import { inPrecision, variantOf, type CalibrationBatches, type Variant } from './variant.js';

/** A model under a name. */
export interface BenchModel {
  readonly name: string;
  readonly model: Model;
  /** Of the file as it was given. */
  readonly sha256?: string;
  /** What static quantisation measures its ranges on; noise where omitted. */
  readonly calibration?: CalibrationBatches;
  /** Accuracy in the precision that is measured, asked for once per precision. */
  readonly accuracyOf?: (model: Model) => Promise<number>;
}

export interface BenchOptions {
  readonly models: readonly BenchModel[];
  readonly sweep: Sweep;
  /** Sessions opened per configuration, each in a process of its own; 5 where omitted. */
  readonly openings?: number;
  readonly plan?: Partial<OpeningPlan>;
  /** Sizes of symbolic dims other than the batch. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** What the models' `calibration` is, in words; `noise` where omitted. */
  readonly calibrationName?: string;
  /** After the openings, run each configuration without pause for so long. */
  readonly sustained?: { readonly seconds: number; readonly windowSeconds?: number };
  /** Keeps every run in the result. */
  readonly samples?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BenchProgress) => void;
}

export interface BenchProgress {
  readonly done: number;
  readonly total: number;
  /** Model and configuration. */
  readonly label: string;
  /** The newest stretch of a sustained run. */
  readonly window?: Window;
}

/** How an opening is measured unless told otherwise. */
export const defaultPlan: OpeningPlan = { warmup: 5, runs: 30, minSeconds: 0.5, maxSeconds: 20 };

const OPENINGS = 5;

interface Case {
  readonly name: string;
  readonly configuration: Configuration;
  readonly variant: Variant;
  readonly file: string;
  readonly sha256?: string;
  readonly accuracy?: number;
  readonly openings: MeasuredOpening[];
  windows?: readonly Window[];
  failure?: string;
}

/**
 * Measures every model in every configuration of the sweep. Sessions are opened by turns, so that a slow spell of the machine
 * falls on all configurations alike, and every opening is a process of its own: times, memory and cold start of one do not depend
 * on another. What a provider or a model cannot do is listed as skipped. Throws the signal's reason on abort.
 */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const { openings = OPENINGS, signal, onProgress, sustained } = options;
  const plan = { ...defaultPlan, ...options.plan };
  const startedAt = new Date().toISOString();
  const start = now();
  const average = loadAverage();
  const skipped: BenchResult['skipped'] = [];
  const runtimes: Record<string, string> = {};
  const nothing = await measureLatency(async () => Promise.resolve(), { warmup: 1000, runs: 10_000 });
  return await withTemporaryFolder(async (folder) => {
    const cases = await prepare(options, folder, skipped);
    const total = cases.length * (openings + (sustained ? 1 : 0));
    let done = 0;
    for (let round = 0; round < openings; round++)
      for (let turn = 0; turn < cases.length; turn++) {
        const item = cases[(round + turn) % cases.length]!;
        onProgress?.({ done: done++, total, label: labelOf(item) });
        if (item.failure !== undefined) continue;
        const answer = await ask(item, { plan, signal });
        if (answer?.opening === undefined) continue;
        const { opening, cold, memory } = answer;
        runtimes[item.configuration.provider] =
          `onnxruntime-${item.configuration.provider === 'native' ? 'node' : 'web'} ${opening.version}`;
        const { peakResidentBytes, baseResidentBytes } = memory;
        item.openings.push({
          ...opening,
          ...{ cold, memory: { peakResidentBytes, addedBytes: Math.max(0, peakResidentBytes - baseResidentBytes) } },
        });
      }
    if (sustained !== undefined)
      for (const item of cases) {
        if (item.failure !== undefined) continue;
        const { seconds } = sustained;
        const report = (window?: Window): void =>
          onProgress?.({ done, total, label: labelOf(item), ...(window && { window }) });
        report();
        const windowSeconds = windowOf(sustained);
        const answer = await ask(item, { plan, signal, sustained: { seconds, windowSeconds }, onWindow: report });
        if (answer?.windows) item.windows = answer.windows;
        done++;
      }
    for (const { name, configuration, failure } of cases)
      if (failure !== undefined) skipped.push({ model: name, configuration, reason: failure });
    const host = await describeHost();
    const device = { ...host, cpuFeatures: [...host.cpuFeatures] };
    return {
      kind: 'cuttle.bench',
      version: BENCH_VERSION,
      startedAt,
      seconds: (now() - start) / 1000,
      device: { ...device, fingerprint: sha256(JSON.stringify(device)) },
      runtimes,
      settings: {
        ...{ openings, ...plan },
        ...(options.sweep.precisions.includes('int8-static') && { calibration: options.calibrationName ?? 'noise' }),
      },
      harnessMs: nothing.mean,
      loadAverage: average,
      entries: cases.filter(({ failure }) => failure === undefined).map((item) => entryOf(item, options)),
      skipped,
    };
  });
}

function entryOf(item: Case, { samples, sustained }: BenchOptions): BenchEntry {
  const { name, configuration, variant, accuracy, windows } = item;
  const { macs, params, peakActivationBytes } = variant;
  return {
    model: {
      name,
      ...(item.sha256 !== undefined && { sha256: item.sha256 }),
      ...{ bytes: variant.bytes.length, macs, params, peakActivationBytes },
    },
    configuration,
    ...summariseOpenings(item.openings, { batch: configuration.batch, ...(samples && { samples }) }),
    ...(accuracy !== undefined && { accuracy }),
    ...(sustained && windows && { sustained: summariseSustained(windows, sustained.seconds, windowOf(sustained)) }),
  };
}

/** About six hundred windows, none shorter than a second. */
function windowOf({ seconds, windowSeconds }: NonNullable<BenchOptions['sustained']>): number {
  return windowSeconds ?? Math.max(1, seconds / 600);
}

const labelOf = ({ name, configuration }: Case): string => `${name}: ${configurationName(configuration)}`;

/** Builds every variant once and writes it into a file; those that cannot be built are skipped with their reason. */
async function prepare(options: BenchOptions, folder: string, skipped: BenchResult['skipped']): Promise<Case[]> {
  const { models, sweep, symbols, signal } = options;
  const configurations = configurationsOf(sweep);
  const cases: Case[] = [];
  for (const { name, model, sha256: digest, calibration, accuracyOf } of models) {
    /** By precision, then by precision, batch and resolution; a failure is kept as its reason. */
    const inPrecisions = new Map<string, { readonly model: Model; readonly accuracy?: number } | string>();
    const variants = new Map<string, { readonly variant: Variant; readonly file: string } | string>();
    for (const configuration of configurations) {
      signal?.throwIfAborted();
      const { precision, batch, resolution } = configuration;
      let converted = inPrecisions.get(precision);
      if (converted === undefined) {
        converted = await attempt(async () => {
          const given = await inPrecision(model, precision, calibration, symbols);
          return { model: given, ...(accuracyOf && { accuracy: await accuracyOf(given) }) };
        }, signal);
        inPrecisions.set(precision, converted);
      }
      const key = [precision, batch, resolution?.join('x')].join(' ');
      let built = variants.get(key);
      if (built === undefined) {
        const source = converted;
        built =
          typeof source === 'string'
            ? source
            : await attempt(async () => {
                const variant = variantOf(source.model, { batch, ...(resolution && { resolution }) }, symbols);
                const file = joinPath(folder, `${cases.length}-${variants.size}.onnx`);
                await writeFileAtomic(file, variant.bytes);
                return { variant, file };
              }, signal);
        variants.set(key, built);
      }
      if (typeof built === 'string') skipped.push({ model: name, configuration, reason: built });
      else
        cases.push({
          ...{ name, configuration, ...built, openings: [] },
          ...(digest !== undefined && { sha256: digest }),
          ...(typeof converted === 'object' && converted.accuracy !== undefined && { accuracy: converted.accuracy }),
        });
    }
  }
  return cases;
}

/** The result, or why there is none. The signal's reason goes on. */
async function attempt<T extends object>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T | string> {
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    return error instanceof Error ? error.message : String(error);
  }
}

/** One process for one case; a failure is noted in the case. */
async function ask(
  item: Case,
  given: {
    readonly plan: OpeningPlan;
    readonly signal?: AbortSignal | undefined;
    readonly sustained?: ChildRequest['sustained'];
    readonly onWindow?: (window: Window) => void;
  },
): Promise<ChildAnswer | undefined> {
  const { plan, signal, sustained, onWindow } = given;
  const { provider, threads } = item.configuration;
  const answer = await attempt(
    () =>
      askChild<ChildRequest, ChildAnswer, Window>(
        workerUrl(import.meta.url, './child.js'),
        {
          modelFile: item.file,
          inputs: item.variant.inputs,
          session: { backend: provider, threads },
          plan,
          askedAt: performance.timeOrigin + performance.now(),
          ...(sustained && { sustained }),
        },
        { ...(signal && { signal }), ...(onWindow && { onProgress: onWindow }) },
      ),
    signal,
  );
  if (typeof answer === 'object') return answer;
  item.failure = answer;
  return undefined;
}
