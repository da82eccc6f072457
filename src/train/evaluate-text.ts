/** @file Loss of a character model on text that it has not seen. */
import { DataError, type TextDataset } from '../data/index.js';
import { Tensor, type Model } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { openSession, type Session, type SessionOptions } from '../runtime/index.js';
import { StepSpecError } from './errors.js';

export interface EvaluateTextOptions {
  /** Characters per window; the first half of each but the first is context and not counted. 256 where omitted. */
  readonly length?: number;
  /** Windows per call; 16 where omitted. */
  readonly batchSize?: number;
  /** How to open a model; a session is used as it is. */
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface TextEvaluation {
  /** Characters that were predicted: all but the first. */
  readonly characters: number;
  /** Mean cross-entropy in nats per character. */
  readonly loss: number;
  /** e to the loss: between how many characters the model wavers, on average. */
  readonly perplexity: number;
  /** Share of characters that were the likeliest to the model. */
  readonly accuracy: number;
}

/**
 * Predicts every character of a text from those before it. The text is read in windows that overlap by half, so that
 * each character but the first few has at least half a window of context and is counted once. Throws DataError where the text is too short,
 * StepSpecError where the model gives no scores of shape [batch, time, vocabulary], and what the runtime throws.
 */
export async function evaluateText(
  model: Model | Session,
  dataset: TextDataset,
  options: EvaluateTextOptions = {},
): Promise<TextEvaluation> {
  if (!('run' in model)) {
    await using session = await openSession(encodeModel(model), options.session);
    return await evaluateText(session, dataset, options);
  }
  const { batchSize = 16, signal } = options;
  const total = dataset.size - 1;
  if (total < 1) throw new DataError('text-length', `${dataset.name} is too short to predict a character of it`);
  const length = Math.max(2, Math.min(options.length ?? 256, total));
  const windows = windowsOf(total, length);
  const sums = { loss: 0, right: 0, done: 0 };
  for (let first = 0; first < windows.length; first += batchSize) {
    signal?.throwIfAborted();
    const group = windows.slice(first, first + batchSize);
    const tokens = new BigInt64Array(group.length * length);
    group.forEach(({ start }, row) => {
      for (let t = 0; t < length; t++) tokens[row * length + t] = BigInt(dataset.tokens[start + t]!);
    });
    const result = await model.run(
      { [model.inputNames[0]!]: Tensor.of('int64', [group.length, length], tokens) },
      { outputs: [model.outputNames[0]!], signal },
    );
    const scores = result[model.outputNames[0]!]!;
    const classes = classesOf(scores, group.length, length, dataset.vocabulary.length);
    group.forEach(({ start, from }, row) => {
      for (let t = from; t < length; t++) {
        const at = (row * length + t) * classes;
        count(scores.data as Float32Array, at, classes, dataset.tokens[start + t + 1]!, sums);
      }
    });
    options.onProgress?.(sums.done, total);
  }
  const loss = sums.loss / sums.done;
  return { characters: sums.done, loss, perplexity: Math.exp(loss), accuracy: sums.right / sums.done };
}

/** Windows of `length` that together predict each of `total` characters once; counting begins at `from`. */
function windowsOf(total: number, length: number): readonly { readonly start: number; readonly from: number }[] {
  const windows = [{ start: 0, from: 0 }];
  for (let predicted = length; predicted < total;) {
    const start = Math.min(predicted - (length >> 1), total - length);
    windows.push({ start, from: predicted - start });
    predicted = start + length;
  }
  return windows;
}

function classesOf(scores: Tensor, rows: number, length: number, vocabulary: number): number {
  const [batch, time, classes] = scores.dims;
  if (scores.dtype === 'float32' && batch === rows && time === length && classes === vocabulary) return vocabulary;
  throw new StepSpecError(
    `the model gives ${scores.dtype}[${scores.dims.join(', ')}] for ${rows} windows of ${length} characters out of ${vocabulary}`,
    'Give a character model with scores of shape [batch, time, vocabulary], batch first.',
  );
}

/** Adds −log softmax(scores)[target]. */
function count(
  scores: Float32Array,
  at: number,
  classes: number,
  target: number,
  sums: { loss: number; right: number; done: number },
): void {
  let best = 0;
  for (let k = 1; k < classes; k++) if (scores[at + k]! > scores[at + best]!) best = k;
  const maximum = scores[at + best]!;
  let sum = 0;
  for (let k = 0; k < classes; k++) sum += Math.exp(scores[at + k]! - maximum);
  sums.loss += Math.log(sum) + maximum - scores[at + target]!;
  if (best === target) sums.right++;
  sums.done++;
}
