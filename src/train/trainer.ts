/** @file Runs a step graph: keeps parameters and optimiser state between steps, draws dropout masks, makes snapshots. */
import { Tensor, type Model } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { createRandom } from '../platform/random.js';
import { isDeviceTensor, openSession, type DeviceTensor, type Session, type SessionOptions } from '../runtime/index.js';
import { CheckpointError } from './errors.js';
import { withConstants } from './export.js';
import { optimizerOf } from './optimizers.js';
import type { StateRole, StateSlot, StepGraph } from './step-graph.js';

/** Hyper-parameters of one step. */
export interface StepSettings {
  readonly learningRate: number;
  /** Replaces the optimiser's own momentum. */
  readonly momentum?: number;
  /** Weights of the loss terms by name; 1 where omitted. */
  readonly lossWeights?: Readonly<Record<string, number>>;
  /** Decay of the moving average at this step, where the step graph keeps one. */
  readonly averageDecay?: number;
}

export interface StepResult {
  /** The weighted sum that was minimised, before the update. */
  readonly loss: number;
  /** Unweighted loss of each term. */
  readonly terms: Readonly<Record<string, number>>;
  /** Rightly classified samples of the batch, by term. */
  readonly correct: Readonly<Record<string, number>>;
  readonly gradientNorm?: number;
}

/** Everything that a trainer needs to continue. */
export interface TrainerState {
  /** Steps done. */
  readonly iteration: number;
  /** By the step graph's state input. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

export interface TrainerOptions extends SessionOptions {
  /** Seed of the dropout masks; 0 where omitted. */
  readonly seed?: number;
}

/**
 * A training under way. Between steps its state stays where the steps run (with `webgpu` in the GPU's memory); what asks for
 * it downloads it.
 */
export interface Trainer extends AsyncDisposable {
  readonly step: StepGraph;
  /** What the steps run on. */
  readonly session: Pick<Session, 'backend' | 'threads' | 'remarks'>;
  /** Steps done. */
  readonly iteration: number;
  /** One step on a batch: feeds are the model's inputs, labels and targets. */
  run(feeds: Readonly<Record<string, Tensor>>, settings: StepSettings): Promise<StepResult>;
  /**
   * The present values of what training changes in the model (parameters and running averages), by constant name:
   * as they are, or their moving averages.
   */
  constants(which?: 'latest' | 'average'): Promise<ReadonlyMap<string, Tensor>>;
  /** The trained model in inference form, metadata kept. */
  export(which?: 'latest' | 'average'): Promise<Model>;
  snapshot(): Promise<TrainerState>;
  /** Throws CheckpointError where the state is not that of this step graph. */
  restore(state: TrainerState): void;
  /** Frees the session and the state. */
  release(): Promise<void>;
}

/**
 * Opens the step graph. A trainer is deterministic: the same state, batches, settings and seed give the same next state,
 * bit for bit, on the same machine, back end and number of threads, also after `restore`.
 */
export async function createTrainer(step: StepGraph, options: TrainerOptions = {}): Promise<Trainer> {
  const { seed = 0, ...sessionOptions } = options;
  const session = await openSession(encodeModel(step.model), {
    ...sessionOptions,
    training: true,
    resident: step.state.map(({ output }) => output),
  });
  const optimizer = optimizerOf(step.optimizer);
  let iteration = 0;
  let state: State = new Map(step.state.map(({ input, initial }) => [input, initial]));

  const downloads = new Set<Promise<unknown>>();
  const replace = (next: State): void => {
    const old = state;
    state = next;
    const free = (): void => {
      for (const tensor of old.values()) if (isDeviceTensor(tensor)) tensor.dispose();
    };
    // A snapshot that was asked for while the step ran is of the state before it.
    if (downloads.size === 0) free();
    else void Promise.allSettled(downloads).then(free);
  };

  const run = async (feeds: Readonly<Record<string, Tensor>>, settings: StepSettings): Promise<StepResult> => {
    const given: Record<string, Tensor | DeviceTensor> = { ...feeds };
    for (const [name, tensor] of state) given[name] = tensor;
    const values = optimizer.values({ ...settings, iteration: iteration + 1 });
    for (const [name, input] of step.scalars) given[input] = Tensor.scalar('float32', values[name]!);
    for (const [name, input] of step.lossWeights)
      given[input] = Tensor.scalar('float32', settings.lossWeights?.[name] ?? 1);
    if (step.averageDecay !== undefined)
      given[step.averageDecay] = Tensor.scalar('float32', settings.averageDecay ?? 0.999);
    if (step.masks.length > 0) drawMasks(step, feeds, seed, iteration, given);

    const { outputs: results, resident } = await session.runResident(given);
    replace(new Map(step.state.map(({ input, output }) => [input, resident.get(output)!])));
    iteration++;
    const number = (name: string): number => Number(results[name]!.data[0]!);
    const numbers = (names: ReadonlyMap<string, string>): Record<string, number> =>
      Object.fromEntries([...names].map(([term, name]) => [term, number(name)]));
    const { outputs } = step;
    return {
      loss: number(outputs.loss),
      terms: numbers(outputs.terms),
      correct: numbers(outputs.correct),
      ...(outputs.gradientNorm !== undefined && { gradientNorm: number(outputs.gradientNorm) }),
    };
  };

  const onHost = async (slots: readonly StateSlot[]): Promise<readonly Tensor[]> => {
    const download = Promise.all(
      slots.map(async ({ input }) => {
        const tensor = state.get(input)!;
        return isDeviceTensor(tensor) ? await tensor.download() : tensor;
      }),
    );
    downloads.add(download);
    return await download.finally(() => downloads.delete(download));
  };

  const constants = async (which: 'latest' | 'average' = 'latest'): Promise<ReadonlyMap<string, Tensor>> => {
    const averaged = which === 'average' && step.averageDecay !== undefined;
    const roles: readonly StateRole[] = averaged ? ['average'] : ['parameter', 'running'];
    const slots = step.state.filter(({ role }) => roles.includes(role));
    const tensors = await onHost(slots);
    return new Map(slots.map(({ of }, index) => [of, tensors[index]!]));
  };

  const restore = (saved: TrainerState): void => {
    for (const { input, initial } of step.state) {
      const tensor = saved.tensors.get(input);
      if (tensor?.dtype !== initial.dtype || tensor.dims.join() !== initial.dims.join())
        throw new CheckpointError(
          `the checkpoint has no fitting tensor for '${input}'`,
          'It belongs to another network or optimiser: use the options that it was made with, or delete it.',
        );
    }
    replace(new Map(step.state.map(({ input }) => [input, saved.tensors.get(input)!])));
    iteration = saved.iteration;
  };

  const release = async (): Promise<void> => {
    await session.release();
    replace(new Map());
  };

  return {
    step,
    session,
    get iteration() {
      return iteration;
    },
    run,
    constants,
    export: async (which) => withConstants(step.source, await constants(which)),
    snapshot: async () => {
      const done = iteration;
      const tensors = await onHost(step.state);
      return { iteration: done, tensors: new Map(step.state.map(({ input }, index) => [input, tensors[index]!])) };
    },
    restore,
    release,
    [Symbol.asyncDispose]: release,
  };
}

type State = ReadonlyMap<string, Tensor | DeviceTensor>;

/**
 * Fills the dropout masks of a step. They follow from seed and step alone, not from a generator inside the engine: a
 * resumed training draws what the uninterrupted one would have drawn.
 */
function drawMasks(
  step: StepGraph,
  feeds: Readonly<Record<string, Tensor>>,
  seed: number,
  iteration: number,
  given: Record<string, Tensor | DeviceTensor>,
): void {
  const sizes = new Map<string, number>();
  for (const { name, type } of step.feeds)
    if (type?.kind === 'tensor')
      type.shape?.forEach((dim, axis) => {
        if (typeof dim === 'string') sizes.set(dim, feeds[name]!.dims[axis]!);
      });
  step.masks.forEach(({ input, shape, ratio }, index) => {
    const dims = shape.map((dim) => {
      const size = typeof dim === 'number' ? dim : dim === null ? undefined : sizes.get(dim);
      if (size === undefined)
        throw new CheckpointError(`the size of dropout mask '${input}' is not known before the step runs`);
      return size;
    });
    const random = createRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(iteration + 1, 0x85ebca6b) ^ index);
    const mask = new Float32Array(dims.reduce((size, dim) => size * dim, 1));
    const kept = 1 / (1 - ratio);
    for (let i = 0; i < mask.length; i++) mask[i] = random.next() < ratio ? 0 : kept;
    given[input] = Tensor.floats(mask, dims);
  });
}
