/** @file One training inside a worker, from its request until its release: runs, and answers about its network at any moment. */
import { batches, readPreprocessing } from '../data/index.js';
import type { Model } from '../ir/index.js';
import { decodeModel, encodeModel } from '../onnx/index.js';
import { openSession, type Session } from '../runtime/index.js';
import { InterruptedError, StepSpecError } from './errors.js';
import { classifierOutput } from './evaluate.js';
import type { TrainEvent } from './fit.js';
import { parametersOf, type Parameter } from './parameters.js';
import { trainModel } from './train-model.js';
import type { Trainer } from './trainer.js';
import type { Classification, ImageBatch, TrainedBytes, TrainRequest } from './worker-protocol.js';

/** A network at some moment of its training. */
interface Snapshot {
  readonly model: Model;
  readonly iteration: number;
}

interface Classifier {
  readonly session: Session;
  readonly model: Model;
  readonly iteration: number;
}

/** How a training is told about. One of `onFinished` and `onFailed` is called, once. */
export interface RunListener {
  onEvent(event: TrainEvent): void;
  onFinished(trained: TrainedBytes): void;
  onFailed(error: unknown): void;
}

/** Begins at once. Questions wait until there is a network, and come to the engine between two steps. */
export class WorkerRun {
  readonly #controller = new AbortController();
  readonly #request: TrainRequest;
  #trainer: Trainer | undefined;
  /** The network when training had ended. */
  #last: Snapshot | undefined;
  #begun: () => void = () => undefined;
  /** Settles when there is a network to ask, or when there will be none. */
  readonly #ready = new Promise<void>((resolve) => (this.#begun = resolve));
  readonly #ended: Promise<void>;
  #classifier: Classifier | undefined;
  /** Classifications one after another: each may replace the open classifier. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(request: TrainRequest, listener: RunListener) {
    this.#request = request;
    this.#ended = this.#train(listener);
  }

  /** Ends the training after the step under way. */
  cancel(): void {
    this.#controller.abort();
  }

  /** The bytes of an ONNX file. Throws StepSpecError where training failed. */
  async export(): Promise<Uint8Array> {
    return encodeModel((await this.#snapshot()).model);
  }

  /** Throws StepSpecError where training failed or the images do not fit, and what the runtime throws. */
  classify(images: ImageBatch): Promise<Classification> {
    const job = this.#queue.then(() => this.#classify(images));
    this.#queue = job.catch(() => undefined);
    return job;
  }

  /** Ends the training where it still runs, and frees the engine's memory. */
  async release(): Promise<void> {
    this.cancel();
    await this.#ended;
    await this.#queue;
    await this.#classifier?.session.release();
    this.#classifier = undefined;
  }

  async #train(listener: RunListener): Promise<void> {
    try {
      const { model: bytes, trains, ...options } = this.#request;
      const model = decodeModel(bytes);
      const { model: trained, ...rest } = await trainModel({
        ...options,
        model,
        trains: trains && choose(model, trains),
        signal: this.#controller.signal,
        onEvent: (event) => listener.onEvent(event),
        onTrainer: (trainer) => {
          this.#trainer = trainer;
          this.#begun();
        },
      });
      this.#last = { model: trained, iteration: this.#trainer!.iteration };
      listener.onFinished({ ...rest, model: encodeModel(trained) });
    } catch (error) {
      if (error instanceof InterruptedError && error.model) this.#last = { model: error.model, iteration: error.step };
      listener.onFailed(error);
    } finally {
      this.#trainer = undefined;
      this.#begun();
    }
  }

  async #snapshot(): Promise<Snapshot> {
    await this.#ready;
    if (this.#last) return this.#last;
    const trainer = this.#trainer;
    if (trainer === undefined)
      throw new StepSpecError('the training failed: there is no network', 'Look at what the training reported.');
    const { iteration } = trainer;
    return { model: await trainer.export(this.#request.averageDecay === undefined ? 'latest' : 'average'), iteration };
  }

  async #classify({ size, channels, height, width, pixels }: ImageBatch): Promise<Classification> {
    const { session, model, iteration } = await this.#openClassifier();
    const { output, logits } = classifierOutput(model);
    // What `trainModel` trains carries its preprocessing.
    const preprocessing = readPreprocessing(model)!;
    const dataset = {
      name: 'images',
      classes: [''],
      labels: new Int32Array(size),
      size,
      channels,
      height,
      width,
      pixels,
    };
    let probabilities = new Float32Array(0);
    let classes = 0;
    let at = 0;
    for await (const { images } of batches(dataset, { batchSize: 64, preprocessing })) {
      const scores = (await session.run({ [session.inputNames[0]!]: images }, { outputs: [output] }))[output]!;
      const rows = scores.data as Float32Array;
      classes = scores.dims[1]!;
      if (at === 0) probabilities = new Float32Array(size * classes);
      probabilities.set(rows, at);
      at += rows.length;
    }
    if (output === logits) softmaxRows(probabilities, classes);
    return { probabilities, classes, iteration };
  }

  /** The open classifier, replaced where the network has been trained further. */
  async #openClassifier(): Promise<Classifier> {
    const { model, iteration } = await this.#snapshot();
    if (this.#classifier?.iteration === iteration) return this.#classifier;
    await this.#classifier?.session.release();
    this.#classifier = undefined;
    const session = await openSession(encodeModel(model), this.#request.session);
    return (this.#classifier = { session, model, iteration });
  }
}

/** Says whether a parameter trains. Throws StepSpecError for a name that the model does not have. */
function choose(model: Model, names: readonly string[]): (parameter: Parameter) => boolean {
  const known = new Set(parametersOf(model.graph).map(({ name }) => name));
  for (const name of names)
    if (!known.has(name))
      throw new StepSpecError(`the model has no parameter '${name}'`, `It has: ${[...known].join(', ')}.`);
  const wanted = new Set(names);
  return ({ name }) => wanted.has(name);
}

function softmaxRows(values: Float32Array, width: number): void {
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width);
    let maximum = -Infinity;
    for (const value of row) maximum = Math.max(maximum, value);
    let sum = 0;
    for (let i = 0; i < width; i++) sum += row[i] = Math.exp(row[i]! - maximum);
    for (let i = 0; i < width; i++) row[i]! /= sum;
  }
}
