/** @file One visitor's training: keeps the worker, follows the run, and says what the page should show. */
import { encodeModel } from 'cuttle/onnx';
import type { TrainEvent } from 'cuttle/train';
import { connectTraining, type TrainingRun, type TrainingWorker } from 'cuttle/train/worker';
import { buildArchitecture } from 'cuttle/zoo';
import { Curve, type CurvePoint } from './curve.js';
import { CLASSES, SIDE, splitSamples, type Sample } from './samples.js';

export interface Settings {
  /** A name of the zoo. */
  readonly network: string;
  /** Go on from the network that was trained last. */
  readonly goOn: boolean;
  readonly epochs: number;
  readonly backend: 'auto' | 'wasm' | 'webgpu';
  /** `undefined` leaves the choice to the library. */
  readonly threads: number | undefined;
}

export type Phase = 'idle' | 'starting' | 'training' | 'cancelling' | 'finished' | 'cancelled' | 'failed';

/** What the page shows of a training. */
export interface TrainingView {
  readonly phase: Phase;
  readonly progress: Extract<TrainEvent, { readonly kind: 'step' }> | undefined;
  /** Loss of the steps. */
  readonly loss: readonly CurvePoint[];
  /** Share of images classified rightly while training, smoothed over some twenty steps. */
  readonly accuracy: readonly CurvePoint[];
  /** Share of held-out images, after each epoch. */
  readonly heldOut: readonly CurvePoint[];
  /** On images that were neither trained on nor watched. */
  readonly testAccuracy: number | undefined;
  readonly imagesPerSecond: number | undefined;
  /** Back end, threads and version, in words. */
  readonly device: string | undefined;
  readonly error: string | undefined;
  /** Whether there is a network to ask and to export. */
  readonly hasNetwork: boolean;
}

const IDLE: TrainingView = {
  phase: 'idle',
  progress: undefined,
  loss: [],
  accuracy: [],
  heldOut: [],
  testAccuracy: undefined,
  imagesPerSecond: undefined,
  device: undefined,
  error: undefined,
  hasNetwork: false,
};

export class Training {
  #view = IDLE;
  readonly #onChange: (view: TrainingView) => void;
  #worker: { readonly connection: TrainingWorker; readonly settings: string } | undefined;
  #run: TrainingRun | undefined;
  #controller: AbortController | undefined;
  /** The file of the network trained last. */
  #file: Uint8Array | undefined;

  constructor(onChange: (view: TrainingView) => void) {
    this.#onChange = onChange;
  }

  /** Trains until it is done, cancelled or failed; never throws. A training under way is ended first. */
  async start(samples: readonly Sample[], settings: Settings): Promise<void> {
    const curves = newCurves();
    const controller = (this.#controller = new AbortController());
    this.#show({ ...IDLE, phase: 'starting' });
    try {
      await this.#run?.release();
      const { backend, threads, epochs } = settings;
      const session = { backend, threads };
      const worker = this.#workerFor(session);
      const run = (this.#run = worker.train(
        {
          model: this.#startingPoint(settings),
          data: splitSamples(samples, 0),
          preprocessing: { mean: [0.1307], std: [0.3081] },
          epochs,
          batchSize: samples.length >= 640 ? 32 : 8,
          optimizer: { kind: 'adamw' },
          learningRate: 3e-3,
          augment: { crop: { padding: 2 } },
          session,
        },
        { signal: controller.signal, onEvent: (event) => this.#follow(event, curves) },
      ));
      run.finished.catch(() => undefined);
      this.#show({ device: describe(await worker.device(session)) });
      const { model, accuracy, imagesPerSecond } = await run.finished;
      this.#file = model;
      this.#show({ phase: 'finished', testAccuracy: accuracy, imagesPerSecond, hasNetwork: true });
    } catch (error) {
      if (controller.signal.aborted && this.#run) {
        // The network stays as far as it was trained, where it was trained at all.
        this.#file = await this.#run.export().catch(() => this.#file);
        this.#show({ phase: 'cancelled' });
      } else this.#show({ phase: 'failed', error: sentence(error), hasNetwork: false });
    }
  }

  /** Ends the training after the step under way. */
  cancel(): void {
    if (this.#view.phase !== 'training' && this.#view.phase !== 'starting') return;
    this.#show({ phase: 'cancelling' });
    this.#controller?.abort();
  }

  /** Probabilities of the ten digits by the network as it is now; `undefined` where there is none. */
  async classify(pixels: Uint8Array): Promise<readonly number[] | undefined> {
    if (!this.#view.hasNetwork || !this.#run) return undefined;
    try {
      const image = { size: 1, channels: 1, height: SIDE, width: SIDE, pixels };
      return [...(await this.#run.classify(image)).probabilities];
    } catch {
      // The training ended in between; what ended it is shown already.
      return undefined;
    }
  }

  /** The network as the bytes of an ONNX file. */
  async export(): Promise<Uint8Array> {
    return this.#run!.export();
  }

  #startingPoint({ network, goOn }: Settings): Uint8Array {
    if (goOn && this.#file) return this.#file;
    const seed = Math.floor(Math.random() * 2 ** 31);
    return encodeModel(buildArchitecture(network, { classes: CLASSES.length, input: [1, SIDE, SIDE], seed }));
  }

  /** The open worker, or a new one where other settings are asked for: a web runtime has one thread count. */
  #workerFor(session: Pick<Settings, 'backend' | 'threads'>): TrainingWorker {
    const settings = JSON.stringify(session);
    if (this.#worker?.settings === settings) return this.#worker.connection;
    this.#worker?.connection.close();
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    const connection = connectTraining(worker);
    this.#worker = { connection, settings };
    return connection;
  }

  #follow(event: TrainEvent, curves: Curves): void {
    if (event.kind === 'step') {
      curves.loss.push(event.step, event.loss);
      curves.accuracy.push(event.step, smoothed(event, curves));
      const phase = this.#view.phase === 'starting' ? 'training' : this.#view.phase;
      const { points: loss } = curves.loss;
      const { points: accuracy } = curves.accuracy;
      this.#show({ phase, progress: event, loss, accuracy, imagesPerSecond: event.imagesPerSecond, hasNetwork: true });
    }
    if (event.kind === 'epoch' && event.record.evaluation) {
      const { progress } = this.#view;
      curves.heldOut.push({ x: progress?.step ?? 0, y: event.record.evaluation.accuracy });
      this.#show({ heldOut: [...curves.heldOut] });
    }
  }

  #show(change: Partial<TrainingView>): void {
    this.#view = { ...this.#view, ...change };
    this.#onChange(this.#view);
  }
}

interface Curves {
  readonly loss: Curve;
  readonly accuracy: Curve;
  readonly heldOut: CurvePoint[];
  /** Means over the epoch so far, at the step before, and over the last steps. */
  epochMean: number;
  smooth: number | undefined;
}

function newCurves(): Curves {
  return { loss: new Curve(), accuracy: new Curve(), heldOut: [], epochMean: 0, smooth: undefined };
}

/** A moving average of the batches' accuracies, which follow from the means over the epoch so far. */
function smoothed(
  { accuracy, stepInEpoch }: { readonly accuracy: number; readonly stepInEpoch: number },
  curves: Curves,
): number {
  const batch = accuracy * stepInEpoch - (stepInEpoch === 1 ? 0 : curves.epochMean * (stepInEpoch - 1));
  curves.epochMean = accuracy;
  return (curves.smooth = curves.smooth === undefined ? batch : 0.9 * curves.smooth + 0.1 * batch);
}

function describe(device: {
  readonly executionProvider: string;
  readonly threads: number;
  readonly runtime: string;
}): string {
  const threads = device.threads === 1 ? '1 thread' : `${device.threads} threads`;
  return `${device.executionProvider}, ${threads}, ${device.runtime}`;
}

function sentence(error: unknown): string {
  const { message, hint } = error as { readonly message?: string; readonly hint?: string };
  return [(message ?? String(error)).replace(/\.$/, ''), hint].filter(Boolean).join('. ');
}
