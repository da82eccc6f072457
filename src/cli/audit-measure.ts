/** @file Found models as models that the engine runs, and results of benchmarks as the audit's measurements. */
import { convertModel, type ConvertibleFormat } from '../audit/index.js';
import type { ExtractedModel, Measurement } from '../audit/node.js';
import type { Model } from '../ir/index.js';
import type { AndroidMeasurement, BenchEntry } from '../measure/node.js';
import { decodeModel } from '../onnx/index.js';

/** Formats that this project's engine runs: ONNX as it is, the others converted. */
export const runnableFormats = ['onnx', 'tflite', 'graphdef', 'savedmodel'] as const;

/** The ONNX form of a found model. Throws what decoding and conversion throw: an unsupported operator, above all. */
export function runnableModel({ record, bytes }: ExtractedModel): Model {
  if (record.format === 'onnx') return decodeModel(bytes);
  return convertModel(record.format as ConvertibleFormat, bytes, { ends: 'real' }).model;
}

/** An entry of a benchmark on this computer. */
export function hostMeasurement(model: string, device: string, entry: BenchEntry): Measurement {
  const { provider, threads, batch } = entry.configuration;
  const { p50, p90, mean } = entry.latencyMs;
  return {
    schema: 1,
    model,
    device,
    backend: provider === 'native' ? 'cpu' : provider,
    threads,
    batch,
    latencyMs: { p50, p90, mean },
    cv: entry.cv,
    ...(entry.memory && { peakMemoryBytes: entry.memory.peakResidentBytes }),
  };
}

/** A measurement on a phone. What the framework's program does not print is the nearest that it does print, the mean. */
export function phoneMeasurement(
  model: string,
  device: string,
  { plan, batch, delegate, times, energy }: AndroidMeasurement,
): Measurement {
  const [threads, fastest] = plan.split('a').map(Number);
  const { meanMs, p50Ms = meanMs, p90Ms = times.maxMs ?? meanMs, stdMs } = times;
  return {
    schema: 1,
    model,
    device,
    backend: delegate,
    threads: threads!,
    ...(fastest !== undefined && { affinity: `${fastest} fastest` }),
    batch: batch ?? 1,
    latencyMs: { p50: p50Ms, p90: p90Ms, mean: meanMs },
    ...(stdMs !== undefined && { cv: stdMs / meanMs }),
    ...(energy !== undefined && { energyMj: 1000 * energy.joulesPerInference }),
    ...(times.peakMemoryBytes !== undefined && { peakMemoryBytes: times.peakMemoryBytes }),
  };
}
