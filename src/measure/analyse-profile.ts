/** @file A profile seen against the device's roofline: what each layer and each kind of operator achieved. */
import type { Model } from '../ir/index.js';
import type { Profile, ProfileLayer } from '../runtime/index.js';
import { layerWork, type LayerWork } from './layer-work.js';
import { achieved, ridgeOf, type Achieved, type Bound, type Roofline } from './roofline.js';

/** One layer of a profile, with its work and what it achieved. */
export type AnalysedLayer = ProfileLayer & LayerWork & Achieved;

/** All layers of one operator. */
export interface AnalysedOperator {
  readonly op: string;
  readonly layers: number;
  readonly ms: number;
  readonly share: number;
  readonly macs: number;
  readonly bytes: number;
  readonly gflops: number;
  readonly gbPerSecond: number;
}

/** The parts of a run's latency, each measured by itself. */
export interface Accounted {
  /** All kernels, starting them included. */
  readonly kernelMs: number;
  /** What of this is starting them: as many times an operator without work as there are kernels. */
  readonly dispatchMs: number;
  /** Handing over inputs and outputs. */
  readonly callMs: number;
  /** Kernels and call together, as a share of a run where nothing else disturbs: 1 where everything is explained. */
  readonly ofLatency: number;
}

export interface AnalysedProfile {
  readonly roofline: Roofline & { readonly ridge: number };
  /** In the profile's order. */
  readonly layers: readonly AnalysedLayer[];
  /** Dearest first. */
  readonly operators: readonly AnalysedOperator[];
  /** What the latency is made of. */
  readonly accounted: Accounted;
  /** Share of the kernel time spent in layers that are bound by each. */
  readonly bounds: Readonly<Record<Bound, number>>;
}

/** Joins a profile to the model that it is of. Throws what shape inference throws. */
export function analyseProfile(model: Model, profile: Profile, roofline: Roofline): AnalysedProfile {
  const work = layerWork(model, profile);
  const layers = profile.layers.map((layer, i): AnalysedLayer => {
    return { ...layer, ...work[i]!, ...achieved(roofline, work[i]!, layer.ms) };
  });
  const bounds: Record<Bound, number> = { compute: 0, memory: 0, overhead: 0 };
  for (const { bound, share } of layers) bounds[bound] += share;
  return {
    roofline: { ...roofline, ridge: ridgeOf(roofline) },
    ...{ layers, operators: byOperator(layers), bounds },
    accounted: account(profile, roofline),
  };
}

function account({ kernelMs, kernels, layers, callMs = 0, ...profile }: Profile, roofline: Roofline): Accounted {
  const dispatchMs = (kernels ?? layers.length) * roofline.dispatchMs;
  return { kernelMs, dispatchMs, callMs, ofLatency: (kernelMs + callMs) / (profile.quietMs ?? profile.latencyMs.p50) };
}

function byOperator(layers: readonly AnalysedLayer[]): readonly AnalysedOperator[] {
  const groups = new Map<string, AnalysedLayer[]>();
  for (const layer of layers) groups.set(layer.op, [...(groups.get(layer.op) ?? []), layer]);
  const sum = (group: readonly AnalysedLayer[], of: (layer: AnalysedLayer) => number): number =>
    group.reduce((total, layer) => total + of(layer), 0);
  return [...groups]
    .map(([op, group]): AnalysedOperator => {
      const ms = sum(group, (layer) => layer.ms);
      const rate = (amount: number): number => (ms > 0 ? amount / ms / 1e6 : 0);
      const bytes = sum(group, (layer) => layer.bytes);
      return {
        ...{ op, layers: group.length, ms, bytes },
        share: sum(group, (layer) => layer.share),
        macs: sum(group, (layer) => layer.macs),
        gflops: rate(sum(group, (layer) => layer.flops)),
        gbPerSecond: rate(bytes),
      };
    })
    .sort((a, b) => b.ms - a.ms);
}
