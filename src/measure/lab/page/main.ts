/** @file The agent's page: joins the lab that served it, measures in a worker per job, and says what it does. */
import { CuttleError } from '../../../ir/index.js';
import { milliseconds, threadCount } from './texts.js';
import { GiveUpError, runAgent, type AgentEvent, type AgentIdentity, type AgentJob } from '../agent.js';
import { configureLiteRt } from '../../../runtime/litert.js';
import { LabClient } from '../client.js';
import { describeLabDevice, labDeviceState } from '../describe.js';
import type { LabDeviceDescription } from '../protocol.js';
import type { JobReply, JobRequest } from './job-messages.js';

const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const field = (id: string): HTMLInputElement => at<HTMLInputElement>(id);

/** What the page remembers of this device. */
const KEY = 'cuttle-lab';
const SHOWN_JOBS = 50;

/** An error that crossed from the job's worker. */
class WorkerFailure extends CuttleError {}

function say(text: string, bad = false): void {
  const status = at('status');
  status.textContent = text;
  status.classList.toggle('bad', bad);
}

/** Two tabs must not be one device: without a lock over tabs, each tab is a device of its own. */
const store: Storage = 'locks' in navigator ? localStorage : sessionStorage;

const identity: AgentIdentity = {
  load: async () => {
    const text = store.getItem(KEY);
    return text === null ? undefined : (JSON.parse(text) as { readonly id: string; readonly secret: string });
  },
  save: async (known) => store.setItem(KEY, JSON.stringify(known)),
};

/** Measures in a fresh worker: a web runtime has one thread count for its whole life, and this page stays responsive. */
async function execute({ spec }: AgentJob, model: Uint8Array, signal: AbortSignal): Promise<unknown> {
  if (document.visibilityState === 'hidden') throw new GiveUpError('the page is in the background');
  const worker = startWorker(spec.format === 'tflite');
  let hidden: (() => void) | undefined;
  let stopped: (() => void) | undefined;
  try {
    return await new Promise<unknown>((resolve, reject) => {
      // Browsers slow pages in the background down: what is measured then is not the device.
      hidden = () => reject(new GiveUpError('the page went into the background while it measured'));
      stopped = () => reject(signal.reason as Error);
      document.addEventListener('visibilitychange', hidden);
      signal.addEventListener('abort', stopped);
      worker.onerror = (event) => reject(new Error(event.message || 'the worker could not be loaded'));
      worker.onmessage = ({ data }: MessageEvent<JobReply>) => {
        if (data.ok) return resolve(data.value);
        const { kind, code, message, hint } = data.error;
        reject(new WorkerFailure(kind, code, message, hint === undefined ? {} : { hint }));
      };
      worker.postMessage({ spec, model } satisfies JobRequest);
    });
  } finally {
    worker.terminate();
    if (hidden) document.removeEventListener('visibilitychange', hidden);
    if (stopped) signal.removeEventListener('abort', stopped);
  }
}

/**
 * LiteRT loads its script with `importScripts`, which module workers lack: for it the same module runs inside a classic worker,
 * which keeps what arrives before the module is there.
 */
function startWorker(classic: boolean): Worker {
  const module = new URL('./job-worker.js', import.meta.url);
  if (!classic) return new Worker(module, { type: 'module' });
  const script = `const early = [];
self.onmessage = (event) => early.push(event);
import(${JSON.stringify(module.href)}).then(
  () => early.forEach((event) => self.onmessage(event)),
  (error) => setTimeout(() => { throw error; }),
);`;
  const address = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  try {
    return new Worker(address);
  } finally {
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }
}

/** LiteRT is used where the lab's machine has it. */
async function findLiteRt(): Promise<void> {
  const folder = new URL('../../../../@litertjs/core/', import.meta.url);
  const found = await fetch(new URL('dist/index.js', folder), { method: 'HEAD' });
  if (found.ok) configureLiteRt(new URL('wasm/', folder).href);
}

function show(description: LabDeviceDescription): void {
  const { browser, os, soc, arch, logicalCores, memoryBytes, gpu, backends, remarks } = description;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['browser', browser],
    ['system', [os, arch === 'unknown' ? '' : arch].filter(Boolean).join(', ')],
    ['model', soc],
    ['cores', String(logicalCores)],
    ['memory', memoryBytes === undefined ? undefined : `${memoryBytes / 2 ** 30} GiB or more`],
    ['GPU', gpu],
    ['computes on', backends.map(({ name, maxThreads }) => `${name} (up to ${threadCount(maxThreads)})`).join(', ')],
    ...remarks.map((remark) => ['note', remark] as const),
  ];
  at('device').replaceChildren(
    ...rows.flatMap(([name, value]) => {
      if (!value) return [];
      const [term, text] = [document.createElement('dt'), document.createElement('dd')];
      term.textContent = name;
      text.textContent = value;
      return [term, text];
    }),
  );
}

function note(event: AgentEvent): void {
  switch (event.kind) {
    case 'joined':
      document.title = `${event.name} – Cuttle lab`;
      at('join').hidden = true;
      return say(`This device is “${event.name}”.`);
    case 'waiting':
      return say(`${document.title.split(' – ')[0]}: waiting for work.`);
    case 'started':
      return say(`Measuring ${event.job.spec.name} (${event.job.spec.kind}) …`);
    case 'stopped':
      return list(`${event.job.spec.name}: stopped by the lab`, true);
    case 'unreachable':
      return say(`The lab cannot be reached; trying again in ${Math.round(event.againMs / 1000)} s.`, true);
    case 'ended': {
      const { job, outcome } = event;
      const { name, kind, backend, threads } = job.spec;
      const what = `${name}, ${kind}, ${backend}${threads === undefined ? '' : `, ${threadCount(threads)}`}`;
      if (outcome.kind === 'done') return list(`${what}: ${milliseconds(outcome.value)}`);
      return list(`${what}: ${outcome.kind === 'failed' ? outcome.error.message : outcome.why}`, true);
    }
  }
}

function list(text: string, bad = false): void {
  const item = document.createElement('li');
  item.textContent = text;
  item.classList.toggle('failed', bad);
  at('jobs').prepend(item);
  while (at('jobs').childElementCount > SHOWN_JOBS) at('jobs').lastElementChild!.remove();
}

/** Takes no job while nobody could see it: it would only be given back. */
async function inFront(): Promise<void> {
  if (document.visibilityState === 'visible') return;
  say('Waiting until this page is in front again.');
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (document.visibilityState === 'hidden') return;
      document.removeEventListener('visibilitychange', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
  });
}

async function work(name: string, token: string): Promise<void> {
  const client = new LabClient({ url: location.origin, token });
  const options = {
    client,
    name,
    identity,
    execute,
    ready: inFront,
    describe: describeLabDevice,
    state: labDeviceState,
  };
  await runAgent({ ...options, newId: randomId, onEvent: note });
}

/** `crypto.randomUUID` is kept from insecure pages, random values are not. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Keeps the screen on, where the browser lets a page do so. */
async function stayAwake(): Promise<void> {
  try {
    await (navigator as { readonly wakeLock?: WakeLock }).wakeLock?.request('screen');
  } catch {
    // Low battery or the user's own setting: the hint on the page says what to do.
  }
}

async function begin(name: string, token: string): Promise<void> {
  void stayAwake();
  document.addEventListener('visibilitychange', () => void (document.visibilityState === 'visible' && stayAwake()));
  const run = async (): Promise<void> => {
    try {
      await work(name, token);
    } catch (error) {
      const hint = error instanceof CuttleError && error.hint !== undefined ? ` ${error.hint}` : '';
      say(`${error instanceof Error ? error.message : String(error)}.${hint}`, true);
      at('join').hidden = false;
    }
  };
  if (!('locks' in navigator)) return await run();
  await navigator.locks.request(KEY, { ifAvailable: true }, async (lock) => {
    if (lock === null) return say('Another tab of this browser is an agent already: use that one, or close it.', true);
    await run();
  });
}

async function open(): Promise<void> {
  const given = new URLSearchParams(location.hash.slice(1));
  await findLiteRt();
  const description = await describeLabDevice();
  show(description);
  const usual = [description.soc ?? description.os, description.browser].filter(Boolean).join(' ');
  field('name').value =
    given.get('name') ??
    (usual
      .replace(/[^\p{L}\p{N} ._+()-]/gu, '')
      .trim()
      .slice(0, 56) ||
      'browser');
  field('token').value = given.get('token') ?? '';
  at<HTMLFormElement>('join').addEventListener('submit', (event) => {
    event.preventDefault();
    void begin(field('name').value.trim(), field('token').value.trim());
  });
  if (field('token').value === '') return say('Type the join token that `cuttle lab serve` has printed.');
  await begin(field('name').value, field('token').value);
}

void open();
