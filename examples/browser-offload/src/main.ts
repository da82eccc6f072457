/** @file The page: opens a split session, sends images through it, shows where each was computed. */
import { readClasses, readPreprocessing, type Preprocessing } from 'cuttle/data';
import { decodeModel } from 'cuttle/onnx';
import {
  designText,
  httpTransport,
  openSplitSession,
  parseSplitProfile,
  type SplitEvent,
  type SplitSession,
} from 'cuttle/split';
import type { SplitAnswer } from 'cuttle/split';
import { cameraFrames, inputOf, rgbaOf, sampleFrames, SIDE, type Frame } from './frames.js';
import { PageLink, type LinkState } from './link.js';
import './style.css';

/** Images of one click on the button. */
const SAMPLES = 200;
/** Bars in the history. */
const BARS = 60;
/** A camera's pace, so that one can see what happens, ms. */
const PACE = 120;
/** Every answer within this time, ms. */
const DEADLINE = 500;

const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const field = (id: string): HTMLInputElement => at<HTMLInputElement>(id);
const button = (id: string): HTMLButtonElement => at<HTMLButtonElement>(id);
const link = new PageLink();

interface Opened {
  readonly session: SplitSession;
  readonly preprocessing: Preprocessing;
  readonly classes: readonly string[] | undefined;
}

let opened: Opened | undefined;
let running: AbortController | undefined;
const totals = { answers: 0, server: 0, known: 0, right: 0, ms: 0, bytes: 0 };

async function open(): Promise<void> {
  const [model, profile] = [field('model').files?.[0], field('profile').files?.[0]];
  if (model === undefined || profile === undefined) return say('Choose a model and its split profile first.');
  running?.abort();
  await opened?.session.release();
  opened = undefined;
  say('Loading …');
  const decoded = decodeModel(new Uint8Array(await model.arrayBuffer()));
  const session = await openSplitSession(decoded, {
    server: httpTransport(field('server').value, { model: field('name').value, fetch: link.fetch }),
    profile: parseSplitProfile(await profile.text()),
    goals: goals(),
    session: { backend: 'wasm' },
    onEvent: note,
  });
  const preprocessing = readPreprocessing(decoded) ?? GREY;
  opened = { session, preprocessing, classes: readClasses(decoded) };
  for (const id of ['run', 'camera']) button(id).disabled = false;
  showPlan();
  say(session.reachable ? 'Ready: the server is there.' : 'Ready, without a server: everything is computed here.');
}

const GREY: Preprocessing = { height: SIDE, width: SIDE, channels: 'gray', mean: [0], std: [1] };

const goals = () => ({
  constraints: [],
  targets: [{ metric: at<HTMLSelectElement>('aim').value as 'latency' | 'device' | 'server', goal: 'min' as const }],
});

async function run(source: (signal: AbortSignal) => AsyncIterable<Frame>): Promise<void> {
  if (opened === undefined) return;
  running?.abort();
  const controller = (running = new AbortController());
  const { session, preprocessing } = opened;
  const { signal } = controller;
  button('stop').disabled = false;
  say('Running …');
  try {
    for await (const frame of source(signal)) {
      if (signal.aborted) break;
      const answer = await session.infer(
        { [session.network.inputs[0]!]: inputOf(frame, preprocessing) },
        { deadlineMs: DEADLINE, signal },
      );
      show(frame, answer);
      await new Promise((resolve) => setTimeout(resolve, PACE));
    }
    say(signal.aborted ? 'Stopped.' : 'Done.');
  } catch (error) {
    say(signal.aborted ? 'Stopped.' : String(error instanceof Error ? error.message : error));
  } finally {
    if (running === controller) button('stop').disabled = true;
  }
}

async function* samples(): AsyncGenerator<Frame> {
  for (const frame of await sampleFrames(SAMPLES)) yield frame;
}

const REASONS: Readonly<Record<NonNullable<SplitAnswer['reason']>, string>> = {
  'no-server': 'there is no server',
  planned: 'it pays to compute here',
  exit: 'an exit was sure before anything was sent',
  first: 'this page was first',
  surer: 'an exit here was surer',
  deadline: 'time was up',
  unreachable: 'the server is gone',
  failed: 'the request failed',
};

function show(frame: Frame, answer: SplitAnswer): void {
  at<HTMLCanvasElement>('frame')
    .getContext('2d')!
    .putImageData(new ImageData(rgbaOf(frame), SIDE, SIDE), 0, 0);
  const name = opened?.classes?.[answer.label] ?? String(answer.label);
  at('verdict').textContent = `${name} · ${(100 * answer.score).toFixed(0)} %`;
  const here = answer.where === 'device';
  at('where').textContent = here
    ? `computed by this page, exit ${answer.exit}: ${REASONS[answer.reason!]}`
    : `computed by the server from cut ${answer.plan.cut}, exit ${answer.exit}`;
  at('where').className = answer.where;
  totals.answers++;
  totals.server += here ? 0 : 1;
  totals.ms += answer.times.total;
  totals.bytes += answer.bytesSent;
  if (frame.label !== undefined) {
    totals.known++;
    totals.right += frame.label === answer.label ? 1 : 0;
  }
  at('share').textContent = `${((100 * totals.server) / totals.answers).toFixed(0)} %`;
  at('right').textContent = totals.known === 0 ? '–' : `${((100 * totals.right) / totals.known).toFixed(0)} %`;
  at('mean').textContent = `${(totals.ms / totals.answers).toFixed(1)} ms`;
  at('sent').textContent = `${(totals.bytes / 1000).toFixed(1)} kB`;
  const bar = document.createElement('li');
  bar.className = answer.where;
  bar.style.height = `${Math.min(100, 12 * Math.log2(1 + answer.times.total))}%`;
  bar.title = `${name}: ${answer.where}, ${answer.times.total.toFixed(1)} ms, ${answer.bytesSent} bytes`;
  const strip = at('strip');
  strip.append(bar);
  while (strip.children.length > BARS) strip.firstElementChild!.remove();
  showPlan();
}

function showPlan(): void {
  if (opened === undefined) return;
  const { session } = opened;
  const { cut, packing, design } = session.plan;
  const last = session.network.cuts.cuts.length - 1;
  const exits = designText(design);
  at('plan').textContent =
    cut === last ? `Plan: everything here, ${exits}.` : `Plan: cut ${cut} of ${last}, ${packing.bits} bits, ${exits}.`;
}

/** What is worth a line: decisions, failures, probes. */
function note(event: SplitEvent): void {
  const text =
    event.kind === 'decision'
      ? `plan: cut ${event.plan.cut}${event.reachable ? '' : ', without a server'}`
      : event.kind === 'failed'
        ? `a request failed: ${event.failure.message}`
        : event.kind === 'probe'
          ? event.answered
            ? `the server answered a probe after ${event.ms.toFixed(0)} ms`
            : 'a probe came to nothing'
          : undefined;
  if (text === undefined) return;
  const line = document.createElement('li');
  line.textContent = text;
  const list = at('events');
  list.prepend(line);
  while (list.children.length > 6) list.lastElementChild!.remove();
}

function say(text: string): void {
  at('status').textContent = text;
}

const complain = (error: unknown): void => say(error instanceof Error ? error.message : String(error));
button('open').addEventListener('click', () => void open().catch(complain));
button('run').addEventListener('click', () => void run(samples));
button('camera').addEventListener('click', () => {
  void run((signal) => cameraFrames(at<HTMLVideoElement>('video'), signal));
});
button('stop').addEventListener('click', () => running?.abort());
at('aim').addEventListener('change', () => void opened?.session.setGoals(goals()).then(showPlan));
at('link').addEventListener('change', (event) => {
  link.state = (event.target as HTMLInputElement).value as LinkState;
});
