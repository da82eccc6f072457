/** @file One's own image: which exit answers, and why. */
import { milliseconds, percent, significant } from 'cuttle/report';
import { useEffect, useState } from 'preact/hooks';
import type { RunView, TriedExit, TryView } from '../../src/studio/messages.js';
import { askBytes, askJson } from './api.js';
import type { ViewProps } from './app.js';
import { Choice, Empty, Failure, Loading, Title } from './parts.js';
import { goTo, linkTo } from './route.js';
import { useLoad } from './use-load.js';
import { useWorkspace } from './workspace-context.js';

/** Sample images that are shown. */
const SAMPLES = 12;
const ALL = '';

export function TryPage({ query }: ViewProps) {
  const { runs } = useWorkspace().workspace;
  const path = query.get('path') ?? runs[0]?.path;
  const run = useLoad(path === undefined ? undefined : `try ${path}`, (signal) =>
    askJson<RunView>('run', { query: { path }, signal }),
  );
  return (
    <>
      <Title lead="The image stays on this machine. Exits behind the answer are not run; what they would have said is shown beside it.">
        Try an image
      </Title>
      {path === undefined ? (
        <Empty title="There is no network with early exits here yet.">
          <p>
            <a href={linkTo('runs', { start: 'demo' })}>Run the demo</a> first.
          </p>
        </Empty>
      ) : (
        <>
          {runs.length > 1 && (
            <Choice
              label="Network"
              value={path}
              options={runs.map((one) => [one.path, one.path === '' ? 'this folder' : one.path])}
              onChange={(next) => goTo(linkTo('try', { path: next }))}
            />
          )}
          <Loading of={run}>
            {(value) => <Try key={path} run={value} given={query.get('design') ?? undefined} />}
          </Loading>
        </>
      )}
    </>
  );
}

function Try({ run, given }: { readonly run: RunView; readonly given: string | undefined }) {
  const { images } = useWorkspace().workspace;
  const designs: readonly (readonly [string, string])[] = [
    ...(given === undefined ? [] : [[given, 'the one chosen before'] as const]),
    ...run.designs.map(({ path, file }) => [JSON.stringify(file), path] as const),
    [ALL, 'all exits, threshold 0.8'],
  ];
  const [design, setDesign] = useState(designs[0]![0]);
  const [image, setImage] = useState<{ readonly name: string; readonly bytes: Blob }>();
  const [answer, setAnswer] = useState<TryView | Error | 'waiting'>();
  const [over, setOver] = useState(false);
  useEffect(() => {
    if (image === undefined) return undefined;
    const controller = new AbortController();
    setAnswer('waiting');
    askJson<TryView>('try', {
      method: 'POST',
      query: { path: run.progressive, design: design === ALL ? undefined : design },
      body: image.bytes,
      signal: controller.signal,
    }).then(
      (value) => setAnswer(value),
      (error: unknown) => controller.signal.aborted || setAnswer(error as Error),
    );
    return () => controller.abort();
  }, [image, design]);
  const take = (file: File | undefined): void => {
    if (file !== undefined) setImage({ name: file.name, bytes: file });
  };
  return (
    <>
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
          take(event.dataTransfer?.files[0]);
        }}
      >
        <div class="fields">
          <Choice label="Design" value={design} options={designs} onChange={setDesign} />
          <label class="button file">
            Choose an image
            <input
              class="unseen"
              type="file"
              accept="image/*"
              onChange={(event) => take(event.currentTarget.files?.[0])}
            />
          </label>
        </div>
        {images.length > 0 && (
          <>
            <p class="quiet">Or drop one here, or take one of this folder:</p>
            <ul class="thumbs">
              {images.slice(0, SAMPLES).map(({ path }) => (
                <li>
                  <Thumb
                    path={path}
                    chosen={image?.name === path}
                    onChoose={(bytes) => setImage({ name: path, bytes })}
                  />
                </li>
              ))}
            </ul>
          </>
        )}
      </section>
      {image === undefined && (
        <Empty title="No image yet.">
          <p>Choose one, or drop it above: JPEG, PNG or WebP, any size.</p>
        </Empty>
      )}
      {answer === 'waiting' && (
        <p role="status" class="waiting">
          Running the network …
        </p>
      )}
      {answer instanceof Error && <Failure error={answer} />}
      {answer !== undefined && answer !== 'waiting' && !(answer instanceof Error) && (
        <Answer answer={answer} image={image!.bytes} />
      )}
    </>
  );
}

function useObjectUrl(blob: Blob | undefined): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (blob === undefined) return undefined;
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}

function Thumb({
  path,
  chosen,
  onChoose,
}: {
  readonly path: string;
  readonly chosen: boolean;
  readonly onChoose: (bytes: Blob) => void;
}) {
  const loaded = useLoad(
    `image ${path}`,
    async (signal) => new Blob([await askBytes('image', { query: { path }, signal })]),
  );
  const bytes = loaded.state === 'ready' ? loaded.value : undefined;
  const url = useObjectUrl(bytes);
  return (
    <button aria-pressed={chosen} disabled={bytes === undefined} onClick={() => onChoose(bytes!)} title={path}>
      {url === undefined ? '…' : <img src={url} alt={path} />}
    </button>
  );
}

function Answer({ answer, image }: { readonly answer: TryView; readonly image: Blob }) {
  const url = useObjectUrl(image);
  const { label, exits, exit, answeredBy, latencyMs, policy, input } = answer;
  const stopped = exits[exit]!;
  const last = exits.findLast(({ inDesign }) => inDesign)!;
  const why =
    stopped.threshold === undefined
      ? `no earlier exit was sure enough, so the image went on to ${stopped.name}${answeredBy === exit ? '' : `; of all that ran, exit ${exits[answeredBy]!.name} was the surest, so its answer counts`}`
      : `its ${WORDS[policy.evidence] ?? policy.evidence}, ${significant(stopped.score)}, is ${policy.leaves === 'below' ? 'below' : 'at least'} the threshold ${significant(stopped.threshold)}`;
  return (
    <>
      <section class="verdict" aria-live="polite">
        <div class="fields">
          {url !== undefined && <img class="tried" src={url} alt="The image that was tried" />}
          <div>
            <p>Taken for</p>
            <p class="answer-label">{label}</p>
            <p>
              Exit <b>{stopped.name}</b> stopped it in {milliseconds(latencyMs)}: {why}.
            </p>
            <p class="quiet">
              {exits.filter(({ ran }) => ran).length} of {exits.filter(({ inDesign }) => inDesign).length} exits of the
              design ran{stopped === last ? '' : '; the rest of the network was never computed'}. Scaled to{' '}
              {input.width} × {input.height}, {input.channels}.
            </p>
          </div>
        </div>
      </section>
      <section>
        <h2>Exit by exit</h2>
        <ol class="exits">
          {exits.map((one) => (
            <Exit one={one} policy={policy} />
          ))}
        </ol>
      </section>
    </>
  );
}

const WORDS: Readonly<Record<string, string>> = {
  top1: 'confidence',
  entropy: 'entropy',
  margin: 'margin',
  streak: 'number of agreeing exits in a row',
  gate: 'gate',
};

function Exit({ one, policy }: { readonly one: TriedExit; readonly policy: TryView['policy'] }) {
  const { name, inDesign, ran, label, score, threshold, leaves, top } = one;
  const scale =
    policy.evidence === 'top1' || policy.evidence === 'margin' || policy.evidence === 'gate'
      ? 1
      : Math.max(score, threshold ?? 0, 1);
  const state = leaves
    ? 'the image left here'
    : ran
      ? 'went on'
      : inDesign
        ? 'not run; would have said'
        : 'not in this design; would have said';
  return (
    <li class={leaves ? 'answer' : ran ? undefined : inDesign ? 'not-run' : 'outside'}>
      <div class="head">
        <b>{label}</b> <span>{name}</span> <span class="quiet">{state}</span>
      </div>
      <div class="meter" aria-hidden="true">
        <i style={{ width: `${Math.min(100, (100 * score) / scale)}%` }} />
        {threshold !== undefined && <em style={{ left: `${Math.min(100, (100 * threshold) / scale)}%` }} />}
      </div>
      <div class="quiet">
        {WORDS[policy.evidence] ?? policy.evidence} {significant(score)}
        {threshold !== undefined && `, threshold ${significant(threshold)}`} ·{' '}
        {top.map(({ label: other, probability }) => `${other} ${percent(probability)}`).join(', ')}
      </div>
    </li>
  );
}
