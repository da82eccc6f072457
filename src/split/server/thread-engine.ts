/** @file An engine in a thread of its own, so that the server answers while it computes; a thread that dies is replaced. */
import { startThread, type ThreadLink } from '../../platform/node/thread-link.js';
import { workerUrl } from '../../platform/node/workers.js';
import type { SessionOptions } from '../../runtime/index.js';
import { OipError } from '../oip/status.js';
import { errorOf, movable, ownBytes, resultOf, type EngineAnswer, type EngineCall } from './engine-messages.js';
import type { BatchResult, Engine, LoadRequest, Work } from './engine.js';
import type { ModelCard } from './model-card.js';

interface Pending {
  readonly resolve: (value: EngineAnswer) => void;
  readonly reject: (reason: Error) => void;
}

type NewCall<Call> = Call extends { readonly id: number } ? Omit<Call, 'id'> : never;

/** A thread that died this often within a minute is not started again. */
const MOST_DEATHS = 5;

/** Computes in a worker thread. */
export class ThreadEngine implements Engine {
  readonly #session: SessionOptions;
  readonly #onDeath: (why: string) => void;
  readonly #script: URL;
  readonly #pending = new Map<number, Pending>();
  /** Loaded models, for a thread that takes over. */
  readonly #models = new Map<string, LoadRequest>();
  #link: ThreadLink<EngineCall> | undefined;
  #deaths: number[] = [];
  #next = 0;
  #ready: Promise<unknown> = Promise.resolve();

  /** `onDeath` hears why a thread died; another one has taken its place by then. `script`: what the thread runs. */
  constructor(
    session: SessionOptions,
    onDeath: (why: string) => void,
    script: URL = workerUrl(import.meta.url, './engine-worker.js'),
  ) {
    this.#session = session;
    this.#script = script;
    this.#onDeath = onDeath;
    this.#link = this.#start();
  }

  async load(request: LoadRequest): Promise<ModelCard> {
    const card = await this.#call({ do: 'load', request });
    this.#models.set(request.key, request);
    return card as ModelCard;
  }

  async unload(key: string): Promise<void> {
    if (!this.#models.delete(key)) return;
    await this.#call({ do: 'unload', key });
  }

  async run(key: string, batch: readonly Work[], signal: AbortSignal): Promise<BatchResult> {
    signal.throwIfAborted();
    await this.#ready;
    const buffers: ArrayBuffer[] = [];
    const moved = batch.map((work): Work => {
      const { tensors, buffers: own } = movable(work.inputs);
      buffers.push(...own);
      if (work.kind === 'whole' || work.frame === undefined) return { ...work, inputs: tensors };
      const frame = ownBytes(work.frame);
      buffers.push(frame.buffer);
      return { ...work, inputs: tensors, frame };
    });
    const id = this.#next;
    const cancel = (): void => this.#link?.post({ id, do: 'cancel' });
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const { results, computeMs } = (await this.#call({ do: 'run', key, batch: moved }, buffers)) as BatchResult;
      return { results: results.map(resultOf), computeMs };
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  async close(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    await link?.end();
    this.#fail('the server has stopped');
  }

  async #call(call: NewCall<EngineCall>, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    const id = this.#next++;
    const link = this.#link;
    if (link === undefined) throw new OipError('overloaded', 'the computing thread is not there');
    const answer = await new Promise<EngineAnswer>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      // A buffer that two requests share cannot be moved twice.
      link.post({ ...call, id }, [...new Set(transfer)]);
    }).finally(() => this.#pending.delete(id));
    if (!answer.ok) throw errorOf(answer.error);
    return answer.value;
  }

  #start(): ThreadLink<EngineCall> {
    return startThread<EngineCall, EngineAnswer>(this.#script, {
      data: { session: this.#session },
      onMessage: (answer) => this.#pending.get(answer.id)?.resolve(answer),
      onDeath: (why) => this.#replace(why),
    });
  }

  #replace(why: string): void {
    if (this.#link === undefined) return;
    this.#fail(`the computing thread died: ${why}`);
    const now = Date.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < 60_000), now];
    if (this.#deaths.length >= MOST_DEATHS) this.#link = undefined;
    else {
      this.#link = this.#start();
      const requests = [...this.#models.values()];
      this.#ready = Promise.allSettled(requests.map((request) => this.#call({ do: 'load', request })));
    }
    this.#onDeath(why);
  }

  #fail(why: string): void {
    for (const { reject } of this.#pending.values()) reject(new OipError('internal', why));
    this.#pending.clear();
  }
}
