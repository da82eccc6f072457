/** @file The first view: what the folder holds and what can be done with it; where it is empty, what to do. */
import { binaryBytes } from 'cuttle/report';
import { useRef, useState } from 'preact/hooks';
import type { FoundFile, FoundRun } from '../../src/studio/messages.js';
import { askJson } from './api.js';
import { Empty, Failure, Table, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useWorkspace } from './workspace-context.js';

export function Home() {
  const { workspace } = useWorkspace();
  const { name, models, runs, splits, audits, labs, truncated, version } = workspace;
  const empty = models.length + splits.length + audits.length + labs.length === 0;
  return (
    <>
      <Title lead={`What this folder holds. Cuttle ${version}; nothing leaves this machine.`}>{name}</Title>
      {empty && (
        <Empty title="There is no model here yet.">
          <p>Three ways to begin:</p>
          <ol>
            <li>
              <a href={linkTo('runs', { start: 'demo' })}>Run the demo from here</a>: two minutes, no download. On a
              command line: <code>cuttle demo</code>
            </li>
            <li>Upload an ONNX file below.</li>
            <li>
              Open another folder: <code>cuttle studio FOLDER</code>
            </li>
          </ol>
        </Empty>
      )}
      {truncated && (
        <p class="notice">The folder holds more than is listed here. Open a folder further down to see the rest.</p>
      )}
      {runs.length > 0 && <Runs runs={runs} />}
      {models.length > 0 && <Models models={models} />}
      {splits.length > 0 && (
        <section>
          <h2>Split profiles</h2>
          <ul class="links">
            {splits.map(({ path }) => (
              <li>
                <a href={linkTo('split', { path })}>{path}</a>
              </li>
            ))}
          </ul>
        </section>
      )}
      {audits.length > 0 && (
        <section>
          <h2>Audits</h2>
          <ul class="links">
            {audits.map(({ path, apps }) => (
              <li>
                <a href={linkTo('audit', { path })}>{path === '' ? name : path}</a> {apps} apps
              </li>
            ))}
          </ul>
        </section>
      )}
      {labs.length > 0 && (
        <section>
          <h2>Device labs</h2>
          <ul class="links">
            {labs.map((lab) => (
              <li>
                <a href={linkTo('lab', { path: lab.path })}>{lab.name}</a>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Upload />
    </>
  );
}

function Runs({ runs }: { readonly runs: readonly FoundRun[] }) {
  return (
    <section>
      <h2>Networks with early exits</h2>
      <div class="cards">
        {runs.map(({ path, designs, memo, progressive }) => (
          <article class="card">
            <h3>{path === '' ? 'This folder' : path}</h3>
            <p>
              {designs.length} {designs.length === 1 ? 'design' : 'designs'}
            </p>
            <p class="actions">
              {memo && (
                <a class="button" href={linkTo('designs', { path })}>
                  Move the budget
                </a>
              )}
              <a class="button" href={linkTo('try', { path })}>
                Try an image
              </a>
              <a class="button" href={linkTo('model', { path: progressive })}>
                See the graph
              </a>
            </p>
          </article>
        ))}
      </div>
    </section>
  );
}

function Models({ models }: { readonly models: readonly FoundFile[] }) {
  return (
    <section>
      <h2>Models</h2>
      <Table
        caption="Models"
        columns={[
          { name: 'model', value: ({ path }) => <a href={linkTo('model', { path })}>{path}</a> },
          { name: 'size', number: true, value: ({ bytes }) => binaryBytes(bytes) },
          {
            name: 'changed',
            number: true,
            value: ({ modifiedMs }) =>
              new Date(modifiedMs).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' }),
          },
        ]}
        rows={models}
      />
    </section>
  );
}

function Upload() {
  const { reload } = useWorkspace();
  const input = useRef<HTMLInputElement>(null);
  const [state, setState] = useState<'idle' | 'sending' | Error>('idle');
  const [over, setOver] = useState(false);
  const send = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    setState('sending');
    try {
      const { path } = await askJson<{ path: string }>('upload', {
        method: 'POST',
        query: { name: file.name },
        body: file,
      });
      setState('idle');
      reload();
      if (path.endsWith('.onnx')) goTo(linkTo('model', { path }));
    } catch (error) {
      setState(error as Error);
    }
  };
  return (
    <section
      class={over ? 'drop over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void send(event.dataTransfer?.files[0]);
      }}
    >
      <h2>Add a file</h2>
      <p>
        An ONNX model, a split profile or an image: drop it here, or{' '}
        <label class="link">
          choose it
          <input
            ref={input}
            class="unseen"
            type="file"
            accept=".onnx,.json,image/*"
            onChange={(event) => void send(event.currentTarget.files?.[0])}
          />
        </label>
        . It is copied into this folder; nothing is replaced.
      </p>
      {state === 'sending' && <p role="status">Copying …</p>}
      {state instanceof Error && <Failure error={state} />}
    </section>
  );
}
