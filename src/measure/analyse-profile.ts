/** @file A profile seen against the device's roofline: what each layer and each kind of operator achieved. */
import type { Model } from '../ir/index.js';
import type { Profile } from '../runtime/index.js';
import { layerWork, type LayerWork } from './layer-work.js';
import { achieved, ridgeOf, type Achieved, type Bound, type Roofline } from './roofline.js';

/** One layer of a profile, with its work and what it achieved. */
export interface AnalysedLayer extends LayerWork, Achieved {
  readonly name: string;
  readonly op: string;
  /** Kernel time, ms. */
  readonly ms: number;
  /** Part of all kernel time, 0 to 1. */
  readonly share: number;
  readonly members?: readonly string[];
}

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

export interface AnalysedProfile {
  readonly roofline: Roofline & { readonly ridge: number };
  /** In the profile's order. */
  readonly layers: readonly AnalysedLayer[];
  /** Dearest first. */
  readonly operators: readonly AnalysedOperator[];
  /** Share of the kernel time spent in layers that are bound by each. */
  readonly bounds: Readonly<Record<Bound, number>>;
}

/** Joins a profile to the model that it is of. Throws what shape inference throws. */
export function analyseProfile(model: Model, profile: Profile, roofline: Roofline): AnalysedProfile {
  const work = layerWork(model, profile);
  const layers = profile.layers.map((layer, i): AnalysedLayer => {
    const { name, op, ms, share, members } = layer;
    return { name, op, ms, share, ...(members && { members }), ...work[i]!, ...achieved(roofline, work[i]!, ms) };
  });
  const bounds: Record<Bound, number> = { compute: 0, memory: 0, overhead: 0 };
  for (const { bound, share } of layers) bounds[bound] += share;
  return { roofline: { ...roofline, ridge: ridgeOf(roofline) }, layers, operators: byOperator(layers), bounds };
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
