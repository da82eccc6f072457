/** @file Learns how long layers take from profiles, and predicts networks that were never run. */
import type { Model } from '../../ir/index.js';
import type { Profile } from '../../runtime/index.js';
import { spearman } from '../rank.js';
import { median } from '../statistics.js';
import { describeLayers, featureNames, type DescribedLayer, type Features } from './features.js';
import { fusedLayers } from './fused-layers.js';
import { apply, fitLearner, type Learner, type LearnerOptions } from './regression.js';
import { PREDICTOR_VERSION, PredictorError, type NetworkSample, type Predictor } from './schema.js';

export interface Prediction {
  readonly latencyMs: number;
  readonly layers: readonly (DescribedLayer & { readonly ms: number })[];
}

/** Learners that compete for every family. */
const CONTESTANTS: Readonly<Record<string, LearnerOptions>> = {
  ridge: { linear: true, ridge: 0.01, rounds: 0 },
  'strong ridge': { linear: true, ridge: 0.1, rounds: 0 },
  'ridge and stumps': { linear: true, ridge: 0.05, rounds: 100 },
  stumps: { linear: false, ridge: 0, rounds: 300 },
};

/** Fewer layers than this say nothing of their family; then all layers together do. */
const ENOUGH = 8;
const ANY = 'any';

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
 * beyond its kernels. With three groups or more the whole is validated in the same way, beside two proxies by MACs.
 * Throws PredictorError where there is nothing to learn from.
 */
export function fitPredictor(samples: readonly NetworkSample[], device: Profile['device']): Predictor {
  if (!samples.some(({ layers }) => layers.some(({ ms }) => ms > 0)))
    throw new PredictorError('usage', 'the profiles hold no layer to learn from');
  const fitted = fitFamilies(samples);
  const groups = new Set(samples.map(({ group }) => group));
  return {
    kind: 'cuttle.predictor',
    version: PREDICTOR_VERSION,
    device,
    features: [...featureNames],
    ...fitted,
    networks: samples.map(({ name }) => name),
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

function layerTime(
  { families }: Fitted,
  { family, features }: Pick<NetworkSample['fused'][number], 'family' | 'features'>,
): number {
  const { fitted } = families[family] ?? families[ANY]!;
  return Math.exp(apply(fitted, inputOf(features)));
}

function runTime({ overhead }: Fitted, layers: readonly { readonly ms: number }[]): number {
  return layers.reduce((sum, { ms }) => sum + ms, overhead.runMs + overhead.layerMs * layers.length);
}

function fitFamilies(samples: readonly NetworkSample[]): Fitted {
  const rows = samples.flatMap(({ group, layers }) =>
    layers.filter(({ ms }) => ms > 0).map((layer) => ({ ...layer, group })),
  );
  const byFamily = new Map<string, typeof rows>([[ANY, rows]]);
  for (const row of rows) byFamily.set(row.family, [...(byFamily.get(row.family) ?? []), row]);
  const families: Predictor['families'] = {};
  for (const [family, members] of byFamily) {
    if (family !== ANY && members.length < ENOUGH) continue;
    const xs = members.map(({ features }) => inputOf(features));
    const ys = members.map(({ ms }) => Math.log(ms));
    const groups = members.map(({ group }) => group);
    const ranked = Object.entries(CONTESTANTS)
      .map(([learner, options]) => ({ learner, options, medianError: heldOutError(xs, ys, groups, options) }))
      .sort((a, b) => a.medianError.squared - b.medianError.squared);
    const { learner, options, medianError } = ranked[0]!;
    families[family] = {
      learner,
      layers: members.length,
      medianError: medianError.median,
      fitted: fitLearner(xs, ys, options),
    };
  }
  return { families, overhead: fitOverhead(samples) };
}

/** Error on layers of groups that were left out, on the logarithmic scale (mean square) and as a share (median). */
function heldOutError(
  xs: readonly (readonly number[])[],
  ys: readonly number[],
  groups: readonly string[],
  options: LearnerOptions,
): { readonly squared: number; readonly median: number } {
  const names = [...new Set(groups)];
  // One group alone is split into five parts; neighbouring layers then know of each other, but there is nothing better.
  const folds =
    names.length > 1 ? groups.map((group) => names.indexOf(group)) : ys.map((_, i) => i % Math.min(5, ys.length));
  const errors: number[] = [];
  for (const fold of new Set(folds)) {
    const inside = folds.flatMap((at, i) => (at === fold ? [] : [i]));
    if (inside.length === 0) continue;
    const learner: Learner = fitLearner(
      inside.map((i) => xs[i]!),
      inside.map((i) => ys[i]!),
      options,
    );
    folds.forEach((at, i) => {
      if (at === fold) errors.push(apply(learner, xs[i]!) - ys[i]!);
    });
  }
  if (errors.length === 0) return { squared: 0, median: 0 };
  return {
    squared: errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length,
    median: median(errors.map((error) => Math.abs(Math.exp(error) - 1))),
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
  const networks = [...new Set(samples.map(({ group }) => group))].flatMap((held) => {
    const known = samples.filter(({ group }) => group !== held);
    const fitted = fitFamilies(known);
    const proxies = fitMacs(known);
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
