/** @file The messages between a page and the worker that trains for it: plain data, one union per direction. */
import type { ImageDataset } from '../data/index.js';
import type { ErrorKind } from '../ir/index.js';
import type { DeviceDescription, SessionOptions } from '../runtime/index.js';
import type { TrainEvent } from './fit.js';
import type { TrainedModel, TrainModelOptions } from './train-model.js';

/** What `trainModel` takes, as far as it can cross to a worker. */
export interface TrainRequest extends Omit<
  TrainModelOptions,
  'model' | 'trains' | 'checkpoints' | 'checkpointSteps' | 'signal' | 'onEvent' | 'onTrainer'
> {
  /** The bytes of an ONNX classifier. */
  readonly model: Uint8Array;
  /** Names of the parameters that train; all where omitted. */
  readonly trains?: readonly string[];
}

/** What `trainModel` gives, the network as the bytes of an ONNX file. */
export interface TrainedBytes extends Omit<TrainedModel, 'model'> {
  readonly model: Uint8Array;
}

/** Images to classify, as a data set keeps them (samples in N×C×H×W order, 0 to 255). */
export type ImageBatch = Pick<ImageDataset, 'size' | 'channels' | 'height' | 'width' | 'pixels'>;

/** Class probabilities of a batch. */
export interface Classification {
  /** size × classes; each row adds up to 1. */
  readonly probabilities: Float32Array;
  readonly classes: number;
  /** Steps that the network had been trained for. */
  readonly iteration: number;
}

/** An error that has crossed between threads. */
export interface ErrorMessage {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Calls that are answered, by their kind: what they take and give. */
export interface WorkerCalls {
  /** The machine and the back end that sessions with these options use. */
  readonly device: { readonly takes: Pick<SessionOptions, 'backend' | 'threads'>; readonly gives: DeviceDescription };
  /** The network of a run as the bytes of an ONNX file, as far as it is trained. */
  readonly export: { readonly takes: { readonly run: number }; readonly gives: Uint8Array };
  readonly classify: {
    readonly takes: { readonly run: number; readonly images: ImageBatch };
    readonly gives: Classification;
  };
  /** Forgets a run that has ended. */
  readonly release: { readonly takes: { readonly run: number }; readonly gives: undefined };
}

export type CallName = keyof WorkerCalls;

type CallMessage = {
  readonly [Name in CallName]: {
    readonly kind: 'call';
    readonly call: number;
    readonly name: Name;
    readonly given: WorkerCalls[Name]['takes'];
  };
}[CallName];

/** Page to worker. */
export type ToWorker =
  | { readonly kind: 'train'; readonly run: number; readonly request: TrainRequest }
  | { readonly kind: 'cancel'; readonly run: number }
  | CallMessage;

/** Worker to page. */
export type ToPage =
  | { readonly kind: 'event'; readonly run: number; readonly event: TrainEvent }
  | { readonly kind: 'finished'; readonly run: number; readonly trained: TrainedBytes }
  | { readonly kind: 'failed'; readonly run: number; readonly error: ErrorMessage }
  | { readonly kind: 'answer'; readonly call: number; readonly value: WorkerCalls[CallName]['gives'] }
  | { readonly kind: 'refused'; readonly call: number; readonly error: ErrorMessage };

/** Tells these messages from others that the same worker may exchange with its page. */
const MARK = 'cuttle/train';

export type Marked<Message> = Message & { readonly protocol: typeof MARK };

/** A message as it is posted. */
export function marked<Message extends ToWorker | ToPage>(message: Message): Marked<Message> {
  return { protocol: MARK, ...message };
}

/** Whether posted data is a message of this protocol. */
export function isMarked(data: unknown): data is Marked<ToWorker | ToPage> {
  return typeof data === 'object' && data !== null && 'protocol' in data && data.protocol === MARK;
}

/** One side of a message channel: a Worker, the global scope inside one, or a MessagePort. */
export interface Endpoint {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
  removeEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
  /** MessagePorts hold messages back until they are started. */
  start?(): void;
}
