/**
 * @file Throughput over bandwidth × slow-down of the device × slow-down of the server, at most 1 point of accuracy below the
 * whole network: ours against the baselines as the papers model them. From split profiles (bench/split-compression).
 *
 * After a build: node bench/split-throughput/run.mjs   → bench/results/split-throughput.json, .svg
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stackedPlots } from '../../dist/report/index.js';
import {
  bytesPerMs,
  costOf,
  fixedRate,
  openSplitPolicy,
  ruleText,
  simulateSplit,
  SPLIT_POLICIES,
} from '../../dist/split/index.js';
import { measuredProfiles, root } from '../split-compression/networks.mjs';

const MBPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const DEVICE = [1, 2, 5, 10, 20, 40];
const SERVER = [1, 2, 5, 10];
/** There and back: a mobile network below 50 Mbit/s, 5G or a local one above. Only plans that take one frame at a time notice. */
const latencyOf = (mbps) => (mbps < 50 ? 40 : 1);
const BASELINES = ['device-only', 'server-only', 'neurosurgeon', 'edgent', 'spinn-no-exits', 'fixed-8', 'fixed-4'];
const round = (value, digits = 3) => Number(value.toPrecision(digits));

function sweep(profile) {
  const floor = profile.final.accuracy - 0.01;
  const goals = {
    constraints: [{ metric: 'accuracy', op: '>=', value: floor }],
    targets: [{ metric: 'throughput', goal: 'max' }],
  };
  const names = ['ours', 'spinn', 'dyno', 'neurosurgeon-pipelined', ...BASELINES];
  const policies = names.map((name) => openSplitPolicy(name, profile));
  const rows = [];
  for (const deviceScale of DEVICE)
    for (const serverScale of SERVER)
      for (const mbps of MBPS) {
        const conditions = { deviceScale, serverScale, latencyMs: latencyOf(mbps), bytesPerMs: bytesPerMs(mbps) };
        const row = { mbps, deviceScale, serverScale, plans: {}, rates: {} };
        for (const policy of policies) {
          const plan = policy.decide(goals, conditions);
          // Who loses more than a point is not in this comparison.
          if (plan.accuracy < floor - 1e-9) continue;
          row.rates[policy.name] = costOf(plan, conditions).throughput;
          row.plans[policy.name] = { cut: plan.cut, rule: plan.rule, bits: plan.bits };
        }
        row.best = BASELINES.filter((name) => row.rates[name] !== undefined).reduce((a, b) =>
          row.rates[b] > row.rates[a] ? b : a,
        );
        row.goals = goals;
        row.conditions = conditions;
        rows.push(row);
      }
  return rows;
}

/** The analytic throughput against virtual time, at points spread over the sweep. */
function check(profile, rows) {
  const picked = rows.filter((_, i) => i % 37 === 5);
  const errors = picked.map(({ goals, conditions, rates }) => {
    const link = () => ({ rate: fixedRate(conditions.bytesPerMs), latencyMs: conditions.latencyMs / 2 });
    const { summary } = simulateSplit({
      ...{ profile, policy: openSplitPolicy('ours', profile), goals, up: link(), down: link(), initial: conditions },
      ...{ frames: 4000, inFlight: 512, seed: 1 },
      deviceSlowDown: () => conditions.deviceScale,
      serverSlowDown: () => conditions.serverScale,
      // The conditions are known: what is checked is the pipeline.
      change: { threshold: 1e9 },
    });
    return summary.framesPerSecond / rates.ours - 1;
  });
  return { points: errors.length, meanError: round(mean(errors)), largestError: round(largest(errors)) };
}
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const largest = (values) => values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));

/** What the plan at each bandwidth is, device 10 × slower, server unloaded. */
function decisions(profile, rows) {
  return rows
    .filter(({ deviceScale, serverScale }) => deviceScale === 10 && serverScale === 1)
    .map(({ mbps, plans, rates, best }) => ({
      ...{ mbps, ...plans.ours, of: profile.cuts.length - 1 },
      threshold: ruleText(plans.ours.rule),
      ...{ perSecond: round(rates.ours), bestBaseline: best, itsPerSecond: round(rates[best]) },
    }));
}

function extreme(rows, name, other, better) {
  const known = rows.filter(({ rates }) => rates[name] !== undefined && rates[other] !== undefined);
  const ratio = ({ rates }) => rates[name] / rates[other];
  const row = known.reduce((a, b) => (better(ratio(b), ratio(a)) ? b : a));
  const { mbps, deviceScale, serverScale } = row;
  return { ratio: round(ratio(row)), at: { mbps, deviceScale, serverScale } };
}
const more = (a, b) => a > b;
const quick = (rows) => rows.filter(({ mbps }) => latencyOf(mbps) === 1);

const profiles = measuredProfiles();
const networks = {};
const plots = [];
for (const [key, profile] of Object.entries(profiles)) {
  const rows = sweep(profile);
  const ratios = rows.map(({ rates, best }) => rates.ours / rates[best]);
  const exits = profile.exits.length > 0;
  const leaves = (name, device) =>
    MBPS.find((mbps) =>
      rows.some(
        (row) =>
          row.mbps === mbps &&
          row.serverScale === 1 &&
          row.deviceScale === device &&
          row.plans[name].cut < profile.cuts.length - 1,
      ),
    );
  networks[key] = {
    ...{ title: profile.model.name, points: rows.length, exits: profile.exits.length },
    leastAgainstBestBaseline: round(Math.min(...ratios), 4),
    ...(exits && { againstNeurosurgeonWithExits: extreme(rows, 'ours', 'neurosurgeon', more) }),
    againstNeurosurgeonWithoutExits: extreme(rows, 'dyno', 'neurosurgeon', more),
    // Where the link's latency, which a plan with one frame at a time waits for, is 1 ms.
    againstNeurosurgeonAt1ms: {
      ...(exits && { withExits: extreme(quick(rows), 'ours', 'neurosurgeon', more) }),
      withoutExits: extreme(quick(rows), 'dyno', 'neurosurgeon', more),
    },
    againstNeurosurgeonPipelined: {
      ...(exits && { withExits: extreme(rows, 'ours', 'neurosurgeon-pipelined', more) }),
      withoutExits: extreme(rows, 'dyno', 'neurosurgeon-pipelined', more),
      least: extreme(rows, 'ours', 'neurosurgeon-pipelined', (a, b) => a < b),
    },
    ...(exits && {
      againstEdgent: extreme(rows, 'ours', 'edgent', more),
      againstDyno: extreme(rows, 'ours', 'dyno', more),
    }),
    againstSpinn: extreme(rows, 'ours', 'spinn', more),
    againstServerOnly: extreme(rows, 'ours', 'server-only', more),
    againstDeviceOnly: extreme(rows, 'ours', 'device-only', more),
    leavesTheDeviceFromMbps: Object.fromEntries(
      DEVICE.map((device) => [
        `device ×${device}`,
        { dyno: leaves('dyno', device) ?? null, neurosurgeon: leaves('neurosurgeon', device) ?? null },
      ]),
    ),
    virtualTime: check(profile, rows),
    decisions: decisions(profile, rows),
  };
  const shown = rows.filter(({ deviceScale, serverScale }) => deviceScale === 10 && serverScale === 1);
  const series = [
    ...(exits ? ['ours'] : []),
    'dyno',
    'neurosurgeon',
    'device-only',
    'server-only',
    ...(exits ? ['edgent'] : []),
  ];
  plots.push({
    title: profile.model.name,
    xLabel: 'Mbit/s',
    yLabel: `${profile.model.name}: frames per second`,
    ...{ xScale: 'log', yFromZero: true },
    series: series.map((name, style) => ({
      ...{ name, style, line: true },
      points: shown.flatMap(({ mbps, rates }) => (rates[name] === undefined ? [] : [{ x: mbps, y: rates[name] }])),
    })),
  });
}
const all = Object.values(networks);
const withExits = all.filter(({ exits }) => exits > 0).map((row) => row.againstNeurosurgeonWithExits.ratio);
const without = all.map((row) => row.againstNeurosurgeonWithoutExits.ratio);
const result = {
  bench: 'split-throughput',
  goal: 'most frames per second, at most 1 point of accuracy below the whole network',
  grid: { mbps: MBPS, deviceSlowDown: DEVICE, serverSlowDown: SERVER },
  model: { ...SPLIT_POLICIES, server: 'as fast as the machine that measured; the device is that much slower' },
  bars: { leastAgainstBestBaseline: 0.98, againstNeurosurgeonWithExits: 1.8, againstNeurosurgeonWithoutExits: 5 },
  papers: {
    spinnAgainstNeurosurgeon: 'up to 1.83 over bandwidth; 1.18 to 1.99 over server slow-down',
    spinnAgainstEdgent: 'up to 1.52; 1.15 to 3.09',
    dynoAgainstNeurosurgeon: 'up to 6.5 at low bandwidth, 7.9 where bandwidth abounds (pipelining)',
    dynoAgainstServerOnly: 'up to 10.5',
  },
  met: {
    leastAgainstBestBaseline: all.every((row) => row.leastAgainstBestBaseline >= 0.98),
    ...(withExits.length > 0 && { againstNeurosurgeonWithExits: Math.max(...withExits) >= 1.8 }),
    againstNeurosurgeonWithoutExits: Math.max(...without) >= 5,
  },
  device: Object.values(profiles)[0].device.machine,
  networks,
};
writeFileSync(join(root, 'bench/results/split-throughput.json'), `${JSON.stringify(result, null, 2)}\n`);
writeFileSync(
  join(root, 'bench/results/split-throughput.svg'),
  stackedPlots('Throughput over bandwidth: device 10 × slower than the server, which has no other load', plots),
);
for (const [key, row] of Object.entries(networks))
  console.log(key, JSON.stringify({ ...row, decisions: row.decisions.length }, null, 1));
console.log(JSON.stringify(result.met));
