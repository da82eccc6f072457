/** @file The six methods of the Open Inference Protocol, whatever door they come through. */
import { now } from '../../platform/index.js';
import type {
  InferReply,
  InferRequest,
  ModelMetadata,
  Parameter,
  ServerMetadata,
  TensorMetadata,
} from '../oip/messages.js';
import { datatypeOf } from '../oip/datatypes.js';
import { FRAME_PACKING, PARAMETERS, readSplitParameters, writeServerReport } from '../oip/split-request.js';
import { oipError, OipError } from '../oip/status.js';
import { checkRequest, type RequestLimits } from './check-request.js';
import { ClientMeter, type ClientLimits } from './client-limits.js';
import type { Dispatcher } from './dispatcher.js';
import { toTensor } from './engine.js';
import type { CardTensor } from './model-card.js';
import type { Repository } from './repository.js';

/** Who sent a request, and through which door. */
export interface Caller {
  /** The token's name, or the address where no tokens are asked for. */
  readonly id: string;
  /** Whether a token says who it is: clients without one may name themselves. */
  readonly known: boolean;
  readonly door: 'http' | 'grpc';
}

/** What became of an inference, for metrics and the log. */
export interface InferEvent {
  readonly caller: Caller;
  readonly model: string;
  readonly version: string;
  /** Undefined for plain inference. */
  readonly cut: number | undefined;
  readonly ms: number;
  /** Undefined where it succeeded. */
  readonly error: OipError | undefined;
}

export interface ServiceOptions {
  readonly version: string;
  readonly repository: Repository;
  readonly dispatcher: Dispatcher;
  readonly clients: ClientLimits;
  readonly limits: RequestLimits;
  readonly onInfer?: (event: InferEvent) => void;
}

/** What the server can do beyond the protocol's core. */
const EXTENSIONS = ['binary_tensor_data', 'model_versions', `cuttle_split:${FRAME_PACKING}`];

/** The service behind every door. */
export class InferenceService {
  readonly #options: ServiceOptions;
  readonly #clients: ClientMeter;
  #stopping = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#clients = new ClientMeter(options.clients, now);
  }

  /** From now on not ready, so that balancers look elsewhere. */
  stop(): void {
    this.#stopping = true;
  }

  serverReady(): boolean {
    return !this.#stopping && this.#options.repository.unavailable === 0;
  }

  /** Whether a model can be asked. Throws OipError 'not-found'. */
  modelReady(name: string, version: string): boolean {
    this.#options.repository.find(name, version);
    return !this.#stopping;
  }

  serverMetadata(): ServerMetadata {
    return { name: 'cuttle', version: this.#options.version, extensions: EXTENSIONS };
  }

  /** Throws OipError 'not-found'. */
  modelMetadata(name: string, version: string): ModelMetadata {
    const { repository } = this.#options;
    const { card } = repository.find(name, version);
    const { split } = card;
    const parameters = new Map<string, Parameter>([[PARAMETERS.model, card.digest]]);
    if (split !== undefined) {
      parameters.set(PARAMETERS.cuts, BigInt(split.cuts.length));
      parameters.set(PARAMETERS.exits, split.exits.map(({ exit }) => exit).join(','));
      parameters.set(PARAMETERS.packing, FRAME_PACKING);
    }
    return {
      name,
      versions: repository.versions(name),
      platform: 'onnx_onnxruntime',
      inputs: card.inputs.map(tensorMetadata),
      outputs: card.outputs.map(tensorMetadata),
      parameters,
    };
  }

  /** Throws OipError for whatever keeps it from an answer; `signal` aborts when nobody waits for it any more. */
  async infer(request: InferRequest, caller: Caller, signal: AbortSignal): Promise<InferReply> {
    const started = now();
    let cut: number | undefined;
    let error: OipError | undefined;
    let version = request.version;
    try {
      const split = readSplitParameters(request.parameters);
      cut = split.cut;
      const id = caller.known || split.client === undefined ? caller.id : `${caller.id} ${split.client.slice(0, 64)}`;
      const leave = this.#clients.enter(id);
      try {
        const held = this.#options.repository.acquire(request.model, request.version);
        const { model } = held;
        version = model.version;
        try {
          const checked = checkRequest(model.card, request, split, this.#options.limits);
          const kind = kindOf(model.key, checked.kind);
          const deadlineAt = started + (split.deadlineMs ?? Infinity);
          const { dispatcher } = this.#options;
          const done = await withDeadline(deadlineAt, signal, (ended) =>
            dispatcher.submit({
              ...checked,
              kind,
              model: model.key,
              group: `${model.key} ${checked.group}`,
              guessMs: model.card.idleMs ?? 0,
              deadlineAt,
              signal: ended,
            }),
          );
          return {
            model: model.name,
            version: model.version,
            id: request.id,
            parameters: writeServerReport(done),
            outputs: Object.entries(done.result.outputs).map(([name, tensor]) => ({ name, tensor: toTensor(tensor) })),
          };
        } finally {
          held.release();
        }
      } finally {
        leave();
      }
    } catch (cause) {
      throw (error = oipError(cause));
    } finally {
      const model = error?.status === 'not-found' ? '' : request.model;
      this.#options.onInfer?.({ caller, model, version, cut, ms: now() - started, error });
    }
  }
}

/** A kind of work on a state of a model file, as the load meter knows it. */
export function kindOf(key: string, kind: string): string {
  return `${key} ${kind}`;
}

/** Work whose signal also aborts at a deadline, so that the client hears of it in time. */
async function withDeadline<T>(
  deadlineAt: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (deadlineAt === Infinity) return await work(signal);
  const left = deadlineAt - now();
  if (left <= 0) throw new OipError('too-slow', 'the deadline has passed already');
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new OipError('too-slow', 'the deadline has passed')),
    Math.min(left, 2 ** 31 - 1),
  );
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

function tensorMetadata({ name, dtype, shape }: CardTensor): TensorMetadata {
  return {
    name,
    datatype: datatypeOf(dtype, name),
    shape: (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : -1)),
  };
}
