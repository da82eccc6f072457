/** @file Frames through a pipeline: several under way, answers in the order of the frames. */

/** One frame under way. */
export interface Started<A> {
  /** The next frame may begin. */
  readonly free: Promise<void>;
  readonly answer: Promise<A>;
}

/**
 * Answers for frames, in their order. The next frame begins once the one before lets it (`free`), while at most `window`
 * are unanswered; frames are asked for no sooner. Errors of `start` and of the source end the stream at their place.
 */
export async function* pipeline<F, A>(
  frames: AsyncIterable<F> | Iterable<F>,
  start: (frame: F) => Started<A>,
  window: number,
): AsyncGenerator<A, void, undefined> {
  const source = iteratorOf(frames);
  const pending: Promise<A>[] = [];
  let ended = false;
  let coming: Promise<IteratorResult<F>> | undefined;
  let free = Promise.resolve();
  try {
    for (;;) {
      while (!ended && pending.length < window) {
        const next = (coming ??= source.next());
        const ready = Promise.all([next, free]).then(([result]) => result);
        const [oldest] = pending;
        const result = await (oldest === undefined ? ready : Promise.race([ready, oldest.then(answered, answered)]));
        // The oldest answer is there before the next frame can begin.
        if (result === undefined) break;
        coming = undefined;
        if (result.done === true) ended = true;
        else {
          const started = start(result.value);
          // Its failure is thrown at its place; until then nobody looks at it.
          started.answer.catch(() => undefined);
          free = started.free;
          pending.push(started.answer);
        }
      }
      const oldest = pending.shift();
      if (oldest === undefined) return;
      yield await oldest;
    }
  } finally {
    await Promise.allSettled(pending);
    await source.return?.();
  }
}

const answered = (): undefined => undefined;

function iteratorOf<F>(frames: AsyncIterable<F> | Iterable<F>): AsyncIterator<F> {
  if (Symbol.asyncIterator in frames) return frames[Symbol.asyncIterator]();
  const inner = frames[Symbol.iterator]();
  return {
    next: () => Promise.resolve(inner.next()),
    return: () => Promise.resolve(inner.return?.() ?? { done: true as const, value: undefined }),
  };
}
