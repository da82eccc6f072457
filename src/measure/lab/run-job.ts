/** @file Does a lab's job on this host with the measuring code that the commands use; in Node and in browsers. */
// Not the folder's index: pages would load training as well.
import { exitCostsFile } from '../../exits/costs-file.js';
import { measureExitCosts } from '../../exits/measure-costs.js';
import { readProgressive } from '../../exits/progressive.js';
import { requiredInputs, type Model } from '../../ir/index.js';
import { decodeModel } from '../../onnx/index.js';
import { isNode, now } from '../../platform/index.js';
import {
  chooseBackend,
  describeDevice,
  measureLatency,
  openSession,
  profileModel,
  syntheticFeeds,
  type Backend,
  type SessionOptions,
} from '../../runtime/index.js';
import { describeLiteRt, isLiteRtConfigured, openLiteRt, type Accelerator } from '../../runtime/litert.js';
import { LabError } from './errors.js';
import type { JobKind, JobSpec } from './protocol.js';
import type { JobValues, LatencyResult } from './results.js';

/**
 * Measures what a job asks for. Throws LabError 'unsupported' for a back end or batch that cannot be had here, and what the
 * runtime and the readers throw. A web runtime has one thread count per thread of the host: run every job in a worker of its own.
 */
export async function runLabJob(spec: JobSpec, bytes: Uint8Array, signal?: AbortSignal): Promise<JobValues[JobKind]> {
  if (spec.format === 'tflite') return await measureTfLite(spec, bytes, signal);
  const model = decodeModel(bytes);
  const backend = backendOf(spec.backend);
  const session: SessionOptions = { backend, ...(spec.threads !== undefined && { threads: spec.threads }) };
  const symbols = { ...batchSymbols(model, spec.batch), ...spec.dims };
  const { runs, warmup, minSeconds } = spec;
  const measure = { runs, warmup, ...(minSeconds !== undefined && { minSeconds }), ...(signal && { signal }) };
  switch (spec.kind) {
    case 'latency':
      return await measureWhole(model, bytes, symbols, session, measure);
    case 'profile':
      return await profileModel(model, { ...session, ...measure, symbols });
    case 'exit-costs': {
      const chosen = (await chooseBackend(backend)).backend;
      const method = chosen === (isNode ? 'native' : 'wasm') ? 'profiler' : 'parts';
      const progressive = readProgressive(model);
      const measured = await measureExitCosts(progressive, {
        ...session,
        backend: chosen,
        ...{ method, runs },
        ...(signal && { signal }),
      });
      return exitCostsFile(progressive, measured);
    }
  }
}

async function measureWhole(
  model: Model,
  bytes: Uint8Array,
  symbols: Readonly<Record<string, number>>,
  options: SessionOptions,
  measure: { readonly runs: number; readonly warmup: number; readonly signal?: AbortSignal },
): Promise<LatencyResult> {
  const feeds = syntheticFeeds(model, symbols);
  const started = now();
  const session = await openSession(bytes, options);
  try {
    const loadMs = now() - started;
    const begun = now();
    await session.run(feeds);
    const firstMs = now() - begun;
    const latencyMs = await measureLatency(() => session.run(feeds), measure);
    return {
      device: await describeDevice({ backend: session.backend, threads: session.threads }),
      ...{ loadMs, firstMs, latencyMs },
      inputs: Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, [...dims]])),
      ...(await peakMemory()),
      remarks: [...session.remarks],
    };
  } finally {
    await session.release();
  }
}

const ACCELERATORS: Readonly<Record<string, Accelerator>> = {
  auto: 'wasm',
  litert: 'wasm',
  'litert-webgpu': 'webgpu',
};

async function measureTfLite(
  spec: JobSpec,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<LatencyResult> {
  const accelerator = ACCELERATORS[spec.backend];
  if (accelerator === undefined || !isLiteRtConfigured())
    throw new LabError('unsupported', 'lab/backend', `this agent runs no TensorFlow Lite models on '${spec.backend}'`, {
      hint: 'Browsers do, on litert and litert-webgpu; or convert the model: cuttle convert.',
    });
  if (spec.batch !== undefined || Object.keys(spec.dims).length > 0)
    throw new LabError('unsupported', 'lab/batch', 'a TensorFlow Lite model has the sizes that stand in its file', {
      hint: 'Leave --batch and --dim out.',
    });
  const { runs, warmup, minSeconds, threads } = spec;
  const options = { accelerator, ...(threads !== undefined && { threads }) };
  const started = now();
  const session = await openLiteRt(bytes, options);
  try {
    const loadMs = now() - started;
    const begun = now();
    await session.run();
    const firstMs = now() - begun;
    const measure = { runs, warmup, ...(minSeconds !== undefined && { minSeconds }), ...(signal && { signal }) };
    const latencyMs = await measureLatency(() => session.run(), measure);
    return {
      device: await describeLiteRt(options, session.threads),
      ...{ loadMs, firstMs, latencyMs },
      inputs: Object.fromEntries(Object.entries(session.inputs).map(([name, dims]) => [name, [...dims]])),
      remarks: [...session.remarks],
    };
  } finally {
    session.release();
  }
}

async function peakMemory(): Promise<{ readonly peakBytes?: number }> {
  if (!isNode) return {};
  const { memoryUse } = await import('../../platform/node/cpu.js');
  return { peakBytes: memoryUse().peakResidentBytes };
}

const OWN: readonly (Backend | 'auto')[] = ['native', 'wasm', 'webgpu', 'auto'];

function backendOf(name: string): Backend | 'auto' {
  const known = OWN.find((own) => own === name);
  if (known === undefined)
    throw new LabError('unsupported', 'lab/backend', `this agent has no back end '${name}'`, {
      hint: `It has: ${OWN.join(', ')}.`,
    });
  return known;
}

/** The batch as a size of the dims that stand for it. Throws LabError where an input's first axis is fixed at another size. */
function batchSymbols({ graph }: Model, batch: number | undefined): Record<string, number> {
  const symbols: Record<string, number> = {};
  if (batch === undefined) return symbols;
  for (const { name, type } of requiredInputs(graph)) {
    const first = type?.kind === 'tensor' ? type.shape?.[0] : undefined;
    if (typeof first === 'string') symbols[first] = batch;
    else if (first !== batch)
      throw new LabError(
        'unsupported',
        'lab/batch',
        `input '${name}' takes no batch of ${batch}: its first axis is ${first ?? 'not named'}`,
        {
          hint: 'Export the model with a named first axis.',
        },
      );
  }
  return symbols;
}
