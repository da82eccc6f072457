/** @file Inference mode "anytime": better and better answers, the best of which is taken when time is over. */
import type { Tensor } from '../ir/index.js';
import { now } from '../platform/index.js';
import type { SessionOptions } from '../runtime/index.js';
import type { DesignChoice } from './design.js';
import { instantiatedExits } from './rates.js';
import type { Answer } from './policies/progress.js';
import type { PolicyConfig } from './policies/policy.js';
import type { Progressive } from './progressive.js';
import { openStages, ProgressiveRunError } from './session.js';
import { StageWalk, type OpenedStages } from './stage-walk.js';

/** What is known after some stages. */
export interface AnytimeResult {
  /** Per sample, the best answer so far. */
  readonly answers: readonly Answer[];
  /** Logits of the exits that gave them, samples × classes. */
  readonly logits: Float32Array;
  /** How many exits have answered. */
  readonly exits: number;
  /** Nothing better will come: every sample has left or passed the last exit. */
  readonly complete: boolean;
}

/** The best answers at a deadline. */
export interface AnytimeAnswer extends AnytimeResult {
  /** From the call to the answer. */
  readonly elapsedMs: number;
  /** Not even the first exit answered in time: its answer came late. */
  readonly late: boolean;
}

/** A design opened for anytime inference. */
export interface AnytimeSession extends AsyncDisposable {
  readonly design: DesignChoice;
  /**
   * The answers after each stage, the next stage being computed when the next value is asked for. Ends where nothing better
   * can come. Throws ProgressiveRunError for an empty batch.
   */
  answers(images: Tensor): AsyncGenerator<AnytimeResult, void, undefined>;
  /**
   * The best answers when `deadlineMs` have passed since the call or `signal` fires, at once where nothing better can come.
   * The first exit is always waited for, so there is always an answer. A stage that is under way then cannot be stopped: it
   * ends in the background, and the next call waits for it. The timer needs a free event loop: with native ONNX Runtime it
   * fires within a stage, where the engine blocks the thread (WASM without a worker) only between stages.
   */
  before(
    images: Tensor,
    limit: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<AnytimeAnswer>;
  release(): Promise<void>;
}

/**
 * Opens some exits for anytime inference (`exits` as in a design; the final one is implied). Without a policy nothing leaves
 * early. With one, samples about which it is sure leave and cost no more time.
 * Throws InvalidDesignError where the design does not fit the model, and what the runtime throws.
 */
export async function openAnytime(
  progressive: Progressive,
  design: Pick<DesignChoice, 'exits' | 'truncated'> & Partial<Pick<DesignChoice, 'policy' | 'fallback'>>,
  options: SessionOptions = {},
): Promise<AnytimeSession> {
  const { info } = progressive;
  const whole: DesignChoice = {
    ...design,
    policy: design.policy ?? neverLeaving(progressive, design),
    fallback: design.fallback ?? 'most-confident',
  };
  return new Anytime(whole, await openStages(progressive, whole, options), info.exits.length);
}

/** A policy under which every sample visits every exit, with the network's calibrated temperatures. */
function neverLeaving({ info }: Progressive, design: Pick<DesignChoice, 'exits' | 'truncated'>): PolicyConfig {
  const temperatures = instantiatedExits(design, info.exits.length).map(
    (exit) => (info.exits[exit] ?? info.final).temperature,
  );
  return { kind: 'confidence', thresholds: Infinity, temperatures };
}

class Anytime implements AnytimeSession {
  /** The stage that a deadline left running. */
  #running: Promise<unknown> = Promise.resolve();

  constructor(
    readonly design: DesignChoice,
    private readonly opened: OpenedStages,
    private readonly final: number,
  ) {}

  async *answers(images: Tensor): AsyncGenerator<AnytimeResult, void, undefined> {
    const walk = this.#walk(images);
    while (!this.#complete(walk)) {
      await this.#step(walk);
      yield this.#result(walk);
    }
  }

  async before(
    images: Tensor,
    { deadlineMs, signal }: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<AnytimeAnswer> {
    const started = now();
    const walk = this.#walk(images);
    const alarm = new Alarm(deadlineMs, signal);
    try {
      // The clock beside the timer: a stage may end past the deadline before the event loop has come round to the timer.
      const over = (): boolean => alarm.rang || (deadlineMs !== undefined && now() - started >= deadlineMs);
      await this.#step(walk);
      const late = over();
      let best = this.#result(walk);
      while (!this.#complete(walk) && !over()) {
        const step = this.#step(walk);
        if (!(await Promise.race([step.then(() => true), alarm.ringing]))) break;
        best = this.#result(walk);
      }
      return { ...best, late, elapsedMs: now() - started };
    } finally {
      alarm.cancel();
    }
  }

  async release(): Promise<void> {
    await this.#running;
    await Promise.all(this.opened.sessions.map((session) => session.release()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #walk(images: Tensor): StageWalk {
    if ((images.dims[0] ?? 0) === 0) throw new ProgressiveRunError('the batch is empty', 'Give at least one sample.');
    return new StageWalk(this.opened, this.design, images);
  }

  #complete(walk: StageWalk): boolean {
    return walk.done || walk.position === instantiatedExits(this.design, this.final).length;
  }

  /** One stage, after the one that an earlier deadline left running. */
  async #step(walk: StageWalk): Promise<void> {
    await this.#running;
    const step = walk.step();
    // A failure belongs to the call that started the stage.
    this.#running = step.catch(() => undefined);
    await step;
  }

  #result(walk: StageWalk): AnytimeResult {
    const answers = walk.answers();
    return { answers, logits: walk.logitsOf(answers), exits: walk.position, complete: this.#complete(walk) };
  }
}

/** A deadline or a signal, whichever comes first, as a promise of `false`. */
class Alarm {
  rang = false;
  readonly ringing: Promise<false>;
  cancel: () => void = () => undefined;

  constructor(deadlineMs: number | undefined, signal: AbortSignal | undefined) {
    this.ringing = new Promise((resolve) => {
      const ring = (): void => {
        this.rang = true;
        resolve(false);
      };
      const timer = deadlineMs === undefined || deadlineMs === Infinity ? undefined : setTimeout(ring, deadlineMs);
      signal?.addEventListener('abort', ring);
      this.cancel = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', ring);
      };
      if (signal?.aborted) ring();
    });
  }
}
