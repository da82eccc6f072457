/** @file A device lab: who is there, what is being measured, what came of it; jobs are given and taken back, devices come in by link or camera. */
import { milliseconds } from 'cuttle/report';
import { useEffect, useState } from 'preact/hooks';
import { renderSVG } from 'uqr';
import type { JobView, LabView } from '../../src/studio/messages.js';
import { askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Choice, Empty, Failure, Table, Tiles, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useWorkspace } from './workspace-context.js';

/** Between two looks, ms; none while nobody sees the page. */
const LOOK_MS = 1500;

type Device = LabView['devices'][number];

export function LabPage({ query }: ViewProps) {
  const { labs } = useWorkspace().workspace;
  const path = query.get('path') ?? labs[0]?.path;
  return (
    <>
      <Title lead="Measure on the devices that people really have: phones, laptops, browsers join; the lab hands out jobs and keeps the results.">
        Device lab
      </Title>
      {path === undefined ? (
        <Begin />
      ) : (
        <>
          {labs.length > 1 && (
            <Choice
              label="Lab"
              value={path}
              options={labs.map((lab) => [lab.path, lab.name])}
              onChange={(next) => goTo(linkTo('lab', { path: next }))}
            />
          )}
          <Lab key={path} path={path} />
        </>
      )}
    </>
  );
}

/** No lab yet: start one from here. */
function Begin() {
  return (
    <>
      <Empty title="There is no device lab here yet.">
        <p>
          Start one below. On a command line: <code>cuttle lab serve --dir cuttle-lab</code>; a lab elsewhere:{' '}
          <code>cuttle studio --lab PLACE</code>
        </p>
      </Empty>
      <StartServer folder="cuttle-lab" />
    </>
  );
}

/** Starts a lab's server as a run, and waits until its folder shows. */
function StartServer({ folder }: { readonly folder: string }) {
  const { reload } = useWorkspace();
  const [others, setOthers] = useState(false);
  const [state, setState] = useState<'idle' | 'starting' | Error>('idle');
  const start = async (): Promise<void> => {
    setState('starting');
    try {
      const body = JSON.stringify({ verb: 'lab', out: folder, others });
      const { id } = await askJson<JobView>('jobs', { method: 'POST', body });
      for (let look = 0; look < 40; look++) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        const job = (await askJson<readonly JobView[]>('jobs')).find((one) => one.id === id);
        if (job?.state === 'failed') throw new Error(`the lab did not start; run ${id} says why`);
        const { running } = await askJson<LabView>('lab', { query: { path: folder } }).catch(() => ({
          running: false,
        }));
        if (running) break;
      }
      reload();
      setState('idle');
    } catch (error) {
      setState(error as Error);
    }
  };
  return (
    <section>
      <h2>Start the lab</h2>
      <label class="check">
        <input type="checkbox" checked={others} onChange={(event) => setOthers(event.currentTarget.checked)} />
        Other devices of this network may reach it; they need its join token
      </label>
      <p class="actions">
        <button class="main" onClick={() => void start()} disabled={state === 'starting'}>
          {state === 'starting' ? 'Starting …' : 'Start'}
        </button>
        <a class="button" href={linkTo('runs')}>
          See all runs
        </a>
      </p>
      {state instanceof Error && <Failure error={state} />}
    </section>
  );
}

/** The lab as it is now, followed while the page is seen. */
function useLab(path: string): readonly [LabView | Error | undefined, () => void] {
  const [lab, setLab] = useState<LabView | Error>();
  const [again, setAgain] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    void (async () => {
      while (!signal.aborted) {
        if (document.visibilityState === 'visible')
          try {
            setLab(await askJson<LabView>('lab', { query: { path }, signal }));
          } catch (error) {
            if (signal.aborted) return;
            setLab(error as Error);
          }
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    })();
    return () => controller.abort();
  }, [path, again]);
  return [lab, () => setAgain((old) => old + 1)];
}

function Lab({ path }: { readonly path: string }) {
  const [lab, look] = useLab(path);
  if (lab === undefined)
    return (
      <p class="waiting" role="status">
        Loading …
      </p>
    );
  if (lab instanceof Error) return <Failure error={lab} />;
  const { devices, totals, measures, jobs, running } = lab;
  const live = devices.filter((device) => device.live);
  return (
    <>
      <Tiles
        items={[
          ['devices', `${live.length} here`, `${devices.length} ever joined`],
          ['measuring', totals.running, `${totals.queued} waiting`],
          ['done', totals.done, totals.failed > 0 ? `${totals.failed} failed` : 'none failed'],
        ]}
      />
      {!running && (
        <>
          <p class="notice">
            No server runs this lab: nothing new is measured. What was measured before is shown below.
          </p>
          {!path.startsWith(':') && <StartServer folder={path} />}
        </>
      )}
      {lab.join !== null && <Join join={lab.join} open={live.length === 0} />}
      <Devices devices={devices} />
      {running && <Submit path={path} devices={devices} onSubmitted={look} />}
      {measures.length > 0 && (
        <section>
          <h2>Measured</h2>
          <Table
            caption="Results"
            columns={[
              { name: 'device', value: ({ device }) => device },
              { name: 'model', value: ({ model }) => model },
              { name: 'what', value: ({ kind }) => kind },
              {
                name: 'on',
                value: ({ backend, threads }) => `${backend}${threads === null ? '' : `, ${threads} threads`}`,
              },
              { name: 'p50', number: true, value: ({ p50 }) => shownMs(p50) },
              { name: 'p90', number: true, value: ({ p90 }) => shownMs(p90) },
              { name: 'load', number: true, value: ({ loadMs }) => shownMs(loadMs) },
              { name: 'first run', number: true, value: ({ firstMs }) => shownMs(firstMs) },
            ]}
            rows={measures}
          />
        </section>
      )}
      {jobs.length > 0 && <Jobs path={path} jobs={jobs} running={running} onChanged={look} />}
    </>
  );
}

const shownMs = (ms: number | null): string => (ms === null ? '–' : milliseconds(ms));

/** How a device comes in. */
function Join({ join, open }: { readonly join: NonNullable<LabView['join']>; readonly open: boolean }) {
  const { pages, command } = join;
  const others = pages.length > 1;
  return (
    <section>
      <details open={open}>
        <summary>
          <h2>Let a device join</h2>
        </summary>
        <div class="join">
          {others && (
            <div
              class="qr"
              role="img"
              aria-label="The address for phones, for their camera"
              dangerouslySetInnerHTML={{ __html: renderSVG(pages.at(-1)!, { border: 2 }) }}
            />
          )}
          <div>
            <p>
              <a class="button" href={pages[0]} target="_blank" rel="noreferrer">
                Let this browser measure
              </a>
            </p>
            <p>
              {others ? (
                <>
                  Phones and other machines: take the picture with the camera, or open{' '}
                  <code class="long">{pages.at(-1)}</code>
                </>
              ) : (
                'Only this machine reaches this lab. For others, start it so that they may: cuttle lab serve --host 0.0.0.0'
              )}
            </p>
            <p>
              Machines with Node: <code class="long">{command}</code>
            </p>
          </div>
        </div>
      </details>
    </section>
  );
}

function Devices({ devices }: { readonly devices: readonly Device[] }) {
  if (devices.length === 0) return <Empty title="No device has joined yet.">Open the lab’s page on one.</Empty>;
  const order = [...devices].sort((a, b) => Number(b.live) - Number(a.live) || b.seenAt - a.seenAt);
  return (
    <section>
      <h2>Devices</h2>
      <ul class="cards plain-list">
        {order.map(({ id, name, live, job, seenAt, description, state }) => (
          <li class="card device" key={id}>
            <h3>
              {name}{' '}
              <span class={`tag ${live ? (job === undefined ? 'done' : 'running') : ''}`}>
                {live ? (job === undefined ? 'waiting' : 'measuring') : `gone since ${shownTime(seenAt)}`}
              </span>
            </h3>
            <dl class="facts">
              <dt>machine</dt>
              <dd>{description.soc ?? description.cpu}</dd>
              <dt>system</dt>
              <dd>{[description.os, description.browser].filter(Boolean).join(', ')}</dd>
              <dt>cores</dt>
              <dd>
                {description.logicalCores}
                {description.memoryBytes === undefined
                  ? ''
                  : `, ${(description.memoryBytes / 2 ** 30).toFixed(1)} GiB memory`}
              </dd>
              <dt>computes on</dt>
              <dd>
                {description.backends
                  .map((backend) => `${backend.name}, up to ${backend.maxThreads} threads`)
                  .join('; ')}
              </dd>
              <dt>state</dt>
              <dd>{stateText(state ?? description.state)}</dd>
            </dl>
          </li>
        ))}
      </ul>
    </section>
  );
}

function stateText(state: Device['state']): string {
  const parts = [
    state?.batteryLevel === undefined
      ? undefined
      : `battery ${Math.round(100 * state.batteryLevel)} %${state.charging === true ? ', charging' : ''}`,
    state?.celsius === undefined ? state?.pressure : `${state.celsius.toFixed(0)} °C`,
    state?.load === undefined ? undefined : `load ${state.load.toFixed(1)}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? 'not told' : parts.join(', ');
}

const shownTime = (ms: number): string =>
  new Date(ms).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' });

/** The form that gives a job. */
function Submit({
  path,
  devices,
  onSubmitted,
}: {
  readonly path: string;
  readonly devices: readonly Device[];
  readonly onSubmitted: () => void;
}) {
  const { models } = useWorkspace().workspace;
  const [model, setModel] = useState(models[0]?.path ?? '');
  const [device, setDevice] = useState('');
  const [kind, setKind] = useState('latency');
  const [backend, setBackend] = useState('auto');
  const [told, setTold] = useState<string | Error>();
  const backends = [...new Set(devices.flatMap(({ description }) => description.backends.map(({ name }) => name)))];
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    const named = device === '' ? [] : device === '*' ? devices.map(({ name }) => name) : [device];
    const body = JSON.stringify({ devices: named, model, kind, backend, runs: 50 });
    try {
      const { added, jobs } = await askJson<{ added: number; jobs: readonly unknown[] }>('lab-jobs', {
        ...{ method: 'POST', query: { path }, body },
      });
      setTold(added === 0 ? 'This was measured already: see below.' : `${added} of ${jobs.length} jobs are new.`);
      onSubmitted();
    } catch (error) {
      setTold(error as Error);
    }
  };
  return (
    <section>
      <h2>Measure a model</h2>
      {models.length === 0 ? (
        <p>
          There is no model in this folder yet: <a href={linkTo('home')}>upload one</a>.
        </p>
      ) : (
        <form class="stack" onSubmit={(event) => void send(event)}>
          <Choice label="Model" value={model} options={models.map((one) => [one.path, one.path])} onChange={setModel} />
          <Choice
            label="Device"
            value={device}
            options={[['', 'any one'], ['*', 'all of them'], ...devices.map(({ name }) => [name, name] as const)]}
            onChange={setDevice}
          />
          <Choice
            label="What"
            value={kind}
            options={[
              ['latency', 'latency'],
              ['profile', 'time of every layer'],
              ['exit-costs', 'costs of exits, for adapt'],
            ]}
            onChange={setKind}
          />
          <Choice
            label="On"
            value={backend}
            options={[['auto', 'what it does best'], ...backends.map((name) => [name, name] as const)]}
            onChange={setBackend}
          />
          <button class="main" type="submit">
            Measure
          </button>
        </form>
      )}
      {told instanceof Error ? <Failure error={told} /> : told !== undefined && <p role="status">{told}</p>}
    </section>
  );
}

function Jobs({
  path,
  jobs,
  running,
  onChanged,
}: {
  readonly path: string;
  readonly jobs: LabView['jobs'];
  readonly running: boolean;
  readonly onChanged: () => void;
}) {
  const [failed, setFailed] = useState<Error>();
  const cancel = async (id: string): Promise<void> => {
    setFailed(undefined);
    try {
      await askJson('lab-cancel', { method: 'POST', query: { path, id } });
      onChanged();
    } catch (error) {
      setFailed(error as Error);
    }
  };
  return (
    <section>
      <h2>Jobs</h2>
      {failed !== undefined && <Failure error={failed} />}
      <Table
        caption="Jobs"
        columns={[
          { name: 'state', value: ({ state }) => <span class={`tag ${state}`}>{state}</span> },
          { name: 'model', value: ({ spec }) => spec.name },
          { name: 'what', value: ({ spec }) => `${spec.kind} on ${spec.backend}` },
          { name: 'device', value: ({ runBy, device }) => runBy ?? device ?? 'any one' },
          { name: 'given', value: ({ submittedAt }) => shownTime(submittedAt) },
          {
            name: '',
            value: ({ id, state, error, spec }) =>
              error !== undefined
                ? error.message
                : running &&
                  (state === 'queued' || state === 'running') && (
                    <button
                      class="link"
                      aria-label={`Cancel ${spec.kind} of ${spec.name}`}
                      onClick={() => void cancel(id)}
                    >
                      cancel
                    </button>
                  ),
          },
        ]}
        rows={jobs}
      />
    </section>
  );
}
