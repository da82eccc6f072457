/** @file Small Transformers (Vaswani et al. 2017, arXiv 1706.03762, with the normalisation before each part): classifiers of tokens or patches, and a causal language model. */
import { EMIT_OPSET, float, GraphBuilder, makeModel, Tensor, tensorType, type Dim, type Model } from '../ir/index.js';
import { createRandom, type Random } from '../platform/random.js';
import { ARCHITECTURE_KEY } from './layers.js';
import { ArchitectureError } from './registry.js';

/** Sizes of the stack of blocks. */
export interface TransformerSize {
  /** Width of every token's vector; `heads` divides it. */
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  /** Width of the hidden layer of each block; four times `width` where omitted. */
  readonly hidden?: number;
  /** Seed of the initial weights. */
  readonly seed: number;
}

/** What is read: token numbers of up to `length` places, or images cut into square patches. */
export type TransformerInput =
  | { readonly kind: 'tokens'; readonly vocabulary: number; readonly length: number }
  | {
      readonly kind: 'patches';
      readonly channels: number;
      readonly height: number;
      readonly width: number;
      readonly patch: number;
    };

export interface TransformerClassifierOptions extends TransformerSize {
  readonly input: TransformerInput;
  readonly classes: number;
}

export interface CausalTransformerOptions extends TransformerSize {
  readonly vocabulary: number;
  /** Greatest length of a sequence. */
  readonly length: number;
}

const EPSILON = 1e-5;
/** Standard deviation of fresh embeddings, as in GPT-2 and ViT. */
const EMBEDDING_DEVIATION = 0.02;
/** What masked scores get: far below any score, and finite, so that no difference of two becomes NaN. */
const MASKED = -1e9;

/** Emits layers with weights drawn in the order of the calls. */
class TransformerStack {
  readonly b = new GraphBuilder();
  readonly #random: Random;
  readonly #size: TransformerSize;

  constructor(size: TransformerSize) {
    for (const [name, value] of Object.entries({ width: size.width, heads: size.heads, layers: size.layers }))
      if (!Number.isInteger(value) || value < 1)
        throw new ArchitectureError(`a Transformer cannot have ${name} ${value}`, 'Give a whole number above 0.');
    if (size.width % size.heads !== 0)
      throw new ArchitectureError(
        `${size.heads} heads do not divide the width ${size.width}`,
        'Choose a width that is a multiple of the number of heads.',
      );
    this.#size = size;
    this.#random = createRandom(size.seed);
  }

  /** Weights from N(0, deviation²). */
  weight(name: string, dims: readonly number[], deviation: number): string {
    const values = new Float32Array(dims.reduce((size, dim) => size * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = this.#random.normal() * deviation;
    return this.b.parameter(name, Tensor.floats(values, dims));
  }

  filled(name: string, length: number, value: number): string {
    return this.b.parameter(name, Tensor.floats(new Float32Array(length).fill(value)));
  }

  /** x·W + b along the last axis; the weight lies as [in, out]. */
  linear(name: string, x: string, from: number, to: number): string {
    const product = this.b.op(
      'MatMul',
      [x, this.weight(`${name}.weight`, [from, to], 1 / Math.sqrt(from))],
      {},
      { name },
    );
    return this.b.op('Add', [product, this.filled(`${name}.bias`, to, 0)], {}, { name: `${name}.add` });
  }

  norm(name: string, x: string): string {
    const { width } = this.#size;
    const inputs = [x, this.filled(`${name}.weight`, width, 1), this.filled(`${name}.bias`, width, 0)];
    return this.b.op('LayerNormalization', inputs, { axis: -1, epsilon: float(EPSILON) }, { name });
  }

  /** x·Φ(x), spelled out: opset 18 has no Gelu; runtimes fuse this form. */
  gelu(name: string, x: string): string {
    const { b } = this;
    const erf = b.op('Erf', [b.op('Div', [x, b.scalar(Math.SQRT2)])], {}, { name });
    return b.op('Mul', [b.op('Mul', [x, b.op('Add', [erf, b.scalar(1)])]), b.scalar(0.5)]);
  }

  /** All blocks on [batch, length, width]; `bias` is added to the scores. */
  blocks(x: string, bias: string | undefined): string {
    for (let layer = 0; layer < this.#size.layers; layer++) x = this.#block(`blocks.${layer}`, x, bias);
    return x;
  }

  #block(name: string, x: string, bias: string | undefined): string {
    const { b } = this;
    const { width, hidden = 4 * width } = this.#size;
    const mixed = b.op('Add', [x, this.#attention(`${name}.attention`, this.norm(`${name}.norm1`, x), bias)]);
    const inner = this.linear(`${name}.up`, this.norm(`${name}.norm2`, mixed), width, hidden);
    return b.op('Add', [mixed, this.linear(`${name}.down`, this.gelu(`${name}.gelu`, inner), hidden, width)]);
  }

  #attention(name: string, x: string, bias: string | undefined): string {
    const { b } = this;
    const { width, heads } = this.#size;
    const packed = this.linear(`${name}.qkv`, x, width, 3 * width);
    const parted = b.op('Reshape', [packed, b.int64s([0, 0, 3, heads, width / heads])]);
    const byHead = b.op('Transpose', [parted], { perm: [2, 0, 3, 1, 4] });
    const [q, k, v] = b
      .ops('Split', [byHead], { axis: 0, num_outputs: 3 }, { outputs: 3 })
      .map((part) => b.op('Squeeze', [part, b.int64s([0])]));
    const scaled = b.op('Mul', [q!, b.scalar(Math.sqrt(heads / width))]);
    const scores = b.op(
      'MatMul',
      [scaled, b.op('Transpose', [k!], { perm: [0, 1, 3, 2] })],
      {},
      { name: `${name}.scores` },
    );
    const masked = bias === undefined ? scores : b.op('Add', [scores, bias]);
    const context = b.op('MatMul', [b.op('Softmax', [masked], { axis: -1 }, { name: `${name}.softmax` }), v!]);
    const joined = b.op('Reshape', [b.op('Transpose', [context], { perm: [0, 2, 1, 3] }), b.int64s([0, 0, width])]);
    return this.linear(`${name}.out`, joined, width, width);
  }

  /** Embeddings of the token numbers `input`, int64 [batch, length], with those of their places. */
  tokens(vocabulary: number, length: number): string {
    const { b } = this;
    const input = b.input('input', tensorType('int64', ['batch', 'length']));
    const { width } = this.#size;
    const words = b.op('Gather', [this.weight('words.weight', [vocabulary, width], EMBEDDING_DEVIATION), input]);
    const places = this.weight('places.weight', [length, width], EMBEDDING_DEVIATION);
    return b.op('Add', [words, b.op('Gather', [places, this.#counted(input)])]);
  }

  /** 0, 1 … length − 1 for the length of `x`, [batch, length, …]. */
  #counted(x: string): string {
    const { b } = this;
    const scalar = (value: number): string => b.constant(Tensor.scalar('int64', value));
    const count = b.op('Squeeze', [b.op('Shape', [x], { start: 1, end: 2 }), b.int64s([0])]);
    return b.op('Range', [scalar(0), count, scalar(1)]);
  }

  /** Embeddings of square patches of `input`, float32 [batch, channels, height, width], with those of their places. */
  patches(channels: number, height: number, width: number, patch: number): string {
    const { b } = this;
    if (height % patch !== 0 || width % patch !== 0)
      throw new ArchitectureError(
        `images of ${height}×${width} are no whole number of ${patch}×${patch} patches`,
        'Choose a patch size that divides both sides.',
      );
    const input = b.input('input', tensorType('float32', ['batch', channels, height, width]));
    const size = this.#size.width;
    const kernel = this.weight(
      'patches.weight',
      [size, channels, patch, patch],
      1 / Math.sqrt(channels * patch * patch),
    );
    const cut = b.op('Conv', [input, kernel, this.filled('patches.bias', size, 0)], {
      ...{ kernel_shape: [patch, patch], strides: [patch, patch], pads: [0, 0, 0, 0] },
      ...{ dilations: [1, 1], group: 1 },
    });
    const count = (height / patch) * (width / patch);
    const flat = b.op('Transpose', [b.op('Reshape', [cut, b.int64s([0, size, count])])], { perm: [0, 2, 1] });
    return b.op('Add', [flat, this.weight('places.weight', [count, size], EMBEDDING_DEVIATION)]);
  }

  /** 0 for this and earlier places, MASKED for later ones: [length, length] for the length of `x`. */
  causalBias(x: string): string {
    const { b } = this;
    const places = this.#counted(x);
    const allowed = b.op('LessOrEqual', [places, b.op('Unsqueeze', [places, b.int64s([1])])]);
    return b.op('Where', [allowed, b.scalar(0), b.scalar(MASKED)]);
  }

  /** The model with output `logits`. */
  model(name: string, logits: string, shape: readonly Dim[], options: unknown): Model {
    const output = { name: this.b.alias(logits, 'logits'), type: tensorType('float32', shape) };
    return makeModel(this.b.graph(name, [output]), {
      opsets: new Map([['', EMIT_OPSET]]),
      metadata: new Map([[ARCHITECTURE_KEY, JSON.stringify({ name, ...(options as object) })]]),
    });
  }
}

/**
 * An encoder whose tokens' mean is classified: input `input` (int64 [batch, length], or float32 [batch, C, H, W] for patches),
 * output `logits` float32 [batch, classes]. Batch and token count stay symbolic. Throws ArchitectureError for sizes that do not fit.
 */
export function transformerClassifier(options: TransformerClassifierOptions): Model {
  const stack = new TransformerStack(options);
  const { input, width, classes } = options;
  const embedded =
    input.kind === 'tokens'
      ? stack.tokens(input.vocabulary, input.length)
      : stack.patches(input.channels, input.height, input.width, input.patch);
  const encoded = stack.norm('norm', stack.blocks(embedded, undefined));
  const mean = stack.b.op('ReduceMean', [encoded, stack.b.int64s([1])], { keepdims: 0 });
  return stack.model('transformer-classifier', stack.linear('head', mean, width, classes), ['batch', classes], options);
}

/**
 * A causal language model: input `input` int64 [batch, length], output `logits` float32 [batch, length, vocabulary], where
 * each place sees itself and earlier ones. Throws ArchitectureError for sizes that do not fit.
 */
export function causalTransformer(options: CausalTransformerOptions): Model {
  const stack = new TransformerStack(options);
  const { vocabulary, width } = options;
  const embedded = stack.tokens(vocabulary, options.length);
  const encoded = stack.norm('norm', stack.blocks(embedded, stack.causalBias(embedded)));
  const logits = stack.linear('head', encoded, width, vocabulary);
  return stack.model('causal-transformer', logits, ['batch', 'length', vocabulary], options);
}

export interface TransformerBlockOptions {
  readonly width: number;
  readonly heads: number;
  /** Width of the hidden layer. */
  readonly inner: number;
  readonly classes: number;
  readonly seed: number;
  readonly causal?: boolean;
}

/**
 * One block on vectors and a classifier of their mean: input `input` float32 [batch, length, width], output `logits`
 * float32 [batch, classes]. Throws ArchitectureError for sizes that do not fit.
 */
export function transformerBlock(options: TransformerBlockOptions): Model {
  const { width, inner, classes, causal = false } = options;
  const stack = new TransformerStack({ ...options, layers: 1, hidden: inner });
  const input = stack.b.input('input', tensorType('float32', ['batch', 'length', width]));
  const encoded = stack.blocks(input, causal ? stack.causalBias(input) : undefined);
  const mean = stack.b.op('ReduceMean', [encoded, stack.b.int64s([1])], { keepdims: 0 });
  return stack.model('transformer-block', stack.linear('head', mean, width, classes), ['batch', classes], options);
}
