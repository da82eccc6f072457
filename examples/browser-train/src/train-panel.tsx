/** @file Settings, start and cancel, curves, and the trained network as a file. */
import { useId, useState } from 'preact/hooks';
import { Plot } from './plot.js';
import type { Sample } from './samples.js';
import type { Settings, Training, TrainingView } from './training.js';

const NETWORKS = [
  { name: 'digits-cnn', title: 'Small CNN' },
  { name: 'lenet-5', title: 'LeNet-5' },
  { name: 'resnet-8', title: 'ResNet-8' },
];
const BACKENDS = [
  { name: 'auto', title: 'Automatic' },
  { name: 'wasm', title: 'WebAssembly' },
  { name: 'webgpu', title: 'WebGPU' },
] as const;
const EPOCHS = [1, 3, 5, 10, 20, 50];

interface TrainPanelProps {
  readonly training: Training;
  readonly view: TrainingView | undefined;
  readonly samples: readonly Sample[];
  readonly ready: boolean;
}

export function TrainPanel({ training, view, samples, ready }: TrainPanelProps) {
  const [settings, setSettings] = useState<Settings>({
    network: 'digits-cnn',
    goOn: false,
    epochs: 5,
    backend: 'auto',
    threads: undefined,
  });
  const change = (changed: Partial<Settings>): void => setSettings({ ...settings, ...changed });
  const phase = view?.phase ?? 'idle';
  const busy = phase === 'starting' || phase === 'training' || phase === 'cancelling';
  const id = useId();

  return (
    <section class="panel train" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Train</h2>
      <fieldset class="settings" disabled={busy}>
        <legend class="hidden">Settings</legend>
        <label>
          Network
          <select value={settings.network} onChange={(event) => change({ network: event.currentTarget.value })}>
            {NETWORKS.map(({ name, title }) => (
              <option value={name}>{title}</option>
            ))}
          </select>
        </label>
        <label>
          Epochs
          <select value={settings.epochs} onChange={(event) => change({ epochs: Number(event.currentTarget.value) })}>
            {EPOCHS.map((count) => (
              <option value={count}>{count}</option>
            ))}
          </select>
        </label>
        <label>
          Back end
          <select
            value={settings.backend}
            onChange={(event) => change({ backend: event.currentTarget.value as Settings['backend'] })}
          >
            {BACKENDS.map(({ name, title }) => (
              <option value={name}>{title}</option>
            ))}
          </select>
        </label>
        <ThreadChoice threads={settings.threads} onChange={(threads) => change({ threads })} />
        <label class="check">
          <input
            type="checkbox"
            checked={settings.goOn}
            disabled={!view?.hasNetwork}
            onChange={(event) => change({ goOn: event.currentTarget.checked })}
          />
          Go on from the trained network
        </label>
      </fieldset>
      <div class="row actions">
        {busy ? (
          <button type="button" class="primary" disabled={phase === 'cancelling'} onClick={() => training.cancel()}>
            Cancel
          </button>
        ) : (
          <button
            type="button"
            class="primary"
            disabled={!ready}
            onClick={() => void training.start(samples, settings)}
          >
            Train
          </button>
        )}
        <button type="button" disabled={!view?.hasNetwork} onClick={() => void download(training)}>
          Download ONNX
        </button>
        <Status view={view} ready={ready} />
      </div>
      <progress
        max={view?.progress?.totalSteps ?? 1}
        value={view?.progress?.step ?? 0}
        aria-label="Steps of the training"
      />
      {view?.error && (
        <p class="error" role="alert">
          {view.error}
        </p>
      )}
      <div class="plots">
        <Plot
          title="Loss"
          end={view?.progress?.totalSteps}
          series={[{ name: 'each step', style: 'line', points: view?.loss ?? [] }]}
          format={(value) => value.toFixed(3)}
        />
        <Plot
          title="Accuracy"
          end={view?.progress?.totalSteps}
          top={1}
          series={[
            { name: 'training', style: 'line', points: view?.accuracy ?? [] },
            { name: 'held out', style: 'dots', points: view?.heldOut ?? [] },
          ]}
          format={(value) => `${(value * 100).toFixed(1)} %`}
        />
      </div>
      <dl class="facts">
        <Fact name="Test accuracy" value={view?.testAccuracy && `${(view.testAccuracy * 100).toFixed(1)} %`} />
        <Fact name="Throughput" value={view?.imagesPerSecond && `${Math.round(view.imagesPerSecond)} images/s`} />
        <Fact name="Runs on" value={view?.device} />
      </dl>
    </section>
  );
}

interface ThreadChoiceProps {
  readonly threads: number | undefined;
  readonly onChange: (threads: number | undefined) => void;
}

/** Thread counts up to the machine's; one only where the page may not share memory. */
function ThreadChoice({ threads, onChange }: ThreadChoiceProps) {
  const most = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const counts = [1, 2, 4, 8, 16].filter((count) => count <= most);
  return (
    <label title={most === 1 ? 'Threads need the COOP and COEP headers, which this server does not send' : undefined}>
      Threads
      <select
        value={threads ?? 'auto'}
        onChange={({ currentTarget: { value } }) => onChange(value === 'auto' ? undefined : Number(value))}
      >
        <option value="auto">Automatic</option>
        {counts.map((count) => (
          <option value={count}>{count}</option>
        ))}
      </select>
    </label>
  );
}

function Status({ view, ready }: { readonly view: TrainingView | undefined; readonly ready: boolean }) {
  return (
    <span class="note status" role="status">
      {statusText(view, ready)}
    </span>
  );
}

function statusText(view: TrainingView | undefined, ready: boolean): string {
  switch (view?.phase ?? 'idle') {
    case 'idle':
      return ready ? 'Ready' : 'Load or draw at least 20 digits';
    case 'starting':
      return 'Starting …';
    case 'cancelling':
      return 'Cancelling …';
    case 'training': {
      // Epochs only: a screen reader should not read out every step.
      const { epoch, epochs } = view!.progress!;
      return `Epoch ${epoch} of ${epochs}`;
    }
    case 'finished':
      return `Finished after ${view!.progress?.step ?? 0} steps`;
    case 'cancelled':
      return view!.progress ? `Cancelled at step ${view!.progress.step}` : 'Cancelled';
    case 'failed':
      return 'Failed';
  }
}

function Fact({ name, value }: { readonly name: string; readonly value: string | number | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value || '–'}</dd>
    </div>
  );
}

async function download(training: Training): Promise<void> {
  const file = await training.export();
  const url = URL.createObjectURL(new Blob([file as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'digits.onnx';
  link.click();
  // The browser has taken the bytes by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
