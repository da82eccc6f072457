/** @file Two models side by side: cost, operators, weights, and accuracy where a run of `cuttle eval` is asked for. */
import { binaryBytes, count, magnitude, percent, significant } from 'cuttle/report';
import { useState } from 'preact/hooks';
import type { CompareView, JobEvent, JobView, ModelSummary } from '../../src/studio/messages.js';
import { askEvents, askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Choice, Empty, Failure, Loading, Table, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useLoad } from './use-load.js';
import { useWorkspace } from './workspace-context.js';

export function ComparePage({ query }: ViewProps) {
  const { models } = useWorkspace().workspace;
  const a = query.get('a') ?? models[0]?.path;
  const b = query.get('b') ?? models[1]?.path;
  const ready = a !== undefined && b !== undefined;
  const loaded = useLoad(ready ? `${a} ${b}` : undefined, (signal) =>
    askJson<CompareView>('compare', { query: { a, b }, signal }),
  );
  const options = models.map(({ path }) => [path, path] as const);
  return (
    <>
      <Title lead="Structure, weights, cost and accuracy of two models.">Compare</Title>
      {!ready ? (
        <Empty title="Two models are needed.">
          <p>
            <a href={linkTo('home')}>Upload</a> one more, or{' '}
            <a href={linkTo('runs', { start: 'demo' })}>run the demo</a>.
          </p>
        </Empty>
      ) : (
        <>
          <div class="fields">
            <Choice
              label="A"
              value={a}
              options={options}
              onChange={(next) => goTo(linkTo('compare', { a: next, b }))}
            />
            <Choice
              label="B"
              value={b}
              options={options}
              onChange={(next) => goTo(linkTo('compare', { a, b: next }))}
            />
          </div>
          <Loading of={loaded}>{(view) => <Comparison key={`${a} ${b}`} {...{ a, b, view }} />}</Loading>
        </>
      )}
    </>
  );
}

const COSTS: readonly (readonly [
  name: string,
  value: (summary: ModelSummary) => number,
  format: (value: number) => string,
])[] = [
  ['operators', ({ nodes }) => nodes, count],
  ['parameters', ({ params }) => params, magnitude],
  ['weights', ({ paramBytes }) => paramBytes, binaryBytes],
  ['MACs', ({ macs }) => macs, magnitude],
  ['activations at most', ({ peakActivationBytes }) => peakActivationBytes, binaryBytes],
];

const STATUS: Readonly<Record<CompareView['weights'][number]['status'], string>> = {
  equal: 'the same, to the byte',
  changed: 'changed',
  reshaped: 'another shape or type',
  'only-a': 'only in A',
  'only-b': 'only in B',
};

function Comparison({ a, b, view }: { readonly a: string; readonly b: string; readonly view: CompareView }) {
  const { totals, nodes } = view;
  const changed = view.weights.filter(({ status }) => status !== 'equal');
  return (
    <>
      <section>
        <h2>Cost</h2>
        <Table
          caption="Cost"
          columns={[
            { name: 'of one sample', value: ([name]) => name },
            { name: 'A', number: true, value: ([, value, format]) => format(value(view.a)) },
            { name: 'B', number: true, value: ([, value, format]) => format(value(view.b)) },
            { name: 'B / A', number: true, value: ([, value]) => `${significant(value(view.b) / value(view.a))} ×` },
          ]}
          rows={COSTS}
        />
      </section>
      <Accuracy {...{ a, b }} />
      <section>
        <h2>Weights</h2>
        <p>
          {totals.equal} the same to the byte, {totals.changed} changed, {totals.reshaped} of another shape or type,{' '}
          {totals.onlyA} only in A, {totals.onlyB} only in B.
        </p>
        {changed.length > 0 && (
          <Table
            caption="Weights that differ"
            columns={[
              { name: 'weight', value: ({ name }) => name },
              { name: 'shape', value: ({ shape }) => shape },
              { name: 'in B', value: ({ status }) => STATUS[status] },
              {
                name: 'how far, ‖A − B‖ / ‖A‖',
                number: true,
                value: ({ distance }) =>
                  distance === undefined ? '' : distance === null ? 'A is zero' : percent(distance),
              },
            ]}
            rows={changed.slice(0, 60)}
          />
        )}
      </section>
      <section>
        <h2>Structure</h2>
        <p>
          {nodes.shared} operators have the same name in both; {nodes.onlyA.length} are only in A, {nodes.onlyB.length}{' '}
          only in B.
        </p>
        <Table
          caption="Operators"
          mark={(row) => row.a !== row.b}
          columns={[
            { name: 'operator', value: ({ op }) => op },
            { name: 'A', number: true, value: (row) => row.a },
            { name: 'B', number: true, value: (row) => row.b },
          ]}
          rows={view.operators}
        />
      </section>
    </>
  );
}

/** Both models on the same images, by the command itself. */
function Accuracy({ a, b }: { readonly a: string; readonly b: string }) {
  const [data, setData] = useState('mnist');
  const [state, setState] = useState<
    'idle' | 'running' | Error | readonly (Readonly<Record<string, unknown>> | string)[]
  >('idle');
  const evaluate = async (model: string): Promise<Readonly<Record<string, unknown>> | string> => {
    const body = JSON.stringify({ verb: 'eval', model, data, limit: 500 });
    const { id } = await askJson<JobView>('jobs', { method: 'POST', body });
    let last = '';
    for await (const event of askEvents<JobEvent>('events', { query: { id } })) {
      if (event.kind === 'output') {
        const json = event.json as { error?: { message: string } };
        return json.error?.message ?? (event.json as Readonly<Record<string, unknown>>);
      }
      if (event.kind === 'line') last = event.text;
    }
    return last;
  };
  const run = async (): Promise<void> => {
    setState('running');
    try {
      setState([await evaluate(a), await evaluate(b)]);
    } catch (error) {
      setState(error as Error);
    }
  };
  const figure = (value: unknown): string => (typeof value === 'number' ? percent(value) : '–');
  return (
    <section>
      <h2>Accuracy</h2>
      <div class="fields">
        <label class="field">
          <span>Images</span>
          <input value={data} onInput={(event) => setData(event.currentTarget.value)} spellcheck={false} />
        </label>
        <button onClick={() => void run()} disabled={state === 'running'}>
          {state === 'running' ? 'Running both …' : 'Run both on 500 images'}
        </button>
      </div>
      <p class="quiet">
        A known data set such as <code>mnist</code>, or <code>./FOLDER</code> of images by class in this workspace.
      </p>
      {state instanceof Error && <Failure error={state} />}
      {Array.isArray(state) && (
        <Table
          caption="Accuracy"
          columns={[
            { name: 'model', value: ({ name }) => name },
            {
              name: 'right',
              number: true,
              value: ({ told }) => (typeof told === 'string' ? told : figure(told['accuracy'])),
            },
          ]}
          rows={[a, b].map((name, i) => ({ name, told: state[i] as Readonly<Record<string, unknown>> | string }))}
        />
      )}
    </section>
  );
}
