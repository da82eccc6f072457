/** @file Character models and sequence classifiers by name. */
import type { Model } from '../ir/index.js';
import {
  characterModel,
  sequenceClassifier,
  type RecurrentCell,
  type RecurrentOptions,
  type SequenceArchitectureOptions,
  type TextArchitectureOptions,
} from './recurrent.js';
import { ArchitectureError } from './registry.js';

export interface TextArchitecture {
  readonly name: string;
  readonly summary: string;
  readonly build: (options: TextArchitectureOptions) => Model;
}

export interface SequenceArchitecture {
  readonly name: string;
  readonly summary: string;
  readonly build: (options: SequenceArchitectureOptions) => Model;
}

/** Share of states that training drops: character models learn their text by heart otherwise. */
const DROPOUT = 0.2;

const character = (name: string, cell: RecurrentCell, hidden: number, layers: number): TextArchitecture => ({
  name,
  summary: `Character model: embedding of 64, ${layers === 1 ? '' : `${layers} layers of `}${cell} of ${hidden} units`,
  build: (options) => characterModel(name, options, { cell, hidden, layers, dropout: DROPOUT }),
});

/** Networks that predict the next character of a text. */
export const textArchitectures: readonly TextArchitecture[] = [
  character('char-lstm', 'LSTM', 256, 1),
  character('char-lstm-2', 'LSTM', 256, 2),
  character('char-lstm-small', 'LSTM', 96, 1),
  character('char-gru', 'GRU', 256, 1),
  character('char-rnn', 'RNN', 256, 1),
];

const sequence = (name: string, layers: RecurrentOptions): SequenceArchitecture => ({
  name,
  summary: `Classifier of sequences: ${layers.layers} layers of ${layers.cell} of ${layers.hidden} units, read at the last step`,
  build: (options) => sequenceClassifier(name, options, layers),
});

/** Networks that classify sequences of vectors. */
export const sequenceArchitectures: readonly SequenceArchitecture[] = [
  sequence('lstm-classifier', { cell: 'LSTM', hidden: 128, layers: 2 }),
  sequence('gru-classifier', { cell: 'GRU', hidden: 128, layers: 2 }),
];

const normalise = (name: string): string => name.toLowerCase().replaceAll(/[-_ ]/g, '');

/** The character model of that name, `undefined` where it is none; hyphens and case do not matter. */
export function findTextArchitecture(name: string): TextArchitecture | undefined {
  return textArchitectures.find((architecture) => normalise(architecture.name) === normalise(name));
}

/**
 * The character model of that name with fresh weights: `input` int64 [batch, time] → `logits` float32
 * [batch, time, vocabulary]. Throws ArchitectureError for an unknown name or an impossible vocabulary.
 */
export function buildTextArchitecture(name: string, options: TextArchitectureOptions): Model {
  const found = findTextArchitecture(name) ?? refuse(name, textArchitectures);
  if (!Number.isInteger(options.vocabulary) || options.vocabulary < 2)
    throw new ArchitectureError(
      `${found.name} cannot have a vocabulary of ${options.vocabulary}`,
      'Give at least two characters.',
    );
  return found.build(options);
}

/**
 * The sequence classifier of that name with fresh weights: `input` float32 [batch, time, features] → `logits` float32
 * [batch, classes]. Throws ArchitectureError for an unknown name or impossible options.
 */
export function buildSequenceArchitecture(name: string, options: SequenceArchitectureOptions): Model {
  const found =
    sequenceArchitectures.find((architecture) => normalise(architecture.name) === normalise(name)) ??
    refuse(name, sequenceArchitectures);
  const { classes, features } = options;
  if (!Number.isInteger(classes) || classes < 2 || !Number.isInteger(features) || features < 1)
    throw new ArchitectureError(
      `${found.name} cannot have ${classes} classes and ${features} features`,
      'Give at least two classes and one feature.',
    );
  return found.build(options);
}

function refuse(name: string, known: readonly { readonly name: string }[]): never {
  throw new ArchitectureError(
    `there is no architecture '${name}' for this kind of data`,
    `Choose one of ${known.map((architecture) => architecture.name).join(', ')}.`,
  );
}
