/** @file `cuttle split simulate`: plays policies on a split profile over a link and loads, in virtual time. */
import { basename, readBytes, writeFileAtomic } from '../platform/node/files.js';
import { gunzip } from '../platform/node/gzip.js';
import { milliseconds, percent, significant, splitDecisionsPlot, textTable } from '../report/index.js';
import {
  bytesPerMs,
  openSplitPolicy,
  parseTrace,
  ruleText,
  simulateSplit,
  SPLIT_POLICIES,
  steppedRate,
  traceRate,
  type LinkModelOptions,
  type LinkRate,
  type SimulationResult,
  type SplitPolicyName,
} from '../split/index.js';
import { readSplitProfile } from '../split/split-profile-file.js';
import { goalsGiven } from './split-goals.js';
import type { SplitOptions } from './split-options.js';
import { UsageError, type VerbContext, type VerbResult } from './verb.js';

/** Runs `cuttle split simulate PROFILE`. */
export async function splitSimulate({ options, signal }: VerbContext<SplitOptions>, path: string): Promise<VerbResult> {
  const profile = await readSplitProfile(path);
  const goals = goalsGiven(options);
  const durationMs = 1000 * options.duration;
  const links = await linksOf(options, durationMs);
  const runs: { name: SplitPolicyName; result: SimulationResult }[] = [];
  for (const name of policiesOf(options.policies)) {
    signal.throwIfAborted();
    const link = (rate: LinkRate): LinkModelOptions => ({ rate, latencyMs: options.latency / 2, seed: options.seed });
    const result = simulateSplit({
      ...{ profile, policy: openSplitPolicy(name, profile), goals, durationMs, seed: options.seed },
      ...{ up: link(links.up), down: link(links.down), timeoutMs: options.timeout },
      deviceSlowDown: factorsOf(options.deviceSlowDown, durationMs),
      serverSlowDown: factorsOf(options.serverSlowDown, durationMs),
      ...(options.interval !== undefined && { intervalMs: options.interval }),
    });
    runs.push({ name, result });
  }
  if (options.out !== undefined)
    await writeFileAtomic(
      options.out,
      splitDecisionsPlot({
        title: `${profile.model.name ?? 'network'} over ${options.trace === undefined ? 'the given link' : basename(options.trace)}`,
        cuts: profile.cuts.length,
        ...runs[0]!.result,
      }),
      { force: options.force },
    );
  const [first] = runs;
  return {
    json: {
      policies: runs.map(({ name, result }) => ({ name, model: SPLIT_POLICIES[name], ...result.summary })),
      goals,
      decisions: first!.result.decisions.map(({ rule, ...rest }) => ({
        ...rest,
        threshold: 'exit' in rule ? null : rule.threshold,
        exit: 'exit' in rule ? rule.exit : null,
      })),
    },
    text: [
      textTable(
        [
          { name: 'policy', value: ({ name }) => name },
          { name: 'frames/s', align: 'right', value: ({ result }) => significant(result.summary.framesPerSecond) },
          { name: 'latency', align: 'right', value: ({ result }) => milliseconds(result.summary.latencyMs.mean) },
          { name: 'p95', align: 'right', value: ({ result }) => milliseconds(result.summary.latencyMs.p95) },
          { name: 'accuracy', align: 'right', value: ({ result }) => percent(result.summary.accuracy) },
          { name: 'server', align: 'right', value: ({ result }) => milliseconds(result.summary.serverMs) },
          { name: 'sent', align: 'right', value: ({ result }) => percent(result.summary.sentShare) },
          { name: 'decided', align: 'right', value: ({ result }) => String(result.decisions.length) },
          { name: 'changed', align: 'right', value: ({ result }) => String(result.summary.changes) },
        ],
        runs,
      ),
      '',
      `decisions of ${first!.name}`,
      textTable(
        [
          { name: 'at', align: 'right', value: ({ at }) => `${(at / 1000).toFixed(2)} s` },
          { name: 'Mbit/s seen', align: 'right', value: ({ conditions }) => significant(conditions.bytesPerMs / 125) },
          { name: 'device', align: 'right', value: ({ conditions }) => `${significant(conditions.deviceScale)}×` },
          { name: 'server', align: 'right', value: ({ conditions }) => `${significant(conditions.serverScale)}×` },
          {
            name: 'cut',
            align: 'right',
            value: ({ cut }) => (cut === profile.cuts.length - 1 ? 'device' : String(cut)),
          },
          {
            name: 'exits',
            align: 'right',
            value: ({ rule }) => ruleText(rule),
          },
          {
            name: 'bits',
            align: 'right',
            value: ({ cut, bits }) => (cut === profile.cuts.length - 1 ? '' : String(bits)),
          },
        ],
        first!.result.decisions.filter(({ changed }) => changed).slice(0, 40),
      ),
    ].join('\n'),
  };
}

function policiesOf(text: string): readonly SplitPolicyName[] {
  return text.split(',').map((name) => {
    if (!Object.hasOwn(SPLIT_POLICIES, name))
      throw new UsageError(`there is no policy '${name}'`, `Choose from ${Object.keys(SPLIT_POLICIES).join(', ')}.`);
    return name as SplitPolicyName;
  });
}

async function linksOf(
  { trace, traceDown, bandwidth }: SplitOptions,
  durationMs: number,
): Promise<{ readonly up: LinkRate; readonly down: LinkRate }> {
  if (trace !== undefined && bandwidth !== undefined)
    throw new UsageError('--trace and --bandwidth both say how fast the link is', 'Give one of them.');
  if (trace === undefined) {
    const steps = bandwidth ?? [10];
    const rate = steppedRate(
      steps.map((mbps, i) => ({ from: (i * durationMs) / steps.length, bytesPerMs: bytesPerMs(mbps) })),
    );
    return { up: rate, down: rate };
  }
  const up = await readTrace(trace);
  return { up, down: traceDown === undefined ? up : await readTrace(traceDown) };
}

async function readTrace(path: string): Promise<LinkRate> {
  const bytes = await readBytes(path);
  const text = new TextDecoder().decode(path.endsWith('.gz') ? await gunzip(bytes) : bytes);
  return traceRate(parseTrace(text));
}

/** Factors in equal steps over the duration; the last one holds on. */
function factorsOf(factors: readonly number[] = [1], durationMs: number): (at: number) => number {
  if (factors.some((factor) => !(factor > 0)))
    throw new UsageError(`${factors.join()} are not all above zero`, 'Slow-downs are factors such as 1,10.');
  return (at) => factors[Math.min(factors.length - 1, Math.floor((at / durationMs) * factors.length))]!;
}
