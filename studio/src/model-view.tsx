/** @file One model: its graph with search, a heat map of time, work and memory, its exits, its cuts; layers as a table. */
import { binaryBytes, count, magnitude, milliseconds, percent } from 'cuttle/report';
import { useMemo, useState } from 'preact/hooks';
import type { ModelView, NodeView } from '../../src/studio/messages.js';
import { askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Graph } from './graph-svg.js';
import { HEATS, type HeatName } from './heat.js';
import { Choice, Empty, Failure, Loading, Table, Tiles, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useLoad } from './use-load.js';
import { useWorkspace } from './workspace-context.js';

export function ModelPage({ query }: ViewProps) {
  const { models } = useWorkspace().workspace;
  const path = query.get('path') ?? models[0]?.path;
  const loaded = useLoad(path, (signal) => askJson<ModelView>('model', { query: { path }, signal }));
  if (path === undefined)
    return (
      <>
        <Title>Model</Title>
        <Empty title="There is no model in this folder.">
          <p>
            <a href={linkTo('home')}>Upload one or run the demo</a> first.
          </p>
        </Empty>
      </>
    );
  return (
    <>
      <Title>{path}</Title>
      <Choice
        label="Model"
        value={path}
        options={models.map((model) => [model.path, model.path])}
        onChange={(next) => goTo(linkTo('model', { path: next }))}
      />
      <Loading of={loaded}>{(model) => <Model key={path} given={model} />}</Loading>
    </>
  );
}

function Model({ given }: { readonly given: ModelView }) {
  const [model, setModel] = useState(given);
  const [heat, setHeat] = useState<HeatName>(model.timesFrom === undefined ? 'macs' : 'time');
  const [search, setSearch] = useState('');
  const [cutIndex, setCutIndex] = useState(-1);
  const [selected, setSelected] = useState<number>();
  const [zoom, setZoom] = useState(0.85);
  const [measuring, setMeasuring] = useState<'no' | 'yes' | Error>('no');
  const matches = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    return model.nodes.flatMap(({ name, op, shape }, i) => {
      const text = `${name} ${op} ${shape}`.toLowerCase();
      return words.every((word) => text.includes(word)) ? [i] : [];
    });
  }, [search, model]);
  const found = useMemo(() => new Set(matches), [matches]);
  const cut = model.cuts.find(({ index }) => index === cutIndex);
  const measure = async (): Promise<void> => {
    setMeasuring('yes');
    try {
      setModel(await askJson<ModelView>('profile', { method: 'POST', query: { path: model.path } }));
      setHeat('time');
      setMeasuring('no');
    } catch (error) {
      setMeasuring(error as Error);
    }
  };
  /** The next match behind the one that is selected. */
  const next = (event: Event): void => {
    event.preventDefault();
    setSelected(matches.find((i) => i > (selected ?? -1)) ?? matches[0]);
  };
  return (
    <>
      <Tiles
        items={[
          ['kind', model.kind, `opset ${model.opset}${model.producer && `, ${model.producer}`}`],
          ['parameters', magnitude(model.params), binaryBytes(model.bytes)],
          ['work', `${magnitude(model.macs)} MACs`, 'for one sample'],
          ['activations', binaryBytes(model.peakActivationBytes), 'at most at once'],
          ['input', <span class="small">{model.inputs.map(({ type }) => type).join(' ')}</span>],
        ]}
      />
      {model.notes.map((note) => (
        <p class="quiet">{note}</p>
      ))}
      <section class="wide-section">
        <h2>Graph</h2>
        <div class="fields">
          <Choice
            label="Bars show"
            value={heat}
            options={(Object.keys(HEATS) as HeatName[])
              .filter((name) => name !== 'time' || model.timesFrom !== undefined)
              .map((name) => [name, HEATS[name].name])}
            onChange={(name) => setHeat(name as HeatName)}
          />
          <form class="field" onSubmit={next} role="search">
            <label for="search">Search {search !== '' && <output>{count(matches.length)} found</output>}</label>
            <input
              id="search"
              type="search"
              placeholder="name, operator or shape"
              value={search}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </form>
          {model.cuts.length > 0 && (
            <Choice
              label="Cut between device and server"
              value={String(cutIndex)}
              options={[
                ['-1', 'none'],
                ...model.cuts.map(
                  ({ index, bytes }) =>
                    [String(index), `cut ${index}: ${bytes === null ? '?' : binaryBytes(bytes)} cross`] as const,
                ),
              ]}
              onChange={(index) => setCutIndex(Number(index))}
            />
          )}
          <Choice
            label="Size"
            value={String(zoom)}
            options={[0.35, 0.6, 0.85, 1, 1.4].map((size) => [String(size), `${Math.round(size * 100)} %`])}
            onChange={(size) => setZoom(Number(size))}
          />
          <button onClick={() => void measure()} disabled={measuring === 'yes'}>
            {measuring === 'yes' ? 'Measuring …' : model.timesFrom === undefined ? 'Measure time' : 'Measure again'}
          </button>
        </div>
        {measuring instanceof Error && <Failure error={measuring} />}
        <p class="quiet">
          {model.timesFrom === undefined ? 'Times were not measured yet.' : `Times: ${model.timesFrom}.`}{' '}
          {model.exits.length > 0 && `${model.exits.length} exits, their heads drawn dashed. `}
          {cut !== undefined &&
            `${cut.device.length} operators run on the device; ${cut.frontier.length === 0 ? 'nothing crosses' : `what crosses is drawn thick: ${cut.frontier.join(', ')}`}.`}
        </p>
        <div class="graph-pair">
          <Graph {...{ model, heat, cut, found, selected, zoom }} onSelect={setSelected} />
          <Details model={model} selected={selected} onSelect={setSelected} />
        </div>
      </section>
      <Layers model={model} heat={heat} />
    </>
  );
}

function Details({
  model,
  selected,
  onSelect,
}: {
  readonly model: ModelView;
  readonly selected: number | undefined;
  readonly onSelect: (node: number) => void;
}) {
  const node = selected === undefined ? undefined : model.nodes[selected];
  return (
    <aside class="details" aria-live="polite" aria-label="Selected operator">
      {node === undefined ? (
        <>
          <p class="quiet">Choose an operator in the graph, or walk it with the arrow keys.</p>
          <ul class="legend">
            <li>
              <i class="share" /> its share of what the bars show
            </li>
            <li>
              <i class="dashed" /> needed by an exit alone
            </li>
            <li>
              <i class="device" /> on the device, before the cut
            </li>
            <li>
              <i class="server" /> on the server, behind it
            </li>
            <li>
              <i class="crosses" /> crosses the cut
            </li>
          </ul>
        </>
      ) : (
        <>
          <h3>{node.name}</h3>
          <dl>
            <dt>operator</dt>
            <dd>{node.op}</dd>
            <dt>result</dt>
            <dd>{node.shape}</dd>
            {node.ms !== undefined && (
              <>
                <dt>time</dt>
                <dd>{milliseconds(node.ms)}</dd>
              </>
            )}
            <dt>MACs</dt>
            <dd>{count(node.macs)}</dd>
            <dt>parameters</dt>
            <dd>{count(node.params)}</dd>
            <dt>memory</dt>
            <dd>{binaryBytes(node.memory)}</dd>
            {node.exit !== undefined && (
              <>
                <dt>exit</dt>
                <dd>{node.exit}</dd>
              </>
            )}
            <dt>reads</dt>
            <dd>
              {node.from.length === 0
                ? 'the input'
                : node.from.map((source) => (
                    <button class="link" onClick={() => onSelect(source)}>
                      {model.nodes[source]!.name}
                    </button>
                  ))}
            </dd>
          </dl>
        </>
      )}
    </aside>
  );
}

function Layers({ model, heat }: { readonly model: ModelView; readonly heat: HeatName }) {
  const { value, format, name } = HEATS[heat];
  const total = model.nodes.reduce((sum, node) => sum + value(node), 0);
  const most: readonly NodeView[] = [...model.nodes].sort((a, b) => value(b) - value(a)).slice(0, 12);
  return (
    <section>
      <h2>Where the {name === 'time' ? 'time goes' : `${name} lie${name === 'memory' ? 's' : ''}`}</h2>
      <Table
        caption={`Dearest operators by ${name}`}
        columns={[
          { name: 'operator', value: (node) => node.op },
          { name: 'name', value: (node) => node.name },
          { name, number: true, value: (node) => format(value(node)) },
          { name: 'share', number: true, value: (node) => percent(total > 0 ? value(node) / total : 0) },
          { name: 'result', value: ({ shape }) => shape },
        ]}
        rows={most.filter((node) => value(node) > 0)}
      />
    </section>
  );
}
