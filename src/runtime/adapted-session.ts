/** @file A loaded network whose adapters are exchanged between runs, without loading the network again. */
import { Tensor, type Model } from '../ir/index.js';
import { AdapterError, attachAdapters, type AdapterSet } from '../passes/index.js';
import type { SessionOptions } from './options.js';
import { openSession, type Session } from './session.js';

export interface AdaptedSession extends Omit<Session, 'run'> {
  readonly run: (
    feeds: Readonly<Record<string, Tensor>>,
    options?: Parameters<Session['run']>[1],
  ) => Promise<Record<string, Tensor>>;
  /** The adapters that the next run computes with; `undefined` for the network as it is. */
  readonly adapters: AdapterSet | undefined;
  /**
   * Exchanges the adapters; only factors change hands, no memory is copied. Ranks may differ from set to set. Throws AdapterError for
   * adapters of a weight that the session was not opened for.
   */
  useAdapters(set: AdapterSet | undefined): void;
}

/**
 * Loads a network once for any adapters of the weights that `first` adapts; these are in use at the start. The factors are inputs
 * of the loaded graph that this session feeds itself. Throws AdapterError where they do not fit the network, and as `openSession`.
 */
export async function openAdapted(
  model: Model,
  first: AdapterSet,
  options: SessionOptions = {},
): Promise<AdaptedSession> {
  const { model: adapted, factors, scale } = attachAdapters(model, first, 'fed');
  const session = await openSession(adapted, options);
  const own = new Set([scale!, ...factors.flatMap(({ a, b }) => [a, b])]);
  const shapes = new Map(first.adapters.map((adapter) => [adapter.weight, adapter]));

  /** Factors as feeds; weights that the set leaves alone get a product of zero. */
  const feedsOf = (set: AdapterSet | undefined): Readonly<Record<string, Tensor>> => {
    const given = new Map((set?.adapters ?? []).map((adapter) => [adapter.weight, adapter]));
    for (const weight of given.keys())
      if (!shapes.has(weight))
        throw new AdapterError(
          'usage',
          `the session was not opened for adapters of '${weight}'`,
          'Open it with adapters of all weights that any later set adapts.',
        );
    const feeds: Record<string, Tensor> = {
      [scale!]: Tensor.scalar('float32', set === undefined ? 0 : set.alpha / set.rank),
    };
    for (const { weight, a, b } of factors) {
      const like = shapes.get(weight)!;
      const adapter = given.get(weight);
      const rankAxis = like.op === 'Conv' ? 0 : 1;
      feeds[a] = factor(adapter?.a, like.a, rankAxis, weight, set?.rank ?? 1);
      feeds[b] = factor(adapter?.b, like.b, 1 - rankAxis, weight, set?.rank ?? 1);
    }
    return feeds;
  };
  let adapters: AdapterSet | undefined = first;
  let fed = feedsOf(first);

  return {
    ...session,
    inputNames: session.inputNames.filter((name) => !own.has(name)),
    get adapters() {
      return adapters;
    },
    run: (feeds, runOptions) => session.run({ ...feeds, ...fed }, runOptions),
    useAdapters(set) {
      fed = feedsOf(set);
      adapters = set;
    },
  };
}

function factor(given: Tensor | undefined, like: Tensor, rankAxis: number, weight: string, rank: number): Tensor {
  const dims = like.dims.map((dim, axis) => (axis === rankAxis ? rank : dim));
  if (given === undefined) return Tensor.floats(new Float32Array(dims.reduce((size, dim) => size * dim, 1)), dims);
  if (given.dims.join() !== dims.join())
    throw new AdapterError(
      'invalid',
      `the adapter of '${weight}' has a factor of shape [${given.dims.join(', ')}], not [${dims.join(', ')}]`,
      'Use adapters that were trained on this network.',
    );
  return given;
}
