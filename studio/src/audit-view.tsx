/** @file The apps of an audit and the networks in them: filter, totals, one app with its evidence. */
import { binaryBytes, count, magnitude } from 'cuttle/report';
import { useMemo, useState } from 'preact/hooks';
import type { AuditAppView, AuditView } from '../../src/studio/messages.js';
import { askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Choice, Empty, Loading, Table, Tiles, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useLoad } from './use-load.js';
import { useWorkspace } from './workspace-context.js';

type FoundModel = AuditAppView['models'][number] & { readonly app: AuditAppView };

export function AuditPage({ query }: ViewProps) {
  const { audits } = useWorkspace().workspace;
  const path = query.get('path') ?? audits[0]?.path;
  const loaded = useLoad(path === undefined ? undefined : `audit ${path}`, (signal) =>
    askJson<AuditView>('audit', { query: { path }, signal }),
  );
  return (
    <>
      <Title lead="Neural networks found inside apps: what they are for, how they are built, where they lie.">
        Audit
      </Title>
      {path === undefined ? (
        <Empty title="There is no audit here yet.">
          <p>
            Audit apps on a command line, then open its folder here: <code>cuttle audit APPS --out DIR</code>
          </p>
        </Empty>
      ) : (
        <>
          {audits.length > 1 && (
            <Choice
              label="Audit"
              value={path}
              options={audits.map((one) => [one.path, one.path === '' ? 'this folder' : one.path])}
              onChange={(next) => goTo(linkTo('audit', { path: next }))}
            />
          )}
          <Loading of={loaded}>
            {(audit) => <Audit key={path} path={path} audit={audit} app={query.get('app') ?? undefined} />}
          </Loading>
        </>
      )}
    </>
  );
}

function Audit({
  path,
  audit,
  app,
}: {
  readonly path: string;
  readonly audit: AuditView;
  readonly app: string | undefined;
}) {
  const [search, setSearch] = useState('');
  const [format, setFormat] = useState('');
  const all = useMemo(
    () => audit.apps.flatMap((one) => one.models.map((model): FoundModel => ({ ...model, app: one }))),
    [audit],
  );
  const formats = [...new Set(all.map((model) => model.format))].sort();
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = all.filter((model) => {
    const text = [
      model.app.identifier,
      model.app.label,
      model.app.category,
      model.path,
      model.task,
      model.architecture,
      model.format,
    ]
      .join(' ')
      .toLowerCase();
    return (format === '' || model.format === format) && words.every((word) => text.includes(word));
  });
  const unique = new Set(all.map(({ sha256 }) => sha256)).size;
  const withModels = audit.apps.filter(({ models }) => models.length > 0).length;
  const tasks = new Map<string, number>();
  for (const { task } of all) tasks.set(task ?? 'not read', (tasks.get(task ?? 'not read') ?? 0) + 1);
  return (
    <>
      <Tiles
        items={[
          ['apps', count(audit.apps.length), `${count(withModels)} with networks`],
          ['networks', count(all.length), `${count(unique)} different files`],
          ['formats', count(formats.length), formats.slice(0, 3).join(', ')],
          ['not read', count(all.filter(({ task }) => task === null).length), 'found, but of an unread format'],
        ]}
      />
      {audit.truncated && (
        <p class="notice">Only the first records are shown; ask the rest with the command’s queries.</p>
      )}
      {audit.broken.map(({ name, why }) => (
        <p class="notice bad">
          {name}: {why}
        </p>
      ))}
      {app !== undefined && (
        <App path={path} name={app} uses={audit.apps.find(({ name }) => name === app)?.uses ?? []} />
      )}
      <section>
        <h2>Networks</h2>
        <div class="fields">
          <label class="field">
            <span>Search</span>
            <input
              type="search"
              value={search}
              placeholder="app, task, architecture, path"
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </label>
          <Choice
            label="Format"
            value={format}
            options={[['', 'all'], ...formats.map((one) => [one, one] as const)]}
            onChange={setFormat}
          />
        </div>
        {shown.length === 0 ? (
          <p class="quiet">
            {all.length === 0 ? 'No app of this audit holds a network.' : 'Nothing fits; search for less.'}
          </p>
        ) : (
          <Table
            caption="Networks"
            columns={[
              {
                name: 'app',
                value: ({ app: own }) => (
                  <a href={linkTo('audit', { path, app: own.name })}>{own.label ?? own.identifier}</a>
                ),
              },
              { name: 'task', value: ({ task }) => task ?? '–' },
              { name: 'architecture', value: ({ architecture }) => architecture ?? '–' },
              { name: 'format', value: (model) => model.format },
              { name: 'parameters', number: true, value: ({ params }) => (params === null ? '–' : magnitude(params)) },
              { name: 'MACs', number: true, value: ({ macs }) => (macs === null ? '–' : magnitude(macs)) },
              { name: 'size', number: true, value: ({ bytes }) => binaryBytes(bytes) },
            ]}
            rows={shown.slice(0, 300)}
          />
        )}
      </section>
      <Apps path={path} apps={audit.apps} />
      <section>
        <h2>What they are for</h2>
        <Table
          caption="Tasks"
          columns={[
            { name: 'task', value: ([task]) => task },
            { name: 'networks', number: true, value: ([, number]) => number },
          ]}
          rows={[...tasks].sort(([, one], [, other]) => other - one)}
        />
      </section>
    </>
  );
}

const shownUses = (uses: AuditAppView['uses'], kind: AuditAppView['uses'][number]['kind']): string => {
  const own = uses.filter((use) => use.kind === kind);
  return own.length === 0 ? '–' : own.map(({ title }) => title).join(', ');
};

/** Every app with what it calls; those with the most networks first. */
function Apps({ path, apps }: { readonly path: string; readonly apps: readonly AuditAppView[] }) {
  const order = [...apps].sort((a, b) => b.models.length - a.models.length).slice(0, 300);
  return (
    <section>
      <h2>Apps</h2>
      <Table
        caption="Apps"
        columns={[
          {
            name: 'app',
            value: ({ name, label, identifier }) => (
              <a href={linkTo('audit', { path, app: name })}>{label ?? identifier}</a>
            ),
          },
          { name: 'category', value: ({ category }) => category ?? '–' },
          { name: 'networks', number: true, value: ({ models }) => models.length },
          { name: 'frameworks', value: ({ uses }) => shownUses(uses, 'framework') },
          { name: 'cloud services', value: ({ uses }) => shownUses(uses, 'cloud') },
          { name: 'accelerators', value: ({ uses }) => shownUses(uses, 'accelerator') },
        ]}
        rows={order}
      />
    </section>
  );
}

interface Told {
  readonly identifier: string;
  readonly label?: string;
  readonly version?: string;
  readonly category: string | null;
  readonly failure?: string;
  readonly origin: { readonly locator: string; readonly bytes: number; readonly sha256: string };
  readonly models: readonly {
    readonly format: string;
    readonly path: string;
    readonly confidence: string;
    readonly evidence: readonly string[];
    readonly disguise?: string;
    readonly content: {
      readonly status: 'read' | 'unread';
      readonly reason?: string;
      readonly analysis?: {
        readonly task: {
          readonly value: { readonly modality: string; readonly task: string };
          readonly confidence: string;
          readonly evidence: readonly string[];
        };
      };
    };
  }[];
}

/** One app with what speaks for each finding. */
function App({
  path,
  name,
  uses,
}: {
  readonly path: string;
  readonly name: string;
  readonly uses: AuditAppView['uses'];
}) {
  const loaded = useLoad(`record ${path} ${name}`, (signal) =>
    askJson<Told>('record', { query: { path, name }, signal }),
  );
  return (
    <section>
      <Loading of={loaded}>
        {({ identifier, label, version, category, failure, origin, models }) => (
          <>
            <h2>{label ?? identifier}</h2>
            <dl class="facts">
              <dt>identifier</dt>
              <dd>{identifier}</dd>
              <dt>version</dt>
              <dd>{version ?? '–'}</dd>
              <dt>category</dt>
              <dd>{category ?? '–'}</dd>
              <dt>file</dt>
              <dd>
                {origin.locator}, {binaryBytes(origin.bytes)}
              </dd>
              {uses.length > 0 && (
                <>
                  <dt>uses</dt>
                  <dd>{uses.map(({ title, use }) => `${title} (${use.replaceAll('-', ' ')})`).join(', ')}</dd>
                </>
              )}
              {failure !== undefined && (
                <>
                  <dt>failure</dt>
                  <dd>{failure}</dd>
                </>
              )}
            </dl>
            {models.map((model) => (
              <article class="card found-model">
                <h3>{model.path}</h3>
                <p>
                  {model.format}, {model.confidence}
                  {model.disguise === undefined ? '' : `, ${model.disguise}`}: {model.evidence.join('; ')}.
                </p>
                {model.content.status === 'unread' ? (
                  <p class="quiet">Not read: {model.content.reason}</p>
                ) : (
                  <p class="quiet">
                    For {model.content.analysis!.task.value.task} ({model.content.analysis!.task.value.modality},{' '}
                    {model.content.analysis!.task.confidence}): {model.content.analysis!.task.evidence.join('; ')}.
                  </p>
                )}
              </article>
            ))}
            {models.length === 0 && <p>No network was found in it.</p>}
          </>
        )}
      </Loading>
    </section>
  );
}
