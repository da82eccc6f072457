/** @file The agent for a phone over adb: this machine speaks with the lab, the framework's own program measures on the phone. */
import { AdbError, type AndroidDevice } from '../../platform/node/adb.js';
import { sleep } from '../../platform/index.js';
import { joinPath } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import { cacheFolder } from '../../platform/node/places.js';
import { randomToken } from '../../platform/node/private-file.js';
import {
  cleanDevice,
  DEVICE_PROGRAM,
  prepareDevice,
  runOnDevice,
  type AndroidMeasurement,
} from '../android/experiment.js';
import { androidState, describeAndroid, type AndroidDescription, type AndroidState } from '../android/properties.js';
import type { BenchmarkTool } from '../android/tools.js';
import { GiveUpError, runAgent, type AgentEvent, type AgentJob } from './agent.js';
import { LabClient } from './client.js';
import { LabError } from './errors.js';
import { fileIdentity } from './node-agent.js';
import {
  modelFormats,
  type DeviceState,
  type JobSpec,
  type LabDeviceDescription,
  type ModelFormat,
} from './protocol.js';
import type { LatencyResult } from './results.js';

export interface AndroidAgentOptions {
  readonly url: string;
  /** The lab's join token. */
  readonly token: string;
  /** Name that the phone asks for; its maker's and model's name where omitted. */
  readonly name?: string;
  /** Opens the phone; called again after it was lost. Throws AdbError where it is not attached. */
  readonly open: () => Promise<AndroidDevice>;
  readonly tool: BenchmarkTool;
  /** The tool's program for the phone's ABI. */
  readonly program: Uint8Array;
  /** Waits before each job until the phone is at most this warm, °C. */
  readonly coolTo?: number;
  /** Folder that remembers who this phone is to which lab; the user's cache where omitted. */
  readonly memory?: string;
  readonly maxJobs?: number;
  readonly onEvent?: (event: AgentEvent) => void;
  /** Hears that the phone is not attached, once each time. */
  readonly onDetached?: (why: string) => void;
  readonly signal?: AbortSignal;
}

/** Between two looks for a phone that is not attached. */
const LOOK_MS = 2000;
/** Threads where a job names none: more are slower on most phones, as they reach the little cores. */
const USUAL_THREADS = 4;

/**
 * Works for a lab on a phone. A phone that is unplugged keeps its place: its job goes back to the queue, and the agent waits for
 * the cable. Throws as `runAgent` does, AdbError where the phone is not there at first, LabError for a tool whose models no lab hands out.
 */
export async function runAndroidAgent(options: AndroidAgentOptions): Promise<void> {
  const { url, token, tool, onEvent, signal, maxJobs } = options;
  const formats = modelFormats.filter((format) => tool.models.includes(format));
  if (formats.length === 0)
    throw new LabError('usage', 'lab/tool', `${tool.title} runs none of the models that a lab hands out`, {
      hint: `Take a program that runs ${modelFormats.join(' or ')}.`,
    });
  let phone: AndroidDevice | undefined = await options.open();
  const description = await describeAndroid(phone);
  const name = options.name ?? `${description.manufacturer} ${description.model}`.trim();
  const folder = options.memory ?? joinPath(cacheFolder(), 'lab');
  /** What the phone answers; `undefined` where it is gone. */
  const whileAttached = async <T>(ask: (device: AndroidDevice) => Promise<T>): Promise<T | undefined> => {
    if (phone === undefined) return undefined;
    try {
      return await ask(phone);
    } catch (error) {
      if (!(error instanceof AdbError)) throw error;
      await phone.close().catch(() => undefined);
      phone = undefined;
      return undefined;
    }
  };
  try {
    await runAgent({
      name: deviceName(name),
      client: new LabClient({ url, token }),
      describe: async () => describe(description, tool, formats, await whileAttached(androidState)),
      state: async () => stateOf(await whileAttached(androidState)),
      identity: fileIdentity(
        joinPath(folder, `${sha256(JSON.stringify([url, description.serial])).slice(0, 16)}.json`),
      ),
      ready: async () => {
        for (let told = false; phone === undefined;) {
          signal?.throwIfAborted();
          try {
            phone = await options.open();
          } catch (error) {
            if (!(error instanceof AdbError)) throw error;
            if (!told) options.onDetached?.(error.message);
            told = true;
            await sleep(LOOK_MS, signal);
          }
        }
      },
      execute: async (job, model, stop) => {
        const value = await whileAttached((device) => measure(device, description, options, job, model, stop));
        if (value === undefined) throw new GiveUpError('the phone is not attached');
        return value;
      },
      newId: () => randomToken(12),
      ...(onEvent && { onEvent }),
      ...(maxJobs !== undefined && { maxJobs }),
      ...(signal && { signal }),
    });
  } finally {
    await phone?.close().catch(() => undefined);
  }
}

/** A name as the protocol wants it. */
export function deviceName(text: string): string {
  const plain = text.replace(/[^\p{L}\p{N} ._+()-]/gu, '').replace(/^[^\p{L}\p{N}]+/u, '');
  return plain.slice(0, 64) || 'device';
}

function describe(
  { manufacturer, model, soc, release, sdk, abis, memoryBytes, clusters }: AndroidDescription,
  { title, delegates }: BenchmarkTool,
  formats: readonly ModelFormat[],
  state: AndroidState | undefined,
): LabDeviceDescription {
  const cores = Math.max(
    1,
    clusters.reduce((sum, cluster) => sum + cluster.cores.length, 0),
  );
  const speeds = clusters.map((cluster) => `${cluster.cores.length} × ${cluster.maxMegahertz} MHz`).join(', ');
  return {
    agent: 'android',
    soc: `${manufacturer} ${model} (${soc})`,
    cpu: speeds || 'unknown',
    arch: abis[0] ?? 'unknown',
    physicalCores: cores,
    logicalCores: cores,
    cpuFeatures: [],
    ...(memoryBytes !== undefined && { memoryBytes }),
    os: `Android ${release} (API ${sdk})`,
    platform: `${title} over adb`,
    backends: Object.keys(delegates).map((name) => ({ name, maxThreads: cores, formats: [...formats] })),
    kinds: ['latency'],
    state: stateOf(state),
    remarks: ['whether the phone has a delegate shows when a job asks for it'],
  };
}

function stateOf(state: AndroidState | undefined): DeviceState {
  if (state === undefined) return {};
  const { batteryLevel, powered, celsius, batteryCelsius, thermalStatus, megahertz } = state;
  const heat = celsius ?? batteryCelsius;
  return {
    ...(batteryLevel !== undefined && { batteryLevel }),
    charging: powered,
    ...(heat !== undefined && { celsius: heat }),
    ...(thermalStatus !== undefined && { pressure: `thermal status ${thermalStatus}` }),
    ...(megahertz.length > 0 && { megahertz: Math.max(...megahertz) }),
  };
}

async function measure(
  device: AndroidDevice,
  description: AndroidDescription,
  { tool, program, coolTo }: AndroidAgentOptions,
  { spec }: AgentJob,
  model: Uint8Array,
  signal: AbortSignal,
): Promise<LatencyResult> {
  if (spec.batch !== undefined || Object.keys(spec.dims).length > 0 || spec.minSeconds !== undefined)
    throw new LabError(
      'unsupported',
      'lab/batch',
      `${tool.title} is asked for neither batches, dims nor a least time here`,
      {
        hint: 'Leave --batch, --dim and --min-seconds out, or see: cuttle bench android',
      },
    );
  const delegate = spec.backend === 'auto' ? Object.keys(tool.delegates)[0]! : spec.backend;
  const cores = description.clusters.reduce((sum, { cores: own }) => sum + own.length, 0);
  const threads = spec.threads ?? Math.max(1, Math.min(USUAL_THREADS, cores));
  const job = { tool, program, files: [{ name: `model.${spec.format ?? 'onnx'}`, bytes: model }] as const };
  // What runs on the phone does not hear of this machine's signals.
  const end = (): void => void device.shell(`pkill -f ${DEVICE_PROGRAM}`).catch(() => undefined);
  signal.addEventListener('abort', end, { once: true });
  try {
    await prepareDevice(device, job);
    signal.throwIfAborted();
    const measured = await runOnDevice(
      device,
      description,
      job,
      { plan: { threads }, delegate, warmup: spec.warmup, runs: spec.runs },
      { wait: (ms) => sleep(ms, signal), ...(coolTo !== undefined && { coolTo }) },
    );
    return latencyOf(measured, spec, description, tool, threads);
  } finally {
    signal.removeEventListener('abort', end);
    await cleanDevice(device);
  }
}

function latencyOf(
  { times, delegate, remarks }: AndroidMeasurement,
  spec: JobSpec,
  { soc, clusters, abis, memoryBytes, release, manufacturer, model }: AndroidDescription,
  tool: BenchmarkTool,
  threads: number,
): LatencyResult {
  const cores = Math.max(
    1,
    clusters.reduce((sum, cluster) => sum + cluster.cores.length, 0),
  );
  const known = { p50: times.p50Ms, p90: times.p90Ms, min: times.minMs, std: times.stdMs, runs: times.runs };
  const told = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
  return {
    device: {
      ...{ cpu: soc, arch: abis[0] ?? 'unknown', physicalCores: cores, logicalCores: cores, cpuFeatures: [] },
      ...(memoryBytes !== undefined && { memoryBytes }),
      ...{ os: `Android ${release}`, platform: `${manufacturer} ${model}`, threads },
      ...{ executionProvider: delegate, runtime: tool.title },
    },
    ...(times.loadMs !== undefined && { loadMs: times.loadMs }),
    ...(times.firstMs !== undefined && { firstMs: times.firstMs }),
    latencyMs: { ...told, mean: times.meanMs },
    inputs: {},
    ...(times.peakMemoryBytes !== undefined && { peakBytes: Math.round(times.peakMemoryBytes) }),
    remarks: [
      ...remarks,
      ...(times.runs === undefined ? [`the program does not say how many of ${spec.runs} runs it made`] : []),
    ],
  };
}
