/** @file Designs side by side: a budget that is answered at once from the memo, designs by hand, and the files of the run. */
import {
  decodeMemo,
  designChoice,
  evaluateDesign,
  exitAccuracy,
  parseDesign,
  scoreTables,
  type DesignChoice,
  type EvaluatedDesign,
  type ExitCosts,
  type ScoreTables,
} from 'cuttle/exits';
import { binaryBytes, magnitude, milliseconds, percent, type XYSeries } from 'cuttle/report';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { RunView } from '../../src/studio/messages.js';
import { askBytes, askJson } from './api.js';
import type { ViewProps } from './app.js';
import { designWithin, type FrontDesign } from './budget-front.js';
import type { FrontReply, FrontRequest } from './front-worker.js';
import { Choice, Empty, Failure, Loading, Plot, Slider, Table, Tiles, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useLoad } from './use-load.js';
import { useWorkspace } from './workspace-context.js';

interface Opened {
  readonly run: RunView;
  readonly memo: Uint8Array;
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  readonly backbone: { readonly latency: number; readonly accuracy: number };
}

async function open(path: string, signal: AbortSignal): Promise<Opened> {
  const run = await askJson<RunView>('run', { query: { path }, signal });
  const memo = await askBytes('memo', { query: { path }, signal });
  const scores = scoreTables(
    decodeMemo(memo),
    run.exits.map(({ temperature }) => temperature),
  );
  const { segments, heads, memory, unit } = run.costs;
  const costs: ExitCosts = {
    ...{ segments: Float64Array.from(segments), heads: Float64Array.from(heads), unit },
    ...(memory && { memory: { segments: Float64Array.from(memory.segments), heads: Float64Array.from(memory.heads) } }),
  };
  const latency = segments.reduce((sum, value) => sum + value, 0);
  return { run, memo, scores, costs, backbone: { latency, accuracy: exitAccuracy(scores, scores.exits - 1) } };
}

export function DesignsPage({ query }: ViewProps) {
  const runs = useWorkspace().workspace.runs.filter(({ memo }) => memo);
  const path = query.get('path') ?? runs[0]?.path;
  const opened = useLoad(path === undefined ? undefined : `designs ${path}`, (signal) => open(path!, signal));
  return (
    <>
      <Title lead="One memo holds what every exit said of every calibration image: any design is judged from it, here, without running the network.">
        Designs
      </Title>
      {path === undefined ? (
        <Empty title="There is no network with early exits here yet.">
          <p>
            <a href={linkTo('runs', { start: 'demo' })}>Run the demo</a>, or on a command line:{' '}
            <code>cuttle adapt MODEL --data DATA --budget 50% --out DIR</code>
          </p>
        </Empty>
      ) : (
        <>
          {runs.length > 1 && (
            <Choice
              label="Run"
              value={path}
              options={runs.map((run) => [run.path, run.path === '' ? 'this folder' : run.path])}
              onChange={(next) => goTo(linkTo('designs', { path: next }))}
            />
          )}
          <Loading of={opened}>{(value) => <Designs key={path} {...value} />}</Loading>
        </>
      )}
    </>
  );
}

const NOTES: Readonly<Record<RunView['costs']['source'], string>> = {
  measured: 'Latencies are added up from what the search measured',
  profile: 'Latencies are added up from the layers in profile.json; what an exit costs beside its head is not in them',
  macs: 'Nothing was measured: latencies are counts of MACs',
};

function Designs(opened: Opened) {
  const { run, scores, costs, backbone } = opened;
  const [bounds, setBounds] = useState<'average' | 'worst-case'>('average');
  const [share, setShare] = useState(50);
  const { front, done, failed } = useFront(opened, bounds);
  const latencyText = costs.unit === 'ms' ? milliseconds : (value: number) => `${magnitude(value)} MACs`;
  const within = designWithin(front, (share / 100) * backbone.latency);
  const predicted = useMemo(() => within && evaluateDesign(scores, costs, within.choice), [within]);
  const files = useMemo(
    () =>
      run.designs.flatMap(({ path, file }) => {
        const parsed = parseDesign(file);
        const choice = designChoice(parsed);
        // A learned policy's gates are not among the memo's scores: its own prediction stands.
        return choice.policy.kind === 'learned' ? [] : [{ path, parsed, choice, predicted: evaluate(opened, choice) }];
      }),
    [run],
  );
  const latencyOf = ({ latency }: EvaluatedDesign): number =>
    bounds === 'average' ? latency.average : latency.worstCase;
  const series: readonly XYSeries[] = [
    {
      name: 'best designs',
      style: 0,
      line: true,
      markers: 'faint',
      points: front.map(({ latency, accuracy }) => ({ x: latency, y: accuracy })),
    },
    {
      name: 'files of this run',
      style: 1,
      points: files.flatMap(({ parsed, predicted: own }) =>
        own instanceof Error
          ? []
          : [{ x: latencyOf(own), y: own.accuracy, label: parsed.budget?.asked?.replace('%', ' %') ?? '' }],
      ),
    },
    { name: 'plain network', style: 5, points: [{ x: backbone.latency, y: backbone.accuracy }] },
    ...(within
      ? [{ name: 'within the budget', style: 2 as const, points: [{ x: within.latency, y: within.accuracy }] }]
      : []),
  ];
  return (
    <>
      <section class="budget">
        <div class="fields">
          <Slider
            label="Budget"
            shown={`${share} % of the plain network: ${latencyText((share / 100) * backbone.latency)}`}
            {...{ value: share, min: 5, max: 110, step: 1, onInput: setShare }}
          />
          <Choice
            label="It bounds the"
            value={bounds}
            options={[
              ['average', 'average latency'],
              ['worst-case', 'worst case'],
            ]}
            onChange={(value) => setBounds(value as typeof bounds)}
          />
        </div>
        {failed !== undefined ? (
          <Failure error={new Error(failed)} />
        ) : predicted === undefined ? (
          <p role="status">
            {front.length > 0
              ? `No design is that fast: the fastest takes ${latencyText(front[0]!.latency)}, ${percent(front[0]!.latency / backbone.latency, 0)} of the plain network.`
              : 'Looking for designs …'}
          </p>
        ) : (
          <Shares run={run} predicted={predicted} />
        )}
        {!done && front.length > 0 && <p class="quiet">Still searching; the answer may get better.</p>}
      </section>
      {predicted !== undefined && (
        <Tiles
          items={[
            ['accuracy', percent(predicted.accuracy), `plain ${percent(backbone.accuracy)}`],
            ['average latency', latencyText(predicted.latency.average), `plain ${latencyText(backbone.latency)}`],
            ['speed-up', `${(backbone.latency / predicted.latency.average).toFixed(2)} ×`, 'on average'],
            ['worst case', latencyText(predicted.latency.worstCase), 'no exit stops the image'],
            ['memory', predicted.memoryBytes === undefined ? '–' : binaryBytes(predicted.memoryBytes)],
          ]}
        />
      )}
      {within !== undefined && (
        <p class="actions">
          <a class="button" href={linkTo('try', { path: run.path, design: JSON.stringify(within.choice) })}>
            Try an image with this design
          </a>
        </p>
      )}
      <section>
        <h2>Accuracy against latency</h2>
        <Plot
          title="Accuracy against latency"
          xLabel={`${bounds === 'average' ? 'average latency' : 'worst case'}, ${costs.unit === 'ms' ? 'ms an image' : 'MACs'}`}
          yLabel="accuracy on calibration images"
          yUnit="percent"
          series={series}
          guides={[{ x: (share / 100) * backbone.latency, label: `${share} %` }]}
        />
        <p class="quiet">
          {NOTES[run.costs.source]}
          {run.device === null ? '.' : ` on ${run.device}.`} {scores.samples} calibration images.
        </p>
      </section>
      <Files run={run} files={files} latencyText={latencyText} />
      <ByHand {...opened} latencyText={latencyText} />
    </>
  );
}

/** Where the images leave. */
function Shares({ run, predicted }: { readonly run: RunView; readonly predicted: EvaluatedDesign }) {
  const { instantiated, exitCounts, samples } = predicted;
  const text = instantiated.map((exit, i) => `${run.exits[exit]!.value} ${percent(exitCounts[i]! / samples, 0)}`);
  return (
    <>
      <div class="shares" role="img" aria-label={`Where images leave: ${text.join(', ')}`}>
        {instantiated.map((exit, i) => (
          <span
            class={i === instantiated.length - 1 ? 'last' : undefined}
            style={{ flexGrow: exitCounts[i]! }}
            title={text[i] ?? String(exit)}
          >
            {exitCounts[i]! / samples >= 0.08 && percent(exitCounts[i]! / samples, 0)}
          </span>
        ))}
      </div>
      <p class="quiet shares-text">Images leave at: {text.join(' · ')}</p>
    </>
  );
}

type JudgedFile = {
  readonly path: string;
  readonly parsed: ReturnType<typeof parseDesign>;
  readonly choice: DesignChoice;
  readonly predicted: EvaluatedDesign | Error;
};

function Files({
  run,
  files,
  latencyText,
}: {
  readonly run: RunView;
  readonly files: readonly JudgedFile[];
  readonly latencyText: (value: number) => string;
}) {
  if (files.length + run.broken.length === 0) return null;
  return (
    <section>
      <h2>Files of this run, side by side</h2>
      <Table
        caption="Design files"
        columns={[
          { name: 'design', value: ({ path }) => path },
          { name: 'budget', number: true, value: ({ parsed }) => parsed.budget?.asked ?? '–' },
          { name: 'exits', number: true, value: ({ parsed }) => parsed.exits.length },
          {
            name: 'from the memo',
            number: true,
            value: ({ predicted }) => (predicted instanceof Error ? '–' : percent(predicted.accuracy)),
          },
          {
            name: 'average',
            number: true,
            value: ({ predicted }) => (predicted instanceof Error ? '–' : latencyText(predicted.latency.average)),
          },
          { name: 'on test images', number: true, value: ({ parsed }) => percent(parsed.measured?.accuracy ?? NaN) },
          {
            name: 'measured',
            number: true,
            value: ({ parsed }) => milliseconds(parsed.measured?.latency?.average ?? NaN),
          },
          {
            name: '',
            value: ({ choice }) => <a href={linkTo('try', { path: run.path, design: JSON.stringify(choice) })}>try</a>,
          },
        ]}
        rows={files}
      />
      {run.broken.map(({ path, why }) => (
        <p class="notice bad">
          {path}: {why}
        </p>
      ))}
    </section>
  );
}

/** A design put together by hand. */
function ByHand({
  run,
  scores,
  costs,
  backbone,
  latencyText,
  ...rest
}: Opened & { readonly latencyText: (value: number) => string }) {
  const early = run.exits.slice(0, -1);
  const [exits, setExits] = useState<readonly number[]>(() =>
    early.map((_, i) => i).filter((i) => i % Math.max(1, Math.ceil(early.length / 3)) === 0),
  );
  const [threshold, setThreshold] = useState(0.8);
  const choice: DesignChoice = {
    exits,
    fallback: 'most-confident',
    policy: {
      kind: 'confidence',
      thresholds: threshold,
      temperatures: [...exits, early.length].map((exit) => scores.temperatures[exit]!),
    },
  };
  const predicted = evaluate({ run, scores, costs, backbone, ...rest }, choice);
  return (
    <section>
      <h2>By hand</h2>
      <fieldset class="plain-set">
        <legend class="quiet">Exits</legend>
        {early.map(({ value, position }, exit) => (
          <label class="check">
            <input
              type="checkbox"
              checked={exits.includes(exit)}
              onChange={({ currentTarget: { checked } }) =>
                setExits(checked ? [...exits, exit].sort((a, b) => a - b) : exits.filter((one) => one !== exit))
              }
            />
            {value} <small class="quiet">{percent(position, 0)}</small>
          </label>
        ))}
      </fieldset>
      <Slider
        label="Leave where the confidence is at least"
        shown={threshold.toFixed(2)}
        {...{ value: threshold, min: 0.2, max: 1, step: 0.01, onInput: setThreshold }}
      />
      {predicted instanceof Error ? (
        <Failure error={predicted} />
      ) : (
        <>
          <Shares run={run} predicted={predicted} />
          <p>
            <b>{percent(predicted.accuracy)}</b> right in <b>{latencyText(predicted.latency.average)}</b> on average,{' '}
            {(backbone.latency / predicted.latency.average).toFixed(2)} × as fast as the plain network.
          </p>
        </>
      )}
    </section>
  );
}

function evaluate({ scores, costs }: Opened, choice: DesignChoice): EvaluatedDesign | Error {
  try {
    return evaluateDesign(scores, costs, choice);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The front, as the worker finds it. */
function useFront({ memo, run, costs }: Opened, bounds: 'average' | 'worst-case') {
  const [state, setState] = useState<{
    readonly front: readonly FrontDesign[];
    readonly done: boolean;
    readonly failed?: string;
  }>({ front: [], done: false });
  useEffect(() => {
    setState({ front: [], done: false });
    const worker = new Worker(new URL('./front-worker.ts', import.meta.url), { type: 'module' });
    worker.addEventListener('message', ({ data }: MessageEvent<FrontReply>) =>
      setState(data.kind === 'front' ? data : { front: [], done: true, failed: data.message }),
    );
    worker.addEventListener('error', () =>
      setState({ front: [], done: true, failed: 'the search could not be started' }),
    );
    const request: FrontRequest = {
      ...{ memo, costs, bounds, fallback: 'most-confident' },
      temperatures: run.exits.map(({ temperature }) => temperature),
    };
    worker.postMessage(request);
    return () => worker.terminate();
  }, [memo, bounds]);
  return state;
}
