/** @file `cuttle lab serve` and `cuttle lab join`: the two ends of a device lab that stay up. */
import { renderUnicodeCompact } from 'uqr';
import { benchmarkTools } from '../measure/android/tools.js';
import type { AgentEvent } from '../measure/lab/agent.js';
import { isLoopback } from '../measure/lab/guard.js';
import { LAB_FILES } from '../measure/lab/lab-folder.js';
import { deviceName, runAndroidAgent } from '../measure/lab/android-agent.js';
import { runNodeAgent } from '../measure/lab/node-agent.js';
import type { ResultView } from '../measure/lab/protocol.js';
import { openResultStore, type ResultStore } from '../measure/lab/result-store.js';
import { startLab, type Lab } from '../measure/lab/server.js';
import { openAndroid } from '../platform/node/adb.js';
import { joinPath, readBytes, readText } from '../platform/node/files.js';
import { hostName, lanAddresses } from '../platform/node/network.js';
import type { LabOptions } from './lab-options.js';
import { UsageError, type VerbContext, type VerbResult } from './verb.js';

/** Runs a lab until Ctrl-C. */
export async function labServe({ options, console, signal }: VerbContext<LabOptions>): Promise<VerbResult> {
  const { dir, host, port, tlsCert, tlsKey, allowHost, lease, attempts } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new UsageError('--tls-cert and --tls-key go together', 'See: cuttle lab --help');
  const tls = tlsCert === undefined ? undefined : { cert: await readText(tlsCert), key: await readText(tlsKey!) };
  let store: ResultStore | undefined;
  const keep = (result: ResultView): void =>
    void store?.put(result).catch((error: Error) => console.warn(`a result is in the journal alone: ${error.message}`));
  await using lab = await startLab({
    ...{ folder: dir, host, port, leaseMs: lease * 1000, maxAttempts: attempts },
    ...(tls && { tls }),
    ...(allowHost && { names: allowHost }),
    onResult: keep,
    onEvent: (event) => {
      const line = describeEvent(event, lab);
      if (line !== undefined) console.log(line);
    },
    onDefect: (error) => console.warn(`internal error: ${error instanceof Error ? error.message : String(error)}`),
  });
  const database = joinPath(dir, LAB_FILES.database);
  try {
    store = await openResultStore(database, lab.service.queue.results());
  } catch (error) {
    // The journal holds everything; the tables can be made at any later start.
    console.warn(`results are in the journal alone, not in ${database}: ${(error as Error).message}`);
  }
  introduce(lab, host, tls !== undefined, (line) => console.log(line));
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await lab.close();
  await store?.close();
  const { queue } = lab.service;
  const jobs = queue.jobs();
  const count = (state: string): number => jobs.filter((job) => job.state === state).length;
  const totals = {
    devices: queue.devices(Date.now()).length,
    jobs: jobs.length,
    done: count('done'),
    failed: count('failed'),
  };
  return {
    json: { url: lab.url, dir, ...totals },
    text: `${dir}: ${totals.devices} devices, ${totals.done} of ${totals.jobs} jobs done, ${totals.failed} failed`,
  };
}

/** Says how devices come in: addresses with the token behind the #, which no server sees, and as a picture for cameras. */
function introduce(lab: Lab, host: string, secure: boolean, say: (line: string) => void): void {
  const { joinToken } = lab.file;
  const scheme = secure ? 'https' : 'http';
  const all = host === '0.0.0.0' || host === '::';
  const bases = all ? lanAddresses().map((address) => `${scheme}://${address}:${lab.port}`) : [lab.url];
  const pages = (bases.length > 0 ? bases : [`${scheme}://127.0.0.1:${lab.port}`]).map(
    (base) => `${base}/#token=${joinToken}`,
  );
  say(`lab at ${lab.url}, join token ${joinToken}`);
  say(`browsers open ${pages.join(' or ')}`);
  say(`machines with Node run: cuttle lab join ${pages[0]!.split('/#')[0]} --token ${joinToken}`);
  if (isLoopback(host))
    say(
      `only this machine reaches it; for others: --host 0.0.0.0, or for a phone on a cable: adb reverse tcp:${lab.port} tcp:${lab.port}`,
    );
  else if (!secure) say('browsers of other machines run one thread and no WebGPU without --tls-cert and --tls-key');
  say(renderUnicodeCompact(pages[0]!, { border: 2 }));
}

function describeEvent(
  event: Parameters<NonNullable<Parameters<typeof startLab>[0]['onEvent']>>[0],
  lab: Lab,
): string | undefined {
  const { queue } = lab.service;
  const nameOf = (id: string | undefined): string => (id === undefined ? 'the lab' : (queue.device(id)?.name ?? id));
  switch (event.kind) {
    case 'joined':
      return `${event.device.name} joined: ${event.description.browser ?? event.description.cpu}, ${event.description.logicalCores} cores`;
    case 'lost':
      return `${event.job}: lost, ${event.why}`;
    case 'settled': {
      const said =
        event.outcome.kind === 'failed'
          ? `failed on ${nameOf(event.device)}: ${event.outcome.error.message}`
          : `done by ${nameOf(event.device)}`;
      return `${event.job} (${queue.job(event.job)?.spec.name ?? ''}): ${said}`;
    }
    case 'cancelled':
      return `${event.job}: cancelled`;
    default:
      return undefined;
  }
}

/** Works for a lab until Ctrl-C, or for `--max-jobs` jobs. */
export async function labJoin({ args, options, console, signal }: VerbContext<LabOptions>): Promise<VerbResult> {
  const given = args[1];
  if (given === undefined) throw new UsageError('join whom?', 'Say: cuttle lab join URL --token TOKEN');
  const address = parseAddress(given);
  const token = options.token ?? address.token;
  if (token === undefined)
    throw new UsageError(
      'joining needs the join token',
      '`cuttle lab serve` prints it: give --token, or the whole address with #token=.',
    );
  const done = { jobs: 0, failed: 0 };
  let name = deviceName(options.name ?? hostName());
  const onEvent = (event: AgentEvent): void => {
    if (event.kind === 'joined') {
      ({ name } = event);
      console.log(`joined as '${name}'; Ctrl-C to leave`);
    }
    if (event.kind === 'started') console.log(`measuring ${event.job.spec.name} (${event.job.spec.kind})`);
    if (event.kind === 'stopped') console.log(`${event.job.spec.name}: stopped by the lab`);
    if (event.kind === 'unreachable') console.warn(`${event.why}; again in ${event.againMs / 1000} s`);
    if (event.kind !== 'ended') return;
    done.jobs++;
    if (event.outcome.kind === 'failed') done.failed++;
    const failure = event.outcome.kind === 'failed' ? `: ${event.outcome.error.message}` : '';
    console.log(`${event.job.spec.name}: ${event.outcome.kind}${failure}`);
  };
  const common = {
    ...{ url: address.url, token, signal, onEvent },
    ...(options.maxJobs !== undefined && { maxJobs: options.maxJobs }),
  };
  try {
    if (options.android === undefined) await runNodeAgent({ ...common, name });
    else {
      const { android: serial, program, tool, coolTo } = options;
      const [host, port] = options.adb.split(':');
      if (program === undefined)
        throw new UsageError(
          '--android needs --program',
          `The benchmark program of ${tool}, built for the phone’s ABI.`,
        );
      await runAndroidAgent({
        ...common,
        ...(options.name !== undefined && { name: options.name }),
        ...(coolTo !== undefined && { coolTo }),
        open: () => openAndroid(serial === true ? undefined : serial, { host: host!, port: Number(port) }),
        tool: benchmarkTools[tool],
        program: await readBytes(program),
        onDetached: (why) => console.warn(`${why}; waiting for it`),
      });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return { json: { name, ...done }, text: `${name}: ${done.jobs} jobs, ${done.failed} of them failed` };
}

/** A lab's address, with or without the token behind its #. */
function parseAddress(given: string): { readonly url: string; readonly token: string | undefined } {
  let parsed: URL;
  try {
    parsed = new URL(given.includes('://') ? given : `http://${given}`);
  } catch {
    throw new UsageError(`'${given}' is no address`, 'Say: cuttle lab join http://HOST:8420 --token TOKEN');
  }
  return { url: parsed.origin, token: new URLSearchParams(parsed.hash.slice(1)).get('token') ?? undefined };
}
