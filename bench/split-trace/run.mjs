/**
 * @file The closed loop in virtual time: decisions over recorded LTE links, steps of the link and of the device's load, and
 * noise. From split profiles (bench/split-compression) and ../shared/data/traces.
 *
 * After a build: node bench/split-trace/run.mjs   → bench/results/split-trace.json, split-trace-*.svg
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createRandom } from '../../dist/platform/index.js';
import { splitDecisionsPlot } from '../../dist/report/index.js';
import {
  bytesPerMs,
  costOf,
  fixedRate,
  meanRate,
  openSplitPolicy,
  parseTrace,
  planOf,
  ruleText,
  simulateSplit,
  steppedRate,
  traceRate,
} from '../../dist/split/index.js';
import { measuredProfiles, root, shared } from '../split-compression/networks.mjs';

const TRACES = ['TMobile-LTE-short', 'Verizon-LTE-short', 'ATT-LTE-driving-2016'];
const DEVICE = 20;
const round = (value, digits = 4) => Number(value.toPrecision(digits));
const goalsOf = (profile) => ({
  constraints: [{ metric: 'accuracy', op: '>=', value: profile.final.accuracy - 0.01 }],
  targets: [{ metric: 'throughput', goal: 'max' }],
});
const linkOf = (rate, latencyMs = 40) => ({ rate, latencyMs: latencyMs / 2 });

/** A recorded link for 120 s, as many frames as go through. */
function trace(profile, name, plotAs) {
  const read = (way) => parseTrace(gunzipSync(readFileSync(join(shared, `data/traces/${name}.${way}.gz`))).toString());
  const [up, down] = [read('up'), read('down')];
  const rows = {};
  for (const policy of ['ours', 'dyno', 'neurosurgeon', 'device-only', 'server-only']) {
    const result = simulateSplit({
      ...{ profile, policy: openSplitPolicy(policy, profile), goals: goalsOf(profile), durationMs: 120_000, seed: 1 },
      ...{ up: linkOf(traceRate(up)), down: linkOf(traceRate(down)), timeoutMs: 5000 },
      deviceSlowDown: () => DEVICE,
    });
    const { framesPerSecond, latencyMs, accuracy, serverMs, sentShare, gaveUpShare, changes } = result.summary;
    rows[policy] = {
      ...{ framesPerSecond: round(framesPerSecond), p50Ms: round(latencyMs.p50), p95Ms: round(latencyMs.p95) },
      ...{
        accuracy: round(accuracy),
        serverMs: round(serverMs),
        sentShare: round(sentShare),
        gaveUpShare: round(gaveUpShare),
      },
      ...{ frames: result.frames.length, decisions: result.decisions.length, changes },
    };
    if (policy === 'ours' && plotAs)
      writeFileSync(
        join(root, `bench/results/split-trace-${plotAs}.svg`),
        splitDecisionsPlot({
          title: `${profile.model.name}, device ${DEVICE} × slower than the server, over ${name}`,
          cuts: profile.cuts.length,
          link: Array.from({ length: 120 }, (_, s) => ({
            at: 1000 * s + 500,
            mbps: meanRate(up, { from: 1000 * s, to: 1000 * (s + 1) }) / 125,
          })),
          ...result,
        }),
      );
  }
  return { uploadMbps: round(meanRate(up, { from: 0, to: 120_000 }) / 125), policies: rows };
}

/** Frames one at a time; how many it takes after each step until the plan is the one that the new conditions ask for. */
function steps(profile, what) {
  const goals = goalsOf(profile);
  const interval = 1500;
  const change = [40.5 * interval, 80.5 * interval];
  const link = what === 'link';
  const mbps = link ? [20, 0.5, 20] : [20, 20, 20];
  const device = link ? [DEVICE, DEVICE, DEVICE] : [5, 40, 5];
  const phase = (at) => (at < change[0] ? 0 : at < change[1] ? 1 : 2);
  const rate = () => steppedRate([0, ...change].map((from, i) => ({ from, bytesPerMs: bytesPerMs(mbps[i]) })));
  const policy = openSplitPolicy('ours', profile);
  const { frames } = simulateSplit({
    ...{ profile, policy, goals, up: linkOf(rate()), down: linkOf(rate()), frames: 120, intervalMs: interval, seed: 2 },
    deviceSlowDown: (at) => device[phase(at)],
  });
  const wanted = [0, 1, 2].map((i) => {
    const conditions = { deviceScale: device[i], serverScale: 1, latencyMs: 40, bytesPerMs: bytesPerMs(mbps[i]) };
    return policy.decide(goals, conditions);
  });
  // A plan as good as the best one, at the true conditions, counts: estimates are never exact.
  const cost = (frame, i) => {
    const plan = openPlan(profile, frame);
    return plan(conditionsAt(mbps[i], device[i]));
  };
  const after = [1, 2].map((i) => {
    const first = frames.findIndex(({ start }) => phase(start) === i);
    const rest = frames.slice(first).filter(({ start }) => phase(start) === i);
    const best = cost(wanted[i], i);
    return rest.findIndex((frame) => cost(frame, i) <= 1.05 * best);
  });
  return {
    ...(link ? { mbps } : { deviceSlowDown: device }),
    plans: wanted.map(({ cut, rule, bits }) => ({ cut, threshold: ruleText(rule), bits })),
    inferencesUntilFollowed: after,
  };
}

const conditionsAt = (mbps, deviceScale) => ({
  deviceScale,
  serverScale: 1,
  latencyMs: 40,
  bytesPerMs: bytesPerMs(mbps),
});

/** Seconds per frame of a configuration as a function of the conditions. */
function openPlan(profile, { cut, rule, bits }) {
  return (conditions) => 1 / costOf(planOf(profile, { cut, rule, bits }), conditions).throughput;
}

/** Link and device noisy by up to ±5 %, for 400 frames. */
function noise(profile) {
  const random = createRandom(5);
  const rate = steppedRate(
    Array.from({ length: 4000 }, (_, i) => ({
      from: 100 * i,
      bytesPerMs: bytesPerMs(10) * (0.95 + 0.1 * random.next()),
    })),
  );
  const { decisions } = simulateSplit({
    ...{
      profile,
      policy: openSplitPolicy('ours', profile),
      goals: goalsOf(profile),
      frames: 400,
      intervalMs: 500,
      seed: 4,
    },
    ...{ up: linkOf(rate), down: linkOf(fixedRate(bytesPerMs(10))), initial: conditionsAt(10, DEVICE) },
    deviceSlowDown: () => DEVICE * (0.95 + 0.1 * random.next()),
  });
  const settled = decisions.filter(({ frame }) => frame >= 10);
  return {
    frames: 400,
    decisionsAfterTheFirstTen: settled.length,
    changesAfterTheFirstTen: settled.filter(({ changed }) => changed).length,
  };
}

const networks = {};
for (const [key, profile] of Object.entries(measuredProfiles())) {
  const traces = Object.fromEntries(
    TRACES.map((name) => [
      name,
      trace(
        profile,
        name,
        key === 'resnet56' || (key === 'resnet20' && name === TRACES[2])
          ? `${key}-${name.split('-')[0].toLowerCase()}`
          : undefined,
      ),
    ]),
  );
  networks[key] = {
    title: profile.model.name,
    traces,
    steps: [steps(profile, 'link'), steps(profile, 'device')],
    noise: noise(profile),
  };
}
const all = Object.values(networks);
const result = {
  bench: 'split-trace',
  goal: `most frames per second, at most 1 point of accuracy lost; device ${DEVICE} × slower than the server, 40 ms there and back`,
  papers: {
    spinn:
      'below 5 Mbit/s everything on the device; up to 7 × device only where bandwidth is high; accuracy within 1 point',
  },
  met: {
    stepsWithin3Inferences: all.every(({ steps: s }) =>
      s.every((row) => row.inferencesUntilFollowed.every((n) => n >= 0 && n <= 3)),
    ),
    noFlapping: all.every(({ noise: n }) => n.changesAfterTheFirstTen === 0),
  },
  networks,
};
writeFileSync(join(root, 'bench/results/split-trace.json'), `${JSON.stringify(result, null, 2)}\n`);
for (const [key, row] of Object.entries(networks)) {
  for (const [name, { uploadMbps, policies }] of Object.entries(row.traces)) {
    console.log(key, name, uploadMbps);
    for (const [policy, facts] of Object.entries(policies)) console.log('   ', policy, JSON.stringify(facts));
  }
  console.log(JSON.stringify(row.steps), JSON.stringify(row.noise));
}
console.log(JSON.stringify(result.met));
