/** @file How the learned numbers of a model look: zeros, dead channels, few different values. */
import type { AuditLayer, AuditModel, AuditWeight } from '../read/model.js';
import type { WeightStatistics } from './analysis.js';
import { kernelAxes } from './kernel-axes.js';
import { weightValues, type WeightValues } from './weight-values.js';

/** Numbers smaller than this count as near zero (gaugeNN §4.5). */
const NEAR_ZERO = 1e-9;
/** At most so many different values make a clustered layer. */
const MOST_CLUSTERS = 256;
/** Fewer numbers than this say nothing about clusters. */
const FEWEST_NUMBERS = 64;
/** Integers have few values anyway: clustered ones leave gaps between them. */
const MOST_INTEGER_CLUSTERS = 64;

const MARK = /(^|[/_.;:])(prune|cluster|quant|quantize)_(low_magnitude_)?/i;

interface Counts {
  zeros: number;
  nearZeros: number;
  /** Different values other than zero, and how many numbers have them; `undefined` once there are too many. */
  distinct: number | undefined;
}

/** Statistics over all learned numbers at hand; weights that several layers share count once. Numbers that stand elsewhere are left out. */
export function weightStatistics(model: AuditModel): WeightStatistics {
  const total = { numbers: 0, zeros: 0, nearZeros: 0, sparseLayers: 0, zeroChannels: 0, clusteredLayers: 0 };
  let markedLayers = 0;
  const seen = new Set<string>();
  for (const layer of model.layers) {
    if (isMarked(layer)) markedLayers++;
    let isSparse = false;
    let isClustered = false;
    for (const weight of layer.weights) {
      if (!weight.learned || (weight.key !== undefined && seen.has(weight.key))) continue;
      if (weight.key !== undefined) seen.add(weight.key);
      const values = weightValues(weight);
      if (values === undefined) continue;
      const counts = count(values, weight);
      // Numbers that a sparse tensor leaves out are zero.
      const implied = weight.size - values.length;
      total.numbers += weight.size;
      total.zeros += counts.zeros + implied;
      total.nearZeros += counts.nearZeros + implied;
      if (!isKernel(weight)) continue;
      const zeros = counts.zeros + implied;
      isSparse ||= weight.size >= FEWEST_NUMBERS && zeros * 2 >= weight.size;
      isClustered ||= clustered(values, weight, counts);
      total.zeroChannels += implied > 0 ? 0 : zeroChannels(values, weight);
    }
    if (isSparse) total.sparseLayers++;
    if (isClustered) total.clusteredLayers++;
  }
  return { ...total, markedLayers };
}

function isMarked(layer: AuditLayer): boolean {
  return MARK.test(layer.name) || layer.weights.some(({ name, learned }) => learned && MARK.test(name));
}

function isKernel(weight: AuditWeight): boolean {
  return weight.layout !== undefined || weight.shape.filter((dim) => dim > 1).length > 1;
}

/** The stored number that stands for zero. */
function zeroOf(weight: AuditWeight): number {
  return weight.zeroPoint ?? 0;
}

function count(values: WeightValues, weight: AuditWeight): Counts {
  const zero = zeroOf(weight);
  const isFloat = values instanceof Float32Array || values instanceof Float64Array;
  const distinct = new Set<number>();
  let open = true;
  let zeros = 0;
  let nearZeros = 0;
  for (const value of values) {
    if (value === zero) {
      zeros++;
      nearZeros++;
      continue;
    }
    if (isFloat && value < NEAR_ZERO && value > -NEAR_ZERO) nearZeros++;
    if (open) {
      distinct.add(value);
      open = distinct.size <= MOST_CLUSTERS;
    }
  }
  return { zeros, nearZeros, distinct: open ? distinct.size : undefined };
}

function clustered(values: WeightValues, weight: AuditWeight, { zeros, distinct }: Counts): boolean {
  const others = values.length - zeros;
  // A value must come back four times on average: a small tensor has few values without any clustering.
  if (distinct === undefined || distinct < 2 || others < FEWEST_NUMBERS || distinct * 4 > others) return false;
  if (values instanceof Float32Array || values instanceof Float64Array) return true;
  if (distinct > MOST_INTEGER_CLUSTERS) return false;
  const sorted = [...new Set<number>(values)].filter((value) => value !== zeroOf(weight)).sort((a, b) => a - b);
  let neighbours = 0;
  for (let i = 1; i < sorted.length; i++) if (sorted[i]! - sorted[i - 1]! === 1) neighbours++;
  return neighbours * 2 < sorted.length - 1;
}

function zeroChannels(values: WeightValues, weight: AuditWeight): number {
  const axes = kernelAxes(weight);
  if (axes === undefined) return 0;
  const { outputs, inputs, window, strides } = axes;
  const positions = window.reduce((size, dim) => size * dim, 1);
  if (outputs * inputs * positions !== values.length || inputs * positions === 0) return 0;
  const zero = zeroOf(weight);
  let found = 0;
  for (let o = 0; o < outputs; o++) {
    let empty = true;
    for (let i = 0; i < inputs && empty; i++)
      for (let k = 0; k < positions && empty; k++)
        empty = values[o * strides.output + i * strides.input + k * strides.window] === zero;
    if (empty) found++;
  }
  return found;
}
