/** @file Learns how long layers take from profiles, and predicts networks that were never run. */
import type { Model } from '../../ir/index.js';
import type { Profile } from '../../runtime/index.js';
import { spearman } from '../rank.js';
import { median } from '../statistics.js';
import { describeLayers, featureNames, type DescribedLayer, type Features } from './features.js';
import { fusedLayers } from './fused-layers.js';
import { PROBES } from './probes.js';
import { apply, fitLaw, fitLearner, lawTime, type LearnerOptions, type Worked } from './regression.js';
import { PREDICTOR_VERSION, PredictorError, type NetworkSample, type Predictor } from './schema.js';

export interface Prediction {
  readonly latencyMs: number;
  readonly layers: readonly (DescribedLayer & { readonly ms: number })[];
}

/** Learners that compete for every family. Those without a law learn the time itself, the others what it is of the law's. */
const CONTESTANTS: Readonly<Record<string, LearnerOptions & { readonly law: boolean }>> = {
  law: { law: true, linear: false, ridge: 0, rounds: 0 },
  'law and trees': { law: true, linear: false, ridge: 0, rounds: 60 },
  'ridge and trees': { law: false, linear: true, ridge: 0.05, rounds: 60 },
};

/** Fewer layers than this say nothing of their family; then all layers together do. */
const ENOUGH = 8;
const ANY = 'any';
/** Weights of a network this large have half left a cache when their layer comes: about the second level, and the third. */
const CACHES = { coldBytes: 2 ** 21, farBytes: 2 ** 25 };

/** A profile as a sample: its layers described by the model that it is of. Throws what shape inference throws. */
export function networkSample(
  name: string,
  group: string,
  model: Model,
  profile: Pick<Profile, 'layers' | 'inputs' | 'latencyMs'>,
): NetworkSample {
  const described = describeLayers(model, profile.layers, profile.inputs);
  return {
    ...{ name, group, latencyMs: profile.latencyMs.p50 },
    macs: described.reduce((sum, { work }) => sum + work.macs, 0),
    layers: described.map(({ family, features }, i) => ({ family, features, ms: profile.layers[i]!.ms })),
    fused: describeLayers(model, fusedLayers(model.graph), profile.inputs).map(({ family, features }) => ({
      family,
      features,
    })),
  };
}

/**
 * Learns a predictor: per family of layers the learner that does best where each group is held out in turn, then what a run costs
 * beyond its kernels. With three groups or more the whole is validated in the same way, beside two proxies by MACs. Probes
 * (`probeNetworks`) are learned from, and never held out.
 * Throws PredictorError where there is nothing to learn from.
 */
export function fitPredictor(samples: readonly NetworkSample[], device: Profile['device']): Predictor {
  if (!samples.some(({ layers }) => layers.some(({ ms }) => ms > 0)))
    throw new PredictorError('usage', 'the profiles hold no layer to learn from');
  const fitted = fitFamilies(samples);
  const real = samples.filter(({ group }) => group !== PROBES);
  const groups = new Set(real.map(({ group }) => group));
  return {
    kind: 'cuttle.predictor',
    version: PREDICTOR_VERSION,
    device,
    features: [...featureNames],
    ...fitted,
    networks: real.map(({ name }) => name),
    probes: samples.length - real.length,
    ...(groups.size >= 3 && { validation: validate(samples) }),
  };
}

type Fitted = Pick<Predictor, 'families' | 'overhead'>;

/** Predicts a model at the sizes that its inputs have. Throws what shape inference throws. */
export function predictLatency(
  predictor: Fitted,
  model: Model,
  inputs: Readonly<Record<string, readonly number[]>>,
): Prediction {
  const layers = describeLayers(model, fusedLayers(model.graph), inputs).map((layer) => ({
    ...layer,
    ms: layerTime(predictor, layer),
  }));
  return { latencyMs: runTime(predictor, layers), layers };
}

const inputOf = (features: Features): number[] => featureNames.map((name) => Math.log1p(features[name]));

function workOf(features: Features): Worked {
  const { weightBytes, networkBytes } = features;
  const beyond = (cache: number): number => (weightBytes * networkBytes) / (networkBytes + cache);
  return { ...features, coldBytes: beyond(CACHES.coldBytes), farBytes: beyond(CACHES.farBytes) };
}

type FittedFamily = Pick<Predictor['families'][string], 'law' | 'fitted'>;

function timeOf({ law, fitted }: FittedFamily, features: Features): number {
  return Math.exp(apply(fitted, inputOf(features))) * (law === undefined ? 1 : lawTime(law, workOf(features)));
}

function layerTime({ families }: Fitted, { family, features }: NetworkSample['fused'][number]): number {
  return timeOf(families[family] ?? families[ANY]!, features);
}

function runTime({ overhead }: Fitted, layers: readonly { readonly ms: number }[]): number {
  return layers.reduce((sum, { ms }) => sum + ms, overhead.runMs + overhead.layerMs * layers.length);
}

/** A layer to learn from. */
interface Row {
  readonly group: string;
  readonly features: Features;
  readonly ms: number;
  /** Its part of its network's kernel time: how much an error about it matters. */
  readonly weight: number;
}

function fitFamilies(samples: readonly NetworkSample[]): Fitted {
  const byFamily = new Map<string, Row[]>([[ANY, []]]);
  for (const { group, layers } of samples) {
    const total = layers.reduce((sum, { ms }) => sum + ms, 0);
    for (const { family, features, ms } of layers) {
      if (!(ms > 0)) continue;
      const row = { group, features, ms, weight: ms / total };
      byFamily.get(ANY)!.push(row);
      byFamily.set(family, [...(byFamily.get(family) ?? []), row]);
    }
  }
  const families: Predictor['families'] = {};
  for (const [family, rows] of byFamily) {
    if (family !== ANY && rows.length < ENOUGH) continue;
    const [best] = Object.entries(family === ANY ? { law: CONTESTANTS['law']! } : CONTESTANTS)
      .map(([learner, options]) => ({ learner, options, error: heldOutError(rows, options) }))
      .sort((a, b) => a.error.squared - b.error.squared);
    const { learner, options, error } = best!;
    families[family] = { learner, layers: rows.length, medianError: error.median, ...fitRows(rows, options) };
  }
  return { families, overhead: fitOverhead(samples) };
}

function fitRows(rows: readonly Row[], { law: lawful, ...options }: (typeof CONTESTANTS)[string]): FittedFamily {
  const law = lawful
    ? fitLaw(
        rows.map(({ features }) => workOf(features)),
        rows.map(({ ms }) => ms),
      )
    : undefined;
  const xs = rows.map(({ features }) => inputOf(features));
  const ys = rows.map(({ features, ms }) => Math.log(ms / (law === undefined ? 1 : lawTime(law, workOf(features)))));
  return { ...(law && { law }), fitted: fitLearner(xs, ys, options) };
}

/** Error on layers of groups that were left out: on the logarithmic scale, weighted (mean square), and as a share (median). */
function heldOutError(
  rows: readonly Row[],
  options: (typeof CONTESTANTS)[string],
): { readonly squared: number; readonly median: number } {
  const names = [...new Set(rows.map(({ group }) => group))].filter((group) => group !== PROBES);
  const grouped = names.length > 1 || (names.length === 1 && rows.some(({ group }) => group === PROBES));
  // One group alone is split into five parts; neighbouring layers then know of each other, but there is nothing better.
  const folds = rows.map(({ group }, i) => (grouped ? names.indexOf(group) : i % 5));
  const errors: { readonly error: number; readonly weight: number }[] = [];
  for (const fold of new Set(folds.filter((at) => at >= 0))) {
    const inside = rows.filter((_, i) => folds[i] !== fold);
    if (inside.length === 0) continue;
    const fitted = fitRows(inside, options);
    for (const { features, ms, weight } of rows.filter((_, i) => folds[i] === fold))
      errors.push({ error: Math.log(timeOf(fitted, features) / ms), weight });
  }
  const weights = errors.reduce((sum, { weight }) => sum + weight, 0);
  return {
    squared: errors.reduce((sum, { error, weight }) => sum + weight * error ** 2, 0) / (weights || 1),
    median: errors.length === 0 ? 0 : median(errors.map(({ error }) => Math.abs(Math.exp(error) - 1))),
  };
}

/** Latency less kernels = a per run + b per layer, neither negative, least squares of the shares of the latency. */
function fitOverhead(samples: readonly NetworkSample[]): Predictor['overhead'] {
  const rows = samples.map(({ latencyMs, layers }) => ({
    rest: (latencyMs - layers.reduce((sum, { ms }) => sum + ms, 0)) / latencyMs,
    run: 1 / latencyMs,
    layer: layers.length / latencyMs,
  }));
  const sum = (of: (row: (typeof rows)[number]) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const [rr, rl, ll] = [
    sum(({ run }) => run * run),
    sum(({ run, layer }) => run * layer),
    sum(({ layer }) => layer * layer),
  ];
  const [ry, ly] = [sum(({ run, rest }) => run * rest), sum(({ layer, rest }) => layer * rest)];
  const determinant = rr * ll - rl * rl;
  const both =
    determinant > 1e-12 * rr * ll
      ? { runMs: (ry * ll - ly * rl) / determinant, layerMs: (ly * rr - ry * rl) / determinant }
      : undefined;
  if (both !== undefined && both.runMs >= 0 && both.layerMs >= 0) return both;
  const errorOf = ({ runMs, layerMs }: Predictor['overhead']): number =>
    sum(({ rest, run, layer }) => (rest - run * runMs - layer * layerMs) ** 2);
  const alone = [
    { runMs: Math.max(0, ry / rr), layerMs: 0 },
    { runMs: 0, layerMs: Math.max(0, ly / ll) },
  ];
  return alone.sort((a, b) => errorOf(a) - errorOf(b))[0]!;
}

function validate(samples: readonly NetworkSample[]): NonNullable<Predictor['validation']> {
  const groups = new Set(samples.map(({ group }) => group));
  groups.delete(PROBES);
  const networks = [...groups].flatMap((held) => {
    const known = samples.filter(({ group }) => group !== held);
    const fitted = fitFamilies(known);
    // Probes are single layers put together at random: the proxies do better without them.
    const proxies = fitMacs(known.filter(({ group }) => group !== PROBES));
    return samples
      .filter(({ group }) => group === held)
      .map(({ name, group, macs, latencyMs, fused }) => ({
        ...{ name, group, measuredMs: latencyMs },
        predictedMs: runTime(
          fitted,
          fused.map((layer) => ({ ms: layerTime(fitted, layer) })),
        ),
        macsMs: proxies.proportional(macs),
        macsPowerMs: proxies.power(macs),
      }));
  });
  const measured = networks.map(({ measuredMs }) => measuredMs);
  const errorsOf = (predicted: readonly number[]) => {
    const errors = predicted.map((value, i) => Math.abs(value / measured[i]! - 1));
    return {
      median: median(errors),
      mean: errors.reduce((sum, error) => sum + error, 0) / errors.length,
      worst: Math.max(...errors),
      spearman: spearman(predicted, measured),
    };
  };
  return {
    predictor: errorsOf(networks.map(({ predictedMs }) => predictedMs)),
    macs: errorsOf(networks.map(({ macsMs }) => macsMs)),
    macsPower: errorsOf(networks.map(({ macsPowerMs }) => macsPowerMs)),
    networks,
  };
}

/** Latency by MACs alone: in proportion (the median ratio), and as a power (least squares of logarithms). */
function fitMacs(
  samples: readonly NetworkSample[],
): Readonly<Record<'proportional' | 'power', (macs: number) => number>> {
  const perMac = median(samples.map(({ macs, latencyMs }) => latencyMs / Math.max(1, macs)));
  const power = fitLearner(
    samples.map(({ macs }) => [Math.log1p(macs)]),
    samples.map(({ latencyMs }) => Math.log(latencyMs)),
    { linear: true, ridge: 1e-9, rounds: 0 },
  );
  return {
    proportional: (macs) => macs * perMac,
    power: (macs) => Math.exp(apply(power, [Math.log1p(macs)])),
  };
}
