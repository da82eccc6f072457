/** @file `cuttle/measure`: where time goes on a device — the roofline, and what each layer achieves against it. Runs in Node and browsers. */
export { achieved, attainable, ridgeOf, type Achieved, type Bound, type Roofline, type Work } from './roofline.js';
export { measureRoofline, type MeasureRooflineOptions } from './measure-roofline.js';
export { layerWork, type LayerGroup, type LayerWork } from './layer-work.js';
export { analyseProfile, type AnalysedLayer, type AnalysedOperator, type AnalysedProfile } from './analyse-profile.js';
export { kendall, pearson, ranks, spearman, trendOf, type Trend } from './rank.js';
export { paretoFront, type ParetoMeasures } from './pareto.js';
export {
  median,
  permutationTest,
  typicalInterval,
  variation,
  type Interval,
  type PermutationTest,
  type ResampleOptions,
} from './statistics.js';
export * from './bench/compare.js';
export * from './bench/configuration.js';
export {
  measureOpening,
  measureSustained,
  type Opening,
  type OpeningPlan,
  type OpeningRequest,
  type Window,
} from './bench/opening.js';
export { benchColumns, benchCsv, benchRows, type Cell, type ColumnType } from './bench/rows.js';
export * from './bench/schema.js';
export { noiseLimits, summariseOpenings, summariseSustained, type MeasuredOpening } from './bench/summary.js';
export { inPrecision, PrecisionError, variantOf, type CalibrationBatches, type Variant } from './bench/variant.js';
export {
  describeLayers,
  featureNames,
  networkSize,
  type DescribedLayer,
  type Family,
  type FeatureName,
  type Features,
} from './predictor/features.js';
export { fusedLayers } from './predictor/fused-layers.js';
export { fitPredictor, networkSample, predictLatency, type Prediction } from './predictor/predictor.js';
export { probeNetworks, PROBES, type Probe } from './predictor/probes.js';
export * from './predictor/schema.js';
export * from './energy/index.js';
