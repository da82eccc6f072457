/** @file Text as a sequence of characters: vocabulary, splits that share no text, and windows to train on. */
import { z } from 'zod';
import { Tensor, type Model } from '../ir/index.js';
import { createRandom } from '../platform/random.js';
import { mix } from './augment.js';
import { DataError } from './errors.js';

/** A stretch of text as numbers of characters. */
export interface TextDataset {
  readonly kind: 'text';
  /** `shakespeare/train`, for messages. */
  readonly name: string;
  /** The characters (Unicode code points) by number. */
  readonly vocabulary: readonly string[];
  /** Number of characters. */
  readonly size: number;
  readonly tokens: Uint32Array;
}

/** Training, calibration and test text, in the order in which they stand in the source; none overlaps another. */
export interface TextSplits {
  readonly kind: 'text';
  readonly train: TextDataset;
  readonly calibration: TextDataset;
  readonly test: TextDataset;
}

export interface TextSplitOptions {
  /** Characters by number; those of the text in the order of their code points where omitted. */
  readonly vocabulary?: readonly string[];
  /** Share of the text, at its end, that is held out; a tenth where omitted. */
  readonly test?: number;
  /** Share of the text before it that is watched during training; a twentieth where omitted. */
  readonly calibration?: number;
}

/** Vocabularies beyond this are not meant as characters. */
export const MAX_VOCABULARY = 65_536;

/** Every character of a text once, in the order of code points. */
export function vocabularyOf(text: string): readonly string[] {
  return [...new Set(text)].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
}

/** The characters' numbers. Throws DataError, naming them, where the vocabulary lacks some. */
export function encodeText(text: string, vocabulary: readonly string[]): Uint32Array {
  const numbers = new Map(vocabulary.map((character, index) => [character, index]));
  const tokens = new Uint32Array(text.length);
  const unknown = new Set<string>();
  let size = 0;
  for (const character of text) {
    const token = numbers.get(character);
    if (token === undefined) unknown.add(character);
    else tokens[size++] = token;
  }
  if (unknown.size > 0)
    throw new DataError(
      'vocabulary',
      `the vocabulary of ${vocabulary.length} characters lacks ${[...unknown]
        .slice(0, 8)
        .map((c) => JSON.stringify(c))
        .join(', ')}${unknown.size > 8 ? ` and ${unknown.size - 8} more` : ''}`,
      { hint: 'Use text in the characters that the model was trained on, or train a new model.' },
    );
  return tokens.slice(0, size);
}

/** The text of characters' numbers. */
export function decodeText(tokens: Iterable<number>, vocabulary: readonly string[]): string {
  return Array.from(tokens, (token) => vocabulary[token] ?? '\uFFFD').join('');
}

/**
 * Splits a text: first what is trained on, then calibration, then the held-out end. Throws DataError where a part would be
 * too short to hold two characters, or the vocabulary is too large.
 */
export function splitText(name: string, text: string, options: TextSplitOptions = {}): TextSplits {
  const { test = 0.1, calibration = 0.05 } = options;
  const vocabulary = options.vocabulary ?? vocabularyOf(text);
  if (vocabulary.length > MAX_VOCABULARY)
    throw new DataError(
      'vocabulary',
      `${name}: ${vocabulary.length} different characters, more than ${MAX_VOCABULARY}`,
    );
  const tokens = encodeText(text, vocabulary);
  const held = Math.floor(tokens.length * test);
  const watched = Math.floor(tokens.length * calibration);
  const part = (suffix: string, from: number, to: number): TextDataset => ({
    kind: 'text',
    name: `${name}/${suffix}`,
    vocabulary,
    size: to - from,
    tokens: tokens.subarray(from, to),
  });
  const watchedFrom = tokens.length - held - watched;
  const splits: TextSplits = {
    kind: 'text',
    train: part('train', 0, watchedFrom),
    calibration: part('calibration', watchedFrom, watchedFrom + watched),
    test: part('test', watchedFrom + watched, tokens.length),
  };
  for (const { name: partName, size } of [splits.train, splits.calibration, splits.test])
    if (size < 2)
      throw new DataError('text-length', `${partName} has ${size} characters: too short to predict one from another`, {
        hint: 'Give a longer text.',
      });
  return splits;
}

/** A step's input: windows of text, and the character that follows each of theirs. */
export interface TextBatch {
  /** [batch, time]. */
  readonly tokens: Tensor<'int64'>;
  readonly next: Tensor<'int64'>;
}

export interface TextWindowOptions {
  readonly batchSize: number;
  /** Characters per window. */
  readonly length: number;
  readonly seed: number;
  /** Together with the seed decides the windows; the same pair always gives the same ones. */
  readonly epoch: number;
  /** Start at this batch of the epoch, as if the ones before had been taken. */
  readonly firstBatch?: number;
}

/** Full batches in one epoch of windows; the same for every epoch. */
export function textBatchCount(dataset: TextDataset, batchSize: number, length: number): number {
  return Math.floor(Math.floor((dataset.size - length) / length) / batchSize);
}

/**
 * One epoch: the text cut into windows that do not overlap, from a start that differs from epoch to epoch, shuffled. Throws
 * DataError where the text is too short for one batch.
 */
export function* textWindows(dataset: TextDataset, options: TextWindowOptions): Generator<TextBatch, void, undefined> {
  const { batchSize, length, seed, epoch, firstBatch = 0 } = options;
  const count = textBatchCount(dataset, batchSize, length);
  if (count < 1)
    throw new DataError(
      'text-length',
      `${dataset.name} has ${dataset.size} characters: too few for ${batchSize} windows of ${length}`,
      { hint: 'Give a longer text, a smaller batch, or shorter windows.' },
    );
  const random = createRandom(mix(mix(seed) ^ epoch));
  const phase = random.int(length);
  const order = random.shuffle(Uint32Array.from({ length: Math.floor((dataset.size - length) / length) }, (_, i) => i));
  for (let number = firstBatch; number < count; number++) {
    const tokens = new BigInt64Array(batchSize * length);
    const next = new BigInt64Array(batchSize * length);
    for (let row = 0; row < batchSize; row++) {
      const start = phase + order[number * batchSize + row]! * length;
      for (let t = 0; t < length; t++) {
        tokens[row * length + t] = BigInt(dataset.tokens[start + t]!);
        next[row * length + t] = BigInt(dataset.tokens[start + t + 1]!);
      }
    }
    const dims = [batchSize, length];
    yield { tokens: Tensor.of('int64', dims, tokens), next: Tensor.of('int64', dims, next) };
  }
}

/** Metadata key of the characters (a JSON array, by number). */
export const VOCABULARY_KEY = 'cuttle.vocabulary';

/** The characters that a model carries. Throws DataError where the entry is damaged: without them, its output means nothing. */
export function readVocabulary(model: Pick<Model, 'metadata'>): readonly string[] | undefined {
  const entry = model.metadata.get(VOCABULARY_KEY);
  if (entry === undefined) return undefined;
  try {
    return z.array(z.string().min(1)).min(1).max(MAX_VOCABULARY).parse(JSON.parse(entry));
  } catch (cause) {
    throw new DataError('vocabulary', `the model's entry ${VOCABULARY_KEY} cannot be read`, { cause });
  }
}

/** The model with these characters. */
export function writeVocabulary(model: Model, vocabulary: readonly string[]): Model {
  return { ...model, metadata: new Map(model.metadata).set(VOCABULARY_KEY, JSON.stringify(vocabulary)) };
}
