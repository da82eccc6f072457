/** @file Exit costs from a device of a lab: the network goes there, its times come back. */
import { parseExitCosts, type ExitCostsFile, type Progressive } from '../exits/index.js';
import { LabError } from '../measure/lab/errors.js';
import { openLabClient, readLab } from '../measure/lab/lab-folder.js';
import type { JobSpec } from '../measure/lab/protocol.js';
import { keyOf } from '../measure/lab/queue.js';
import { encodeModel } from '../onnx/index.js';
import { sha256 } from '../platform/node/hash.js';
import { formatDuration } from './console.js';
import type { VerbContext } from './verb.js';

export interface LabDeviceOptions {
  readonly device: string;
  /** The lab's folder or URL. */
  readonly lab: string;
  /** The owner's, where the lab is a URL. */
  readonly token: string | undefined;
  /** Of the device. */
  readonly backend: string;
  readonly threads: number;
  /** How long the device may let it wait, ms. */
  readonly patienceMs: number;
}

const RUNS = 30;
/** Between two looks at the job. */
const LOOK_MS = 2000;

/**
 * Has a device of a lab measure what the parts of a progressive model cost there. What the lab's folder holds already is taken
 * from it, with or without a server. Throws LabError where the device is unknown, cannot do it, or does not come in time.
 */
export async function measureOnDevice(
  progressive: Progressive,
  options: LabDeviceOptions,
  { console, signal }: Pick<VerbContext<unknown>, 'console' | 'signal'>,
): Promise<ExitCostsFile> {
  const { device, lab, backend, threads } = options;
  const bytes = encodeModel(progressive.model);
  const model = sha256(bytes);
  const spec: JobSpec = {
    ...{ kind: 'exit-costs', model, name: 'progressive.onnx', backend, threads },
    ...{ dims: {}, runs: RUNS, warmup: 0 },
  };
  const kept = /^https?:/.test(lab) ? undefined : await keptCosts(lab, device, spec);
  if (kept !== undefined) {
    console.log(`'${device}' has measured it already`);
    return kept;
  }
  const client = await openLabClient(lab, options.token);
  if (!(await client.holds(model, signal))) await client.putModel(model, bytes, signal);
  const { jobs } = await client.submit({ devices: [device], specs: [spec] }, signal);
  const { id } = jobs[0]!;
  const found = (await client.devices(signal)).find(({ name }) => name === device);
  if (found !== undefined && !found.live)
    console.warn(
      `'${device}' was last heard of ${formatDuration(Date.now() - found.seenAt)} ago: is its agent running?`,
    );
  const giveUpAt = Date.now() + options.patienceMs;
  for (;;) {
    const job = await client.settled(id, { maxMs: LOOK_MS, signal });
    if (job.state === 'done') return parseExitCosts((await client.result(id, signal)).value);
    if (job.state === 'cancelled')
      throw new LabError('failed', 'lab/cancelled', `the job on '${device}' was cancelled`);
    if (job.state === 'failed') {
      const { kind, message, hint } = job.error!;
      throw new LabError(kind, 'lab/job-failed', `'${device}' could not measure it: ${message}`, {
        hint: hint ?? 'See: cuttle lab jobs',
      });
    }
    if (job.state === 'queued' && Date.now() > giveUpAt) {
      await client.cancel(id, signal);
      throw new LabError('failed', 'lab/no-device', `'${device}' did not take the job`, {
        hint: 'Start its agent (cuttle lab join, or the page in front), then run the same command again.',
      });
    }
  }
}

/** What a lab's folder knows of this network on this device. */
async function keptCosts(folder: string, device: string, spec: JobSpec): Promise<ExitCostsFile | undefined> {
  const key = keyOf(device, spec);
  const known = (await readLab(folder)).results().filter((result) => keyOf(result.device, result.spec) === key);
  return known.length === 0 ? undefined : parseExitCosts(known.at(-1)!.value);
}
