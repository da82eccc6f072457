/** @file Recurrent networks: character models for text, and classifiers of sequences and of images read row by row. */
import { EMIT_OPSET, GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../ir/index.js';
import { createRandom, type Random } from '../platform/random.js';
import { ARCHITECTURE_KEY, type ArchitectureOptions } from './layers.js';

/** A recurrent operator of ONNX. */
export type RecurrentCell = 'LSTM' | 'GRU' | 'RNN';

const GATES: Readonly<Record<RecurrentCell, number>> = { RNN: 1, GRU: 3, LSTM: 4 };

export interface RecurrentOptions {
  readonly cell: RecurrentCell;
  /** Units per layer. */
  readonly hidden: number;
  readonly layers: number;
  /** Share of states that training drops between layers and before the read-out; none where omitted. */
  readonly dropout?: number;
}

/** What a character model is built for. */
export interface TextArchitectureOptions {
  /** Number of different characters. */
  readonly vocabulary: number;
  /** Seed of the initial weights. */
  readonly seed: number;
}

/** What a sequence classifier is built for. */
export interface SequenceArchitectureOptions {
  readonly classes: number;
  /** Numbers per step. */
  readonly features: number;
  /** Seed of the initial weights. */
  readonly seed: number;
}

/**
 * Stacks recurrent layers on [time, batch, features] values. Weights and biases are uniform in ±1/√hidden, as PyTorch draws
 * them, in the order of the calls; LSTM's forget gate begins with a bias of 1 (Jozefowicz et al. 2015, §2.2).
 */
class RecurrentStack {
  readonly b = new GraphBuilder();
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  uniform(dims: readonly number[], bound: number): Tensor<'float32'> {
    const values = new Float32Array(dims.reduce((size, dim) => size * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = (2 * this.#random.next() - 1) * bound;
    return Tensor.floats(values, dims);
  }

  normal(dims: readonly number[], deviation: number): Tensor<'float32'> {
    const values = new Float32Array(dims.reduce((size, dim) => size * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = this.#random.normal() * deviation;
    return Tensor.floats(values, dims);
  }

  /** All states of the last layer, [time, batch, hidden], and its last one, [batch, hidden]. */
  layers(
    x: string,
    features: number,
    { cell, hidden, layers, dropout = 0 }: RecurrentOptions,
  ): { states: string; last: string } {
    const { b } = this;
    const rows = GATES[cell] * hidden;
    const bound = 1 / Math.sqrt(hidden);
    let [states, last, width] = [x, '', features];
    for (let index = 1; index <= layers; index++) {
      const name = `${cell.toLowerCase()}${index}`;
      const bias = this.uniform([1, 2 * rows], bound);
      if (cell === 'LSTM') bias.data.fill(1, 2 * hidden, 3 * hidden);
      const [y, state] = b.ops(
        cell,
        [
          states,
          b.parameter(`${name}.weight_ih`, this.uniform([1, rows, width], bound)),
          b.parameter(`${name}.weight_hh`, this.uniform([1, rows, hidden], bound)),
          b.parameter(`${name}.bias`, bias),
        ],
        { hidden_size: hidden },
        { outputs: 2, name },
      ) as [string, string];
      states = this.#dropped(b.op('Squeeze', [y, b.int64s([1])], {}, { name: `${name}.states` }), dropout, name);
      if (index === layers)
        last = this.#dropped(b.op('Squeeze', [state, b.int64s([0])], {}, { name: `${name}.last` }), dropout, name);
      width = hidden;
    }
    return { states, last };
  }

  #dropped(x: string, ratio: number, layer: string): string {
    return ratio === 0 ? x : this.b.op('Dropout', [x, this.b.scalar(ratio)], {}, { name: `${layer}.dropout` });
  }

  /** x·Wᵀ + b over the last axis of [batch, features] values. */
  linear(name: string, x: string, features: number, outputs: number): string {
    const bound = 1 / Math.sqrt(features);
    return this.b.op(
      'Gemm',
      [
        x,
        this.b.parameter(`${name}.weight`, this.uniform([outputs, features], bound)),
        this.b.parameter(`${name}.bias`, this.uniform([outputs], bound)),
      ],
      { transB: 1 },
      { name },
    );
  }

  model(name: string, options: object, logits: string, dims: readonly (string | number)[]): Model {
    const type = tensorType('float32', dims);
    return makeModel(this.b.graph(name, [{ name: this.b.alias(logits, 'logits'), type }]), {
      opsets: new Map([['', EMIT_OPSET]]),
      metadata: new Map([[ARCHITECTURE_KEY, JSON.stringify({ name, ...options })]]),
    });
  }
}

/** Numbers per character between the vocabulary and the first recurrent layer. */
const EMBEDDING = 64;

/**
 * Predicts each next character: `input` int64 [batch, time] → `logits` float32 [batch, time, vocabulary]. Embedding,
 * recurrent layers from a zero state, linear read-out.
 */
export function characterModel(name: string, options: TextArchitectureOptions, layers: RecurrentOptions): Model {
  const { vocabulary, seed } = options;
  const stack = new RecurrentStack(seed);
  const { b } = stack;
  const input = b.input('input', tensorType('int64', ['batch', 'time']));
  // Time first, as the recurrent operators want it; transposing the characters costs less than transposing vectors.
  const steps = b.op('Transpose', [input], { perm: [1, 0] }, { name: 'time_first' });
  const table = b.parameter('embedding.weight', stack.normal([vocabulary, EMBEDDING], 1));
  const vectors = b.op('Gather', [table, steps], { axis: 0 }, { name: 'embedding' });
  const { states } = stack.layers(vectors, EMBEDDING, layers);
  const rows = b.op('Reshape', [states, b.int64s([-1, layers.hidden])], {}, { name: 'rows' });
  const scores = stack.linear('fc', rows, layers.hidden, vocabulary);
  const leading = b.op('Shape', [steps]);
  const shape = b.op('Concat', [leading, b.int64s([vocabulary])], { axis: 0 });
  const byStep = b.op('Reshape', [scores, shape], {}, { name: 'by_step' });
  const logits = b.op('Transpose', [byStep], { perm: [1, 0, 2] }, { name: 'batch_first' });
  return stack.model(name, options, logits, ['batch', 'time', vocabulary]);
}

/** Classifies sequences by the last state: `input` float32 [batch, time, features] → `logits` float32 [batch, classes]. */
export function sequenceClassifier(
  name: string,
  options: SequenceArchitectureOptions,
  layers: RecurrentOptions,
): Model {
  const { classes, features, seed } = options;
  const stack = new RecurrentStack(seed);
  const input = stack.b.input('input', tensorType('float32', ['batch', 'time', features]));
  const steps = stack.b.op('Transpose', [input], { perm: [1, 0, 2] }, { name: 'time_first' });
  const { last } = stack.layers(steps, features, layers);
  return stack.model(name, options, stack.linear('fc', last, layers.hidden, classes), ['batch', classes]);
}

/**
 * Classifies images read from top to bottom, one row of all channels per step: `input` float32 [batch, C, H, W] →
 * `logits` float32 [batch, classes]. A sequence classifier for whatever holds images.
 */
export function rowClassifier(name: string, options: ArchitectureOptions, layers: RecurrentOptions): Model {
  const [channels, height, width] = options.input;
  const stack = new RecurrentStack(options.seed);
  const { b } = stack;
  const input = b.input('input', tensorType('float32', ['batch', channels, height, width]));
  const rows = b.op('Transpose', [input], { perm: [2, 0, 1, 3] }, { name: 'rows_first' });
  const steps = b.op('Reshape', [rows, b.int64s([height, -1, channels * width])], {}, { name: 'rows' });
  const { last } = stack.layers(steps, channels * width, layers);
  const logits = stack.linear('fc', last, layers.hidden, options.classes);
  return stack.model(name, options, logits, ['batch', options.classes]);
}
