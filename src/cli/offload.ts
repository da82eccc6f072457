/** @file What `cuttle offload` does: opens a split session, sends images through it, shows decisions as they are made. */
import { batches, readClasses, resolvePreprocessing, type Preprocessing } from '../data/index.js';
import { preprocessImage } from '../data/node.js';
import { requiredInputs, type Model, type Tensor } from '../ir/index.js';
import { openModel } from './open-model.js';
import { basename } from '../platform/node/files.js';
import { now } from '../platform/index.js';
import { milliseconds, percent, textTable } from '../report/index.js';
import { summarise } from '../runtime/index.js';
import {
  designText,
  measureSplit,
  openCodecs,
  openSplitNetwork,
  openSplitSession,
  SegmentWalk,
  type Goals,
  type LabelledInputs,
  type SplitAnswer,
  type SplitEvent,
  type SplitPlan,
  type SplitProfile,
  type SplitServer,
  type SplitTransport,
} from '../split/index.js';
import { grpcTransport } from '../split/client/grpc-client.js';
import { modelDigest } from '../split/oip/model-digest.js';
import { readSplitProfile } from '../split/split-profile-file.js';
import { openImages, preprocessingGiven, reportAssumed } from './data-options.js';
import type { OffloadOptions } from './offload-options.js';
import { goalsGiven } from './split-goals.js';
import { sessionGiven } from './session-options.js';
import type { VerbContext, VerbResult } from './verb.js';

/** One image; its class where it is known. */
interface Sample {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly label: number | undefined;
}

/** Labelled images that a profile made on the spot is measured on. */
const MEASURED = 64;

/** Runs `cuttle offload MODEL`. */
export async function offloadImages(context: VerbContext<OffloadOptions>, path: string): Promise<VerbResult> {
  const { options, console, signal } = context;
  const model = await openModel(path, console);
  const { preprocessing, assumed } = resolvePreprocessing(model, preprocessingGiven(options));
  reportAssumed(context, assumed);
  const { samples, labelled, count } = await openSamples(context, model, preprocessing);
  const profile = options.profile === undefined ? undefined : await readSplitProfile(options.profile);
  const server = await serverOf(options, path, model);
  const goals = goalsOf(options);
  const start = now();
  const events: object[] = [];
  const progress = console.progress('offloading', count);
  const answers: { readonly answer: SplitAnswer; readonly label: number | undefined }[] = [];
  const onEvent = (event: SplitEvent): void => {
    const { at, ...rest } = event;
    events.push({ ...rest, ms: at - start, ...('plan' in rest && { plan: planJson(rest.plan) }) });
    const line = eventLine(event);
    if (line !== undefined) console.log(`${((at - start) / 1000).toFixed(2).padStart(8)} s  ${line}`);
  };
  const labels: (number | undefined)[] = [];
  const feeds = async function* (): AsyncGenerator<Readonly<Record<string, Tensor>>> {
    for (let round = 0; round < options.repeat; round++)
      for await (const { feeds: sample, label } of samples()) {
        labels.push(label);
        yield sample;
      }
  };
  await using session = await openSplitSession(model, {
    ...(server && { server, profile: profile ?? (await profileHere(context, model, labelled)) }),
    ...(server === undefined && profile && { profile }),
    ...(goals && { goals }),
    session: sessionGiven(options),
    onEvent,
  });
  const inferring = {
    signal,
    window: options.window,
    ...(options.deadline !== undefined && { deadlineMs: options.deadline }),
  };
  const began = now();
  for await (const answer of session.stream(feeds(), inferring)) {
    answers.push({ answer, label: labels[answers.length] });
    progress.update(answers.length, noteOf(answers, session.plan));
  }
  progress.end(noteOf(answers, session.plan));
  const seconds = (now() - began) / 1000;
  return resultOf({ answers, events, seconds, plan: session.plan, model, options });
}

/** The server as it was named; gRPC has a transport of its own, since `fetch` cannot carry it. */
async function serverOf(
  { server: url, name, token, transport }: OffloadOptions,
  path: string,
  model: Model,
): Promise<SplitServer | SplitTransport | undefined> {
  if (url === undefined) return undefined;
  const asked = { model: name ?? basename(path).replace(/\.onnx$/, ''), ...(token !== undefined && { token }) };
  if (transport === 'grpc') return grpcTransport(url, { ...asked, digest: await modelDigest(model) });
  return { url, protocol: transport, ...asked };
}

/** Undefined where nothing is asked for: then the session's own goals hold, which keep the accuracy. */
function goalsOf(options: OffloadOptions): Goals | undefined {
  const asked = [options.require, options.target, options.minimise, options.maximise];
  return asked.every((list) => list === undefined) ? undefined : goalsGiven(options);
}

async function openSamples(
  context: VerbContext<OffloadOptions>,
  model: Model,
  preprocessing: Preprocessing,
): Promise<{
  readonly samples: () => AsyncIterable<Sample>;
  /** For a profile made on the spot; its labels are the network's own where none are known. */
  readonly labelled: () => Promise<readonly LabelledInputs[]>;
  readonly count: number;
}> {
  const { options, signal } = context;
  const input = requiredInputs(model.graph)[0]!.name;
  if (options.input !== undefined) {
    const image = { [input]: await preprocessImage(options.input, preprocessing) };
    return {
      samples: async function* () {
        yield { feeds: image, label: undefined };
      },
      async labelled() {
        const network = openSplitNetwork(model);
        await using walk = new SegmentWalk(network, sessionGiven(options));
        const { answers } = await walk.run({ from: 0, to: network.cuts.cuts.length - 1, tensors: image });
        return [{ feeds: image, labels: [answers[0]!.label] }];
      },
      count: options.repeat,
    };
  }
  const opening = { data: options.data!, limit: options.limit, onBad: options.onBad };
  const data = await openImages(context, opening, { seed: options.seed, calibrateOn: 'test' }, preprocessing);
  const single = { batchSize: 1, preprocessing, signal };
  return {
    samples: async function* () {
      for await (const { images, labels } of batches(data.test, single))
        yield { feeds: { [input]: images }, label: labels.numbers()[0] };
    },
    async labelled() {
      const found: LabelledInputs[] = [];
      for await (const { images, labels } of batches(data.calibration, single)) {
        found.push({ feeds: { [input]: images }, labels: labels.numbers() });
        if (found.length === MEASURED) break;
      }
      return found;
    },
    count: data.test.size * options.repeat,
  };
}

/** A profile made on the spot: few samples, few widths, the server taken as fast as the device until it tells its times. */
async function profileHere(
  { console, options, signal }: VerbContext<OffloadOptions>,
  model: Model,
  labelled: () => Promise<readonly LabelledInputs[]>,
): Promise<SplitProfile> {
  console.warn('no --profile: a rough one is measured now (cuttle split table makes a better one, once)');
  const progress = console.progress('measuring cuts', 1);
  const profile = await measureSplit(model, await labelled(), {
    ...sessionGiven(options),
    ...{ bits: [4, 8, 32], thresholds: [0.5, 0.8, 0.9, 0.95, 0.99], runs: 5, timedSamples: 2 },
    ...{ codecs: await openCodecs(), signal },
    progress: (done, total) => progress.update(done / total),
  });
  progress.end();
  return profile;
}

const planText = ({ cut, packing, design, predicted }: SplitPlan, last?: number): string =>
  [
    cut === last ? 'all on the device' : `cut ${cut}, ${packing.bits} bit ${packing.codec}`,
    designText(design),
    ...(predicted === undefined
      ? []
      : [`expects ${milliseconds(predicted.latency)}, ${percent(predicted.accuracy)} right`]),
  ].join(', ');

/** A line for people about what happened; none for what happens with every image. */
function eventLine(event: SplitEvent): string | undefined {
  switch (event.kind) {
    case 'decision':
      return `${event.reachable ? 'decided' : 'no server'}: ${planText(event.plan)}`;
    case 'failed':
      return `request ${event.frame} failed: ${event.failure.kind}: ${event.failure.message}`;
    case 'probe':
      return event.answered
        ? `the server answered a probe in ${milliseconds(event.ms)}`
        : `a probe failed: ${event.failure?.message ?? 'no answer'}`;
    default:
      return undefined;
  }
}

interface Answered {
  readonly answer: SplitAnswer;
  readonly label: number | undefined;
}

function noteOf(answers: readonly Answered[], { cut, packing }: SplitPlan): string {
  const recent = answers.slice(-50);
  const server = recent.filter(({ answer }) => answer.where === 'server').length / Math.max(1, recent.length);
  const mean = recent.reduce((sum, { answer }) => sum + answer.times.total, 0) / Math.max(1, recent.length);
  return `cut ${cut}, ${packing.bits} bit; ${percent(server, 0)} by the server, ${milliseconds(mean)} each`;
}

const planJson = ({ cut, design, packing, predicted, unmet }: SplitPlan): object => ({
  ...{ cut, packing, predicted, unmet },
  threshold: design === undefined || design.truncated === true ? null : design.policy.thresholds,
  exit: design?.truncated === true ? design.exits.at(-1) : null,
});

function resultOf(given: {
  readonly answers: readonly Answered[];
  readonly events: readonly object[];
  readonly seconds: number;
  readonly plan: SplitPlan;
  readonly model: Model;
  readonly options: OffloadOptions;
}): VerbResult {
  const { answers, events, seconds, plan, model, options } = given;
  const names = readClasses(model);
  const nameOf = (index: number): string => names?.[index] ?? String(index);
  const known = answers.filter(({ label }) => label !== undefined);
  const right = known.filter(({ answer, label }) => answer.label === label).length;
  const accuracy = known.length === 0 ? null : right / known.length;
  const latencyMs = summarise(answers.map(({ answer }) => answer.times.total));
  const bytesSent = answers.reduce((sum, { answer }) => sum + answer.bytesSent, 0);
  const groups = new Map<string, Answered[]>();
  for (const one of answers) {
    const { where, reason, exit } = one.answer;
    const key = JSON.stringify([where, reason ?? '', exit]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const rows = [...groups.values()].map((group) => {
    const { where, reason, exit } = group[0]!.answer;
    const meanMs = group.reduce((sum, { answer }) => sum + answer.times.total, 0) / group.length;
    return { where, reason: reason ?? null, exit, answers: group.length, meanMs };
  });
  const late = answers.filter(({ answer }) => answer.late).length;
  const first = answers[0]?.answer;
  return {
    json: {
      server: options.server ?? null,
      samples: answers.length,
      ...{ accuracy, seconds, bytesSent, late },
      latencyMs: { p50: latencyMs.p50, p90: latencyMs.p90, p99: latencyMs.p99, mean: latencyMs.mean },
      plan: planJson(plan),
      computed: rows,
      answers: answers.map(({ answer, label }) => ({
        label: nameOf(answer.label),
        ...(label !== undefined && { expected: nameOf(label) }),
        ...{ score: answer.score, exit: answer.exit, where: answer.where, reason: answer.reason ?? null },
        ...(answer.failure && { failure: answer.failure }),
        ...{ late: answer.late, bytesSent: answer.bytesSent, times: answer.times },
      })),
      events,
    },
    text: [
      answers.length === 1 && first
        ? `${nameOf(first.label)} (${percent(first.score)}), computed on the ${first.where} in ${milliseconds(first.times.total)}`
        : `${answers.length} images in ${seconds.toFixed(1)} s (${(answers.length / seconds).toFixed(1)} per s)${accuracy === null ? '' : `, ${percent(accuracy)} right`}; ${milliseconds(latencyMs.mean)} each (p99 ${milliseconds(latencyMs.p99)}), ${(bytesSent / 1000).toFixed(1)} kB sent${options.deadline === undefined ? '' : `, ${late} after the deadline`}`,
      '',
      textTable(
        [
          { name: 'computed', value: (row) => row.where },
          { name: 'because', value: (row) => row.reason ?? 'offloaded' },
          { name: 'exit', align: 'right', value: (row) => String(row.exit) },
          { name: 'answers', align: 'right', value: (row) => String(row.answers) },
          { name: 'mean', align: 'right', value: (row) => milliseconds(row.meanMs) },
        ],
        rows,
      ),
    ].join('\n'),
  };
}
