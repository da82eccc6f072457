/** @file What the predictor makes of the measured profiles: learned from all architectures but one, and probes. */
import { fitPredictor, networkSample, PROBES, probeNetworks } from '../../dist/measure/index.js';
import { networks } from './networks.mjs';

/** Fits on what `profiles` and `probes` measured, with and without probes, and validates on architectures that were held out. */
export async function predictors({ device, networks: profiled }, probes) {
  const real = [];
  for (const { name, group, model } of await networks(profiled.map(({ name }) => name))) {
    const { profile } = profiled.find((row) => row.name === name);
    real.push(networkSample(name, group, model, profile));
  }
  const made = probeNetworks(probes.length).map(({ name, model }, i) =>
    networkSample(name, PROBES, model, probes[i].profile),
  );
  const seen = fitPredictor([...real, ...made], device);
  return {
    families: Object.fromEntries(
      Object.entries(seen.families).map(([family, { learner, layers, medianError }]) => [
        family,
        { learner, layers, medianError },
      ]),
    ),
    overhead: seen.overhead,
    probes: made.length,
    validation: seen.validation,
    ...(made.length > 0 && { withoutProbes: summary(fitPredictor(real, device)) }),
  };
}

const summary = ({ validation: { predictor, macs, macsPower } }) => ({ predictor, macs, macsPower });
