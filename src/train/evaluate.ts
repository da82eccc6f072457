/** @file Accuracy and loss of a classifier on a data set. */
import { batches, type ImageDataset, type Preprocessing } from '../data/index.js';
import { producersOf, type Model, type Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { turn } from '../platform/index.js';
import { openSession, type Session, type SessionOptions } from '../runtime/index.js';
import { StepSpecError } from './errors.js';

export interface EvaluateOptions {
  readonly preprocessing: Preprocessing;
  /** 256 where omitted. */
  readonly batchSize?: number;
  /** Output with the class scores; the first one where omitted. */
  readonly output?: string;
  /** Whether the scores are logits (default for a session) or probabilities. A model is looked at. */
  readonly scores?: 'logits' | 'probabilities';
  /** How to open a model; a session is used as it is. */
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Evaluation {
  readonly samples: number;
  readonly accuracy: number;
  /** Mean cross-entropy. */
  readonly loss: number;
  /** Samples and share of right ones by true class. */
  readonly classes: readonly { readonly name: string; readonly samples: number; readonly accuracy: number }[];
  /** Predicted class per sample, in the data set's order. */
  readonly predictions: Int32Array;
}

/** The value that a classifier's softmax reads (its logits) and the public output; the same where it ends in logits. */
export function classifierOutput(model: Model, output?: string): { readonly output: string; readonly logits: string } {
  const name = output ?? model.graph.outputs[0]?.name;
  if (name === undefined) throw new StepSpecError('the model has no output', 'Give a classifier.');
  const producers = producersOf(model.graph);
  let value = name;
  for (let node = producers.get(value); node !== undefined; node = producers.get(value)) {
    if (node.op !== 'Identity' && node.op !== 'Softmax' && node.op !== 'LogSoftmax') break;
    value = node.inputs[0]!;
    if (node.op !== 'Identity') return { output: name, logits: value };
  }
  return { output: name, logits: name };
}

/**
 * Runs a classifier over a data set. Throws DataError where images and preprocessing do not fit, the signal's reason on
 * abort, and what the runtime throws.
 */
export async function evaluate(
  classifier: Model | Session,
  dataset: ImageDataset,
  options: EvaluateOptions,
): Promise<Evaluation> {
  if ('run' in classifier) return evaluateSession(classifier, dataset, options);
  const { output, logits } = classifierOutput(classifier, options.output);
  const scores = options.scores ?? (output === logits ? 'logits' : 'probabilities');
  await using session = await openSession(encodeModel(classifier), options.session);
  return await evaluateSession(session, dataset, { ...options, output, scores });
}

async function evaluateSession(session: Session, dataset: ImageDataset, options: EvaluateOptions): Promise<Evaluation> {
  const { batchSize = 256, preprocessing, signal, scores = 'logits' } = options;
  const input = session.inputNames[0]!;
  const output = options.output ?? session.outputNames[0]!;
  const classes = dataset.classes.map((name) => ({ name, samples: 0, right: 0 }));
  const predictions = new Int32Array(dataset.size);
  let lossSum = 0;
  let right = 0;
  let done = 0;
  for await (const { images, labels } of batches(dataset, { batchSize, preprocessing, signal })) {
    const result = await session.run({ [input]: images }, { outputs: [output], signal });
    const rows = scoreRows(result[output]!, labels.size, output);
    rows.forEach((row, index) => {
      const label = Number(labels.data[index]!);
      const predicted = indexOfMaximum(row);
      lossSum += scores === 'logits' ? crossEntropy(row, label) : -Math.log(Math.max(row[label]!, 1e-12));
      predictions[done + index] = predicted;
      classes[label]!.samples++;
      if (predicted !== label) return;
      right++;
      classes[label]!.right++;
    });
    done += labels.size;
    options.onProgress?.(done, dataset.size);
    await turn();
  }
  return {
    samples: done,
    accuracy: done === 0 ? 0 : right / done,
    loss: done === 0 ? 0 : lossSum / done,
    classes: classes.map(({ name, samples, right: hits }) => ({ name, samples, accuracy: samples && hits / samples })),
    predictions,
  };
}

function scoreRows(scores: Tensor, samples: number, output: string): readonly Float32Array[] {
  if (scores.dtype !== 'float32' || scores.dims[0] !== samples)
    throw new StepSpecError(
      `output '${output}' is ${scores.dtype}[${scores.dims.join(', ')}] for ${samples} images, no class scores`,
      'Name the output that holds scores of shape [batch, classes].',
    );
  const data = scores.data as Float32Array;
  const width = data.length / samples;
  return Array.from({ length: samples }, (_, index) => data.subarray(index * width, (index + 1) * width));
}

function indexOfMaximum(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

/** −log softmax(row)[label]. */
function crossEntropy(row: Float32Array, label: number): number {
  let maximum = -Infinity;
  for (const value of row) maximum = Math.max(maximum, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - maximum);
  return Math.log(sum) + maximum - row[label]!;
}
