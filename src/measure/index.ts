/** @file `cuttle/measure`: where time goes on a device — the roofline, and what each layer achieves against it. Runs in Node and browsers. */
export { achieved, attainable, ridgeOf, type Achieved, type Bound, type Roofline, type Work } from './roofline.js';
export { measureRoofline, type MeasureRooflineOptions } from './measure-roofline.js';
export { layerWork, type LayerWork } from './layer-work.js';
export { analyseProfile, type AnalysedLayer, type AnalysedOperator, type AnalysedProfile } from './analyse-profile.js';
