/** @file Writing text with a character model, one character at a time. */
import { decodeText, encodeText } from '../data/index.js';
import { Tensor } from '../ir/index.js';
import { createRandom } from '../platform/random.js';
import type { Session } from '../runtime/index.js';
import { StepSpecError } from './errors.js';

export interface SampleTextOptions {
  /** Text to continue; a line break, or the first character of the vocabulary, where empty. */
  readonly prompt?: string;
  /** Characters to write; 200 where omitted. */
  readonly length?: number;
  /** Divides the scores: below 1 for likelier text, 0 for the likeliest character each time. 1 where omitted. */
  readonly temperature?: number;
  /** 0 where omitted. */
  readonly seed?: number;
  /** Last characters that the model sees for each next one; 128 where omitted. */
  readonly context?: number;
  readonly signal?: AbortSignal;
  /** Called with each character. */
  readonly onCharacter?: (character: string) => void;
}

/**
 * Continues a prompt. The same model, prompt and seed give the same text on one machine. Throws DataError for a prompt with
 * unknown characters, StepSpecError for impossible options or a model that gives no scores per character.
 */
export async function sampleText(
  session: Session,
  vocabulary: readonly string[],
  options: SampleTextOptions = {},
): Promise<string> {
  const { length = 200, temperature = 1, seed = 0, context = 128, signal } = options;
  if (!(temperature >= 0)) throw new StepSpecError(`a temperature of ${temperature}`, 'It must be at least 0.');
  const begin = options.prompt || (vocabulary.includes('\n') ? '\n' : vocabulary[0]!);
  const tokens = [...encodeText(begin, vocabulary)];
  const random = createRandom(seed);
  const [input, output] = [session.inputNames[0]!, session.outputNames[0]!];
  const written: number[] = [];
  while (written.length < length) {
    signal?.throwIfAborted();
    const seen = tokens.slice(-context);
    const feeds = { [input]: Tensor.of('int64', [1, seen.length], BigInt64Array.from(seen, BigInt)) };
    const scores = (await session.run(feeds, { outputs: [output], signal }))[output]!;
    if (scores.dtype !== 'float32' || scores.dims.join() !== `1,${seen.length},${vocabulary.length}`)
      throw new StepSpecError(
        `the model gives ${scores.dtype}[${scores.dims.join(', ')}] for ${seen.length} characters`,
        'Give a character model with scores of shape [batch, time, vocabulary].',
      );
    const last = (scores.data as Float32Array).subarray((seen.length - 1) * vocabulary.length);
    const token = draw(last, temperature, random.next());
    tokens.push(token);
    written.push(token);
    options.onCharacter?.(vocabulary[token]!);
  }
  return decodeText(written, vocabulary);
}

/** The index at which the cumulative softmax of scores / temperature passes `share`. */
function draw(scores: Float32Array, temperature: number, share: number): number {
  let best = 0;
  for (let k = 1; k < scores.length; k++) if (scores[k]! > scores[best]!) best = k;
  if (temperature === 0) return best;
  const weights = Array.from(scores, (score) => Math.exp((score - scores[best]!) / temperature));
  let left = share * weights.reduce((sum, weight) => sum + weight, 0);
  for (let k = 0; k < weights.length; k++) {
    left -= weights[k]!;
    if (left < 0) return k;
  }
  return best;
}
