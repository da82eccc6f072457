/** @file Runs from the page: start one, watch curves and the front grow, stop it; the same command in a process of its own. */
import { magnitude, milliseconds, percent } from 'cuttle/report';
import { useEffect, useState } from 'preact/hooks';
import type { JobEvent, JobView } from '../../src/studio/messages.js';
import type { EventOfRun } from '../../src/studio/run-events.js';
import { askEvents, askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Empty, Failure, Plot, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { RunForm } from './run-form.js';
import { useWorkspace } from './workspace-context.js';

export function RunsPage({ query }: ViewProps) {
  const { reload } = useWorkspace();
  const [jobs, setJobs] = useState<readonly JobView[] | Error>();
  const list = (): void => {
    askJson<readonly JobView[]>('jobs').then(setJobs, (error: unknown) => setJobs(error as Error));
  };
  useEffect(list, []);
  const chosen = query.get('id') ?? undefined;
  const ended = (): void => {
    list();
    reload();
  };
  return (
    <>
      <Title lead="Each run is the command itself, with the line that it shows. It goes on when this page is closed; the studio must stay open.">
        Runs
      </Title>
      <RunForm
        verb={query.get('start') ?? 'demo'}
        onStarted={({ id }) => {
          list();
          goTo(linkTo('runs', { id }));
        }}
      />
      {chosen !== undefined && <Run key={chosen} id={chosen} onEnded={ended} />}
      {jobs instanceof Error && <Failure error={jobs} />}
      {Array.isArray(jobs) && jobs.length === 0 && (
        <Empty title="No run was started from here yet.">
          <p>Start one above. What runs on a command line is not listed; its results are, in the workspace.</p>
        </Empty>
      )}
      {Array.isArray(jobs) && jobs.length > 0 && (
        <section>
          <h2>All runs</h2>
          <ul class="jobs">
            {(jobs as readonly JobView[]).map(({ id, command, state }) => (
              <li>
                <a href={linkTo('runs', { id })}>
                  <span class={`tag ${state}`}>{state}</span> <code>{command}</code>
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

interface Heard {
  readonly job?: JobView;
  readonly lines: readonly string[];
  readonly events: readonly EventOfRun[];
  readonly failed?: Error;
}

/** Lines of the log that are kept in sight. */
const LINES = 300;

/** Everything that a run has said so far, drawn a few times a second however fast it comes. */
function useRun(id: string, onEnded: () => void): Heard {
  const [heard, setHeard] = useState<Heard>({ lines: [], events: [] });
  useEffect(() => {
    const controller = new AbortController();
    let now: Heard = { lines: [], events: [] };
    let waiting: ReturnType<typeof setTimeout> | undefined;
    const show = (): void => {
      waiting ??= setTimeout(() => {
        waiting = undefined;
        setHeard(now);
      }, 120);
    };
    void (async () => {
      try {
        for await (const event of askEvents<JobEvent>('events', { query: { id }, signal: controller.signal })) {
          if (event.kind === 'line') now = { ...now, lines: [...now.lines, event.text].slice(-LINES) };
          else if (event.kind === 'event') now = { ...now, events: [...now.events, event.event] };
          else if (event.kind === 'state') now = { ...now, job: event.job };
          show();
        }
        if (now.job?.endedMs !== undefined) onEnded();
      } catch (error) {
        if (controller.signal.aborted) return;
        now = { ...now, failed: error as Error };
        show();
      }
    })();
    return () => {
      controller.abort();
      clearTimeout(waiting);
    };
  }, [id]);
  return heard;
}

function Run({ id, onEnded }: { readonly id: string; readonly onEnded: () => void }) {
  const { job, lines, events, failed } = useRun(id, onEnded);
  if (failed !== undefined) return <Failure error={failed} />;
  if (job === undefined) return <p class="waiting">Loading …</p>;
  const phase = events.findLast((event) => event.kind === 'phase');
  const step = events.findLast((event) => event.kind === 'training');
  const latest = events.findLast((event) => event.kind === 'training' || event.kind === 'phase');
  const running = job.endedMs === undefined;
  return (
    <section aria-label={`Run ${id}`}>
      <h2>
        Run {id} <span class={`tag ${job.state}`}>{job.state}</span>
      </h2>
      <p>
        <code>{job.command}</code>
      </p>
      {running && latest?.kind === 'training' && (
        <p>
          {latest.label}: step {latest.step} of {latest.totalSteps}, loss {latest.loss.toFixed(3)}
          <progress value={latest.step} max={latest.totalSteps} aria-label={latest.label} />
        </p>
      )}
      {running && latest?.kind === 'phase' && phase !== undefined && (
        <p>
          {PHASES[phase.name] ?? phase.name}
          {phase.total === undefined ? '' : ` ${phase.done ?? 0} of ${phase.total}`}
          <progress
            {...(phase.total === undefined ? {} : { value: phase.done ?? 0, max: phase.total })}
            aria-label={phase.name}
          />
        </p>
      )}
      {running && (
        <p class="actions">
          <button onClick={() => void askJson('stop', { method: 'POST', query: { id } })}>Stop</button>
          <span class="quiet">What was computed is kept; the same run started again goes on from there.</span>
        </p>
      )}
      {!running && job.state === 'done' && (
        <p>
          Finished. <a href={linkTo('home')}>See what it left in the workspace.</a>
        </p>
      )}
      {step !== undefined && <Curves events={events} />}
      {events.some(({ kind }) => kind === 'design') && <Front events={events} />}
      <h3>What it says</h3>
      <pre class="log" tabIndex={0} aria-label="Log">
        {lines.join('\n')}
      </pre>
    </section>
  );
}

const PHASES: Readonly<Record<string, string>> = {
  candidates: 'Placing exits',
  memo: 'Filling the memo',
  profiling: 'Profiling on this device',
  searching: 'Searching designs',
  measuring: 'Measuring designs',
  reused: 'Using what an earlier run left',
};

/** Loss of every training of the run, and held-out accuracy per epoch. */
function Curves({ events }: { readonly events: readonly EventOfRun[] }) {
  const steps = events.filter((event) => event.kind === 'training');
  const epochs = events.filter((event) => event.kind === 'epoch');
  const labels = [...new Set(steps.map(({ label }) => label))];
  const style = (i: number) => (i % 6) as 0 | 1 | 2 | 3 | 4 | 5;
  return (
    <div class="pair">
      <div>
        <h3>Loss</h3>
        <Plot
          title="Loss over steps"
          xLabel="step"
          yLabel="loss"
          yFromZero
          series={labels.map((label, i) => ({
            ...{ name: label, style: style(i), line: true, markers: 'none' as const },
            points: steps.filter((step) => step.label === label).map(({ step, loss }) => ({ x: step, y: loss })),
          }))}
        />
      </div>
      <div>
        <h3>Accuracy</h3>
        <Plot
          title="Accuracy over steps"
          xLabel="step"
          yLabel="right"
          yUnit="percent"
          yTo={1}
          series={labels.flatMap((label, i) => [
            {
              ...{ name: `${label}, batch`, style: style(i), line: true, markers: 'none' as const },
              points: steps
                .filter((step) => step.label === label)
                .map(({ step, accuracy }) => ({ x: step, y: accuracy })),
            },
            {
              ...{ name: `${label}, held out`, style: style(i) },
              points: epochs
                .filter((epoch) => epoch.label === label && epoch.heldOut !== undefined)
                .map(({ step, heldOut }) => ({ x: step, y: heldOut! })),
            },
          ])}
        />
      </div>
    </div>
  );
}

/** The designs found so far. */
function Front({ events }: { readonly events: readonly EventOfRun[] }) {
  const designs = events.filter((event) => event.kind === 'design');
  const policies = [...new Set(designs.map(({ policy }) => policy))];
  const last = designs.at(-1)!;
  return (
    <>
      <h3>Designs found</h3>
      <Plot
        title="Designs found so far"
        xLabel="predicted latency, ms"
        yLabel="accuracy on calibration images"
        yUnit="percent"
        guides={[{ x: last.backbone, label: 'plain network' }]}
        series={policies.map((policy, i) => ({
          ...{ name: policy, style: (i % 6) as 0 | 1 | 2 | 3 | 4 | 5, line: true },
          points: designs
            .filter((design) => design.policy === policy)
            .map(({ latency, accuracy }) => ({ x: latency, y: accuracy }))
            .sort((a, b) => a.x - b.x),
        }))}
      />
      <p class="quiet">
        {magnitude(designs.length)} searches done; the latest: {percent(last.accuracy)} in {milliseconds(last.latency)}{' '}
        within {milliseconds(last.budget)}, {last.exits.length} early exits.
      </p>
    </>
  );
}
