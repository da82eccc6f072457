/** @file Device and server together: what the scheduler would choose under a link and loads, and what following a link over time brings. */
import { milliseconds, percent, significant, type XYPlot, type XYPoint } from 'cuttle/report';
import {
  bytesPerMs,
  costOf,
  openSplitPolicy,
  parseSplitProfile,
  parseTrace,
  ruleText,
  simulateSplit,
  SPLIT_POLICIES,
  steppedRate,
  traceRate,
  type Conditions,
  type Goals,
  type LinkRate,
  type Plan,
  type PlanCost,
  type SimulationResult,
  type SplitPolicyName,
  type SplitProfile,
} from 'cuttle/split';
import { useMemo, useState } from 'preact/hooks';
import { askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Choice, Empty, Failure, Loading, Plot, Slider, Table, Tiles, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useLoad } from './use-load.js';
import { useWorkspace } from './workspace-context.js';

/** Virtual time of a replay, and how often a frame comes. */
const DURATION_MS = 60_000;
const INTERVAL_MS = 50;
/** Points of a curve that can still be told apart. */
const MOST_POINTS = 600;

const AIMS: Readonly<Record<string, { readonly name: string; readonly target: Goals['targets'][number] }>> = {
  latency: { name: 'least latency', target: { metric: 'latency', goal: 'min' } },
  throughput: { name: 'most images per second', target: { metric: 'throughput', goal: 'max' } },
  device: { name: 'least work on the device', target: { metric: 'device', goal: 'min' } },
  server: { name: 'least work on the server', target: { metric: 'server', goal: 'min' } },
};

/** Links over time, Mbit/s in equal steps. */
const LINKS: Readonly<Record<string, readonly number[]>> = {
  'the slider’s, all the time': [],
  'good, poor, good': [20, 0.5, 20],
  'a train ride': [18, 9, 3, 0.8, 0.2, 0.05, 2, 7, 14, 20, 5, 1],
  'gone for a while': [10, 10, 0, 0, 10, 10],
};

/** Compared beside ours. */
const COMPARED: readonly SplitPolicyName[] = ['ours', 'spinn', 'dyno', 'neurosurgeon', 'device-only', 'server-only'];

export function SplitPage({ query }: ViewProps) {
  const { splits } = useWorkspace().workspace;
  const path = query.get('path') ?? splits[0]?.path;
  const loaded = useLoad(path === undefined ? undefined : `split ${path}`, async (signal) =>
    parseSplitProfile(await askJson<unknown>('split', { query: { path }, signal })),
  );
  return (
    <>
      <Title lead="The scheduler and the simulator of the command, here in the page: every slider is answered from the split profile.">
        Split between device and server
      </Title>
      {path === undefined ? (
        <Empty title="There is no split profile here yet.">
          <p>
            Make one from the <a href={linkTo('runs', { start: 'split' })}>runs</a>, or on a command line:{' '}
            <code>cuttle split table progressive.onnx --data mnist --limit 200</code>
          </p>
        </Empty>
      ) : (
        <>
          {splits.length > 1 && (
            <Choice
              label="Split profile"
              value={path}
              options={splits.map((one) => [one.path, one.path])}
              onChange={(next) => goTo(linkTo('split', { path: next }))}
            />
          )}
          <Loading of={loaded}>{(profile) => <Split key={path} profile={profile} />}</Loading>
        </>
      )}
    </>
  );
}

function Split({ profile }: { readonly profile: SplitProfile }) {
  const [mbps, setMbps] = useState(10);
  const [latencyMs, setLatency] = useState(5);
  const [device, setDevice] = useState(100);
  const [server, setServer] = useState(1);
  const [floor, setFloor] = useState(Math.floor(100 * (profile.final.accuracy - 0.02)));
  const [aim, setAim] = useState('latency');
  const policies = useMemo(() => COMPARED.map((name) => openSplitPolicy(name, profile)), [profile]);
  const goals: Goals = {
    constraints: [{ metric: 'accuracy', op: '>=', value: floor / 100 }],
    targets: [AIMS[aim]!.target],
  };
  const conditions: Conditions = { deviceScale: device, serverScale: server, latencyMs, bytesPerMs: bytesPerMs(mbps) };
  const rows = policies.map((policy) => {
    const plan = policy.decide(goals, conditions);
    return { name: policy.name, plan, cost: costOf(plan, conditions) };
  });
  const ours = rows[0]!;
  return (
    <>
      <section>
        <h2>Now</h2>
        <div class="fields">
          <Slider
            label="Link"
            shown={`${significant(mbps)} Mbit/s`}
            {...{ value: Math.log10(mbps), min: -1.5, max: 3, step: 0.05 }}
            onInput={(power) => setMbps(10 ** power)}
          />
          <Slider
            label="There and back"
            shown={`${latencyMs} ms`}
            {...{ value: latencyMs, min: 0, max: 200, step: 1, onInput: setLatency }}
          />
          <Slider
            label="The device is slower by"
            shown={`${significant(device)} ×`}
            {...{ value: Math.log10(device), min: 0, max: 3, step: 0.05 }}
            onInput={(power) => setDevice(10 ** power)}
          />
          <Slider
            label="Load of the server"
            shown={`${significant(server)} × as slow`}
            {...{ value: Math.log10(server), min: -1, max: 2, step: 0.05 }}
            onInput={(power) => setServer(10 ** power)}
          />
          <Slider
            label="At least right"
            shown={`${floor} %`}
            {...{ value: floor, min: 0, max: 100, step: 1, onInput: setFloor }}
          />
          <Choice
            label="Then"
            value={aim}
            options={Object.entries(AIMS).map(([key, { name }]) => [key, name])}
            onChange={setAim}
          />
        </div>
        <Decision profile={profile} plan={ours.plan} cost={ours.cost} conditions={conditions} />
        {ours.cost.accuracy < floor / 100 && <p class="notice">Nothing is right that often; this comes nearest.</p>}
      </section>
      <section>
        <h2>Beside other policies</h2>
        <Table
          caption="Policies under these conditions"
          mark={({ name }) => name === 'ours'}
          columns={[
            { name: 'policy', value: ({ name }) => <span title={SPLIT_POLICIES[name]}>{name}</span> },
            { name: 'cut', value: ({ plan }) => cutName(profile, plan.cut) },
            { name: 'latency', number: true, value: ({ cost }) => milliseconds(cost.latency) },
            { name: 'images/s', number: true, value: ({ cost }) => significant(cost.throughput) },
            { name: 'right', number: true, value: ({ cost }) => percent(cost.accuracy) },
            { name: 'device', number: true, value: ({ cost }) => milliseconds(cost.device) },
            { name: 'server', number: true, value: ({ cost }) => milliseconds(cost.server) },
          ]}
          rows={rows}
        />
        <p class="quiet">
          Accuracy on {profile.samples} samples{profile.data === undefined ? '' : ` (${profile.data})`}. Device:{' '}
          {profile.device.machine.cpu}, slowed down as the slider says; server: {profile.server.source}.
        </p>
      </section>
      <Replay {...{ profile, goals, mbps, latencyMs, device, server }} />
    </>
  );
}

function cutName({ cuts }: SplitProfile, cut: number): string {
  if (cut === 0) return 'server only';
  return cut === cuts.length - 1 ? 'device only' : `${cut}: ${cuts[cut]!.frontier.join(', ')}`;
}

/** What is chosen, and where an image's time goes then. */
function Decision({
  profile,
  plan,
  cost,
  conditions,
}: {
  readonly profile: SplitProfile;
  readonly plan: Plan;
  readonly cost: PlanCost;
  readonly conditions: Conditions;
}) {
  const local = plan.cut === profile.cuts.length - 1;
  const link = Math.max(0, cost.latency - cost.device - cost.server);
  const parts = [
    ['device', cost.device],
    ['link', link],
    ['server', cost.server],
  ] as const;
  const text = parts.map(([name, ms]) => `${name} ${milliseconds(ms)}`).join(' · ');
  return (
    <>
      <p class="answer-label decision">{cutName(profile, plan.cut)}</p>
      <Tiles
        items={[
          ['an image takes', milliseconds(cost.latency), `p95 ${milliseconds(cost.latency95)}`],
          ['right', percent(cost.accuracy), `whole network ${percent(profile.final.accuracy)}`],
          ['leave early', ruleText(plan.rule), 'where images may stop'],
          [
            'packed to',
            local ? '–' : plan.bits === 32 ? 'unchanged' : `${plan.bits} bits`,
            local ? 'nothing is sent' : 'per number',
          ],
          ['images/s', significant(cost.throughput), local || !plan.pipelined ? 'one at a time' : 'pipelined'],
        ]}
      />
      <div class="shares" role="img" aria-label={`Where the time goes: ${text}`}>
        {parts.map(([name, ms]) => (
          <span
            class={name === 'server' ? 'last' : undefined}
            style={{ flexGrow: ms / Math.max(cost.latency, 1e-9) }}
            title={name}
          />
        ))}
      </div>
      <p class="quiet">
        Where the time goes: {text}
        {conditions.bytesPerMs === 0 ? '; there is no link' : ''}
      </p>
    </>
  );
}

interface ReplayProps {
  readonly profile: SplitProfile;
  readonly goals: Goals;
  readonly mbps: number;
  readonly latencyMs: number;
  readonly device: number;
  readonly server: number;
}

/** A minute of virtual time over a link that changes. */
function Replay({ profile, goals, mbps, latencyMs, device, server }: ReplayProps) {
  const [link, setLink] = useState('a train ride');
  const [own, setOwn] = useState<{ readonly name: string; readonly rate: LinkRate } | Error>();
  const [policy, setPolicy] = useState<SplitPolicyName>('ours');
  const [runs, setRuns] = useState<readonly { readonly name: SplitPolicyName; readonly result: SimulationResult }[]>();
  const [failed, setFailed] = useState<Error>();
  const rate = (): LinkRate => {
    if (link === 'own' && own !== undefined && !(own instanceof Error)) return own.rate;
    const steps = LINKS[link]?.length ? LINKS[link] : [mbps];
    return steppedRate(
      steps.map((step, i) => ({ from: (i * DURATION_MS) / steps.length, bytesPerMs: bytesPerMs(step) })),
    );
  };
  const play = (): void => {
    setFailed(undefined);
    try {
      const names = [...new Set<SplitPolicyName>([policy, 'ours', 'neurosurgeon', 'device-only', 'server-only'])];
      setRuns(
        names.map((name) => ({
          name,
          result: simulateSplit({
            ...{
              profile,
              policy: openSplitPolicy(name, profile),
              goals,
              durationMs: DURATION_MS,
              intervalMs: INTERVAL_MS,
            },
            ...{ up: { rate: rate(), latencyMs: latencyMs / 2 }, down: { rate: rate(), latencyMs: latencyMs / 2 } },
            ...{ timeoutMs: 5000, deviceSlowDown: () => device, serverSlowDown: () => server, seed: 0 },
          }),
        })),
      );
    } catch (error) {
      setFailed(error as Error);
    }
  };
  const readTrace = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    try {
      setOwn({ name: file.name, rate: traceRate(parseTrace(await file.text())) });
      setLink('own');
    } catch (error) {
      setOwn(error as Error);
    }
  };
  return (
    <section>
      <h2>A minute on a changing link</h2>
      <div class="fields">
        <Choice
          label="Link"
          value={link}
          options={[
            ...Object.keys(LINKS).map((name) => [name, name] as const),
            ...(own === undefined || own instanceof Error ? [] : [['own', own.name] as const]),
          ]}
          onChange={setLink}
        />
        <Choice
          label="Policy drawn"
          value={policy}
          options={COMPARED.map((name) => [name, name])}
          onChange={(name) => setPolicy(name as SplitPolicyName)}
        />
        <label class="button file">
          Own trace
          <input class="unseen" type="file" onChange={(event) => void readTrace(event.currentTarget.files?.[0])} />
        </label>
        <button class="main" onClick={play}>
          Play
        </button>
      </div>
      <p class="quiet">
        A trace is a text file in Mahimahi’s format: one line per packet of 1,500 bytes, its time in ms. An image comes
        every {INTERVAL_MS} ms; load and aim are those above.
      </p>
      {own instanceof Error && <Failure error={own} />}
      {failed !== undefined && <Failure error={failed} />}
      {runs !== undefined && (
        <>
          <Table
            caption="Policies over the minute"
            mark={({ name }) => name === 'ours'}
            columns={[
              { name: 'policy', value: ({ name }) => name },
              { name: 'latency', number: true, value: ({ result }) => milliseconds(result.summary.latencyMs.mean) },
              { name: 'p95', number: true, value: ({ result }) => milliseconds(result.summary.latencyMs.p95) },
              { name: 'right', number: true, value: ({ result }) => percent(result.summary.accuracy) },
              { name: 'sent', number: true, value: ({ result }) => percent(result.summary.sentShare) },
              { name: 'plan changed', number: true, value: ({ result }) => String(result.summary.changes) },
            ]}
            rows={runs}
          />
          {curves(profile, runs[0]!.name, runs[0]!.result).map((plot) => (
            <>
              <h3>{plot.title}</h3>
              <Plot {...plot} />
            </>
          ))}
        </>
      )}
    </section>
  );
}

/** Link as it was seen, cut and latency over time. */
function curves(profile: SplitProfile, name: string, { frames, decisions }: SimulationResult): readonly XYPlot[] {
  const end = frames.at(-1)?.start ?? 0;
  const steps = (value: (decision: SimulationResult['decisions'][number]) => number): readonly XYPoint[] =>
    decisions.flatMap((decision, i) => [
      { x: decision.at / 1000, y: value(decision) },
      { x: (decisions[i + 1]?.at ?? end) / 1000, y: value(decision) },
    ]);
  const size = Math.ceil(frames.length / MOST_POINTS);
  const slowest = Array.from({ length: Math.ceil(frames.length / size) }, (_, i) =>
    frames.slice(i * size, (i + 1) * size).reduce((a, b) => (b.latencyMs > a.latencyMs ? b : a)),
  );
  const plain = { xLabel: 's', yFromZero: true } as const;
  const curve = { style: 0, line: true, markers: 'none' } as const;
  return [
    {
      ...{ ...plain, title: 'Link, as the device saw it', yLabel: 'Mbit/s' },
      series: [
        { ...curve, name: 'seen', points: steps(({ conditions }) => Math.min(100, conditions.bytesPerMs / 125)) },
      ],
    },
    {
      ...{ ...plain, title: `Cut that ${name} chose`, yLabel: `cut (${profile.cuts.length - 1}: device only)` },
      yTo: profile.cuts.length - 1,
      series: [{ ...curve, style: 1, name: 'cut', points: steps(({ cut }) => cut) }],
    },
    {
      ...{ ...plain, title: 'Latency', yLabel: 'ms per image' },
      series: [
        {
          ...{ name: 'latency', style: 2, markers: 'faint' },
          points: slowest.map(({ start, latencyMs }) => ({ x: start / 1000, y: latencyMs })),
        },
      ],
    },
  ];
}
