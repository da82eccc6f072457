/** @file The shell: name, views, theme; loads what the folder holds, and each view's code when it is first opened. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { WorkspaceView } from '../../src/studio/messages.js';
import { askJson, silence } from './api.js';
import { Home } from './home.js';
import { Failure, Loading } from './parts.js';
import { linkTo, useRoute, type Route } from './route.js';
import { applyTheme, chosenTheme, type Theme } from './theme.js';
import { useLoad } from './use-load.js';
import { WorkspaceContext } from './workspace-context.js';

export interface ViewProps {
  readonly query: URLSearchParams;
}

/** The views in the order of the navigation. Home comes with the shell, the others when they are opened. */
const VIEWS: Readonly<
  Record<string, { readonly name: string; readonly load: () => Promise<ComponentType<ViewProps>> }>
> = {
  home: { name: 'Workspace', load: async () => Home },
  model: { name: 'Model', load: async () => (await import('./model-view.js')).ModelPage },
  designs: { name: 'Designs', load: async () => (await import('./designs-view.js')).DesignsPage },
  try: { name: 'Try it', load: async () => (await import('./try-view.js')).TryPage },
  split: { name: 'Split', load: async () => (await import('./split-view.js')).SplitPage },
  runs: { name: 'Runs', load: async () => (await import('./runs-view.js')).RunsPage },
  compare: { name: 'Compare', load: async () => (await import('./compare-view.js')).ComparePage },
  lab: { name: 'Lab', load: async () => (await import('./lab-view.js')).LabPage },
  audit: { name: 'Audit', load: async () => (await import('./audit-view.js')).AuditPage },
};

const NEXT_THEME: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' };

export function App() {
  const route = useRoute();
  const [version, setVersion] = useState(0);
  const loaded = useLoad(`workspace ${version}`, (signal) => askJson<WorkspaceView>('workspace', { signal }));
  // What is shown stays while the folder is looked at again.
  const [last, setLast] = useState<WorkspaceView>();
  useEffect(() => {
    if (loaded.state === 'ready') setLast(loaded.value);
  }, [loaded]);
  const shown = loaded.state === 'loading' && last ? ({ state: 'ready', value: last } as const) : loaded;
  const name = VIEWS[route.view]?.name ?? 'Not found';
  useEffect(() => {
    document.title = `${name} – Cuttle studio`;
  }, [name]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        To the content
      </a>
      <Header present={route.view} />
      <main id="main" tabIndex={-1}>
        <Loading of={shown}>
          {(workspace) => (
            <WorkspaceContext.Provider value={{ workspace, reload: () => setVersion((old) => old + 1) }}>
              <View route={route} />
            </WorkspaceContext.Provider>
          )}
        </Loading>
      </main>
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('main')!.focus();
}

function Header({ present }: { readonly present: string }) {
  const [theme, setTheme] = useState(chosenTheme());
  const list = useRef<HTMLUListElement>(null);
  // On a phone the list is wider than the screen: the present view is brought into sight.
  useEffect(() => {
    const show = (): void => {
      const link = list.current?.querySelector<HTMLElement>('[aria-current]');
      const nav = list.current?.parentElement;
      if (link && nav)
        nav.scrollTo({ left: link.offsetLeft - nav.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2 });
    };
    show();
    addEventListener('resize', show);
    return () => removeEventListener('resize', show);
  }, [present]);
  return (
    <header class="top">
      <a class="brand" href="#/">
        Cuttle <span>studio</span>
      </a>
      <nav aria-label="Views">
        <ul ref={list}>
          {Object.entries(VIEWS).map(([view, { name }]) => (
            <li>
              <a href={linkTo(view)} aria-current={view === present ? 'page' : undefined}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <button
        class="plain"
        onClick={() => {
          const next = NEXT_THEME[theme];
          setTheme(next);
          applyTheme(next);
        }}
        aria-label={`Theme: ${theme}`}
        title={`Theme: ${theme}`}
      >
        {{ system: '◐', light: '☀', dark: '☾' }[theme]}
      </button>
    </header>
  );
}

function View({ route }: { readonly route: Route }) {
  const view = VIEWS[route.view];
  const code = useLoad(view === undefined ? undefined : route.view, () =>
    view!.load().catch(() => {
      throw silence();
    }),
  );
  if (view === undefined) return <Failure error={new Error(`there is no view '${route.view}'`)} />;
  return <Loading of={code}>{(Page) => <Page key={route.view} query={route.query} />}</Loading>;
}
