/** @file Joins what the steps measured: correlations with MACs, ranks between platforms, scaling, accuracy over time, the predictor. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { kendall, paretoFront, spearman } from '../../dist/measure/index.js';
import { describeDevice } from '../../dist/runtime/index.js';
import { networks } from './networks.mjs';
import { drawPlots } from './plots.mjs';
import { predictors } from './predict.mjs';

/** Reads the steps' files in `work` and writes the whole into `target`. Steps that did not run are left out. */
export async function writeReport(work, target) {
  const read = (name) =>
    existsSync(join(work, `${name}.json`)) ? JSON.parse(readFileSync(join(work, `${name}.json`), 'utf8')) : undefined;
  const [native, wasm, chromium, profiles, probes, batch, harness] = [
    'native',
    'wasm',
    'chromium',
    'profiles',
    'probes',
    'batch',
    'harness',
  ].map(read);
  const { browser, ...pages } = chromium ?? {};
  const platforms = { ...native, ...wasm, ...pages };
  const size = new Map(
    Object.values({ ...native, ...wasm })
      .flat()
      .map(({ name, macs, params }) => [name, { macs, params }]),
  );
  const timeOf = (row) => row.typicalMs?.value ?? row.mean;
  const accuracyOf = new Map((await networks()).map(({ name, accuracy }) => [name, accuracy]));
  const names = [...size.keys()].filter((name) =>
    Object.values(platforms).every((rows) => rows.some((row) => row.name === name)),
  );
  const times = Object.fromEntries(
    Object.entries(platforms).map(([platform, rows]) => [
      platform,
      names.map((name) => timeOf(rows.find((row) => row.name === name))),
    ]),
  );
  const macs = names.map((name) => size.get(name).macs);
  const result = {
    device: await describeDevice({ backend: 'native' }),
    ...(browser && { browser }),
    networks: names.map((name, i) => ({
      name,
      ...size.get(name),
      ms: Object.fromEntries(Object.entries(times).map(([platform, list]) => [platform, list[i]])),
    })),
    platforms: Object.fromEntries(
      Object.entries(times).map(([platform, list]) => {
        const rates = list.map((ms, i) => macs[i] / ms / 1e6);
        return [
          platform,
          {
            spearmanWithMacs: spearman(macs, list),
            kendallWithMacs: kendall(macs, list),
            gmacsPerSecond: {
              least: Math.min(...rates),
              most: Math.max(...rates),
              ratio: Math.max(...rates) / Math.min(...rates),
            },
            noisy: platforms[platform].filter((row) => row.noise?.length > 0 || row.cv >= 0.05).length,
          },
        ];
      }),
    ),
    rankAgreement: Object.keys(times).flatMap((a, i) =>
      Object.keys(times)
        .slice(i + 1)
        .map((b) => ({ a, b, kendall: kendall(times[a], times[b]), swaps: swaps(names, times[a], times[b]) })),
    ),
    ...(native && {
      threads: names.map((name, i) => ({
        name,
        native: times['native-1'][i] / times['native-2'][i],
        ...(times['wasm-2'] && { wasm: times['wasm-1'][i] / times['wasm-2'][i] }),
      })),
    }),
    ...(batch && { batch }),
    ...(profiles && {
      roofline: profiles.roofline,
      profiles: profiles.networks.map((row) => ({ ...row, profile: undefined })),
      predictor: await predictors(profiles, probes ?? []),
    }),
    ...(native && { accuracy: accuracyOverTime(names, times, accuracyOf) }),
    ...(harness && { harness }),
    measured: Object.fromEntries(Object.entries(platforms).map(([platform, rows]) => [platform, rows])),
  };
  writeFileSync(target, `${JSON.stringify(result, null, 2)}\n`);
  drawPlots(result, dirname(target));
  console.error(`${names.length} networks on ${Object.keys(times).length} platforms`);
  for (const [platform, { spearmanWithMacs, gmacsPerSecond }] of Object.entries(result.platforms))
    console.error(
      `${platform}: Spearman with MACs ${spearmanWithMacs.toFixed(3)}, ${gmacsPerSecond.least.toFixed(2)}–${gmacsPerSecond.most.toFixed(2)} GMAC/s`,
    );
}

/** Pairs that stand in opposite order on two platforms. */
function swaps(names, x, y) {
  const found = [];
  for (let i = 0; i < names.length; i++)
    for (let j = 0; j < i; j++)
      if (Math.sign(x[i] - x[j]) * Math.sign(y[i] - y[j]) < 0) found.push([names[j], names[i]]);
  return found;
}

/** On every platform: accuracy, time, points per ms, and which networks nothing else beats in both. */
function accuracyOverTime(names, times, accuracyOf) {
  return Object.fromEntries(
    Object.entries(times).map(([platform, list]) => {
      const known = names.flatMap((name, i) => {
        const accuracy = accuracyOf.get(name);
        return accuracy === undefined ? [] : [{ name, accuracy, ms: list[i], pointsPerMs: (100 * accuracy) / list[i] }];
      });
      const front = paretoFront(known, { cost: ({ ms }) => ms, value: ({ accuracy }) => accuracy });
      return [platform, { networks: known, front: front.map(({ name }) => name) }];
    }),
  );
}
