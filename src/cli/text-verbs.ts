/** @file What `train`, `eval` and `run` do where the data is text and the network a character model. */
import { readVocabulary, type TextSplits } from '../data/index.js';
import { openText } from '../data/node.js';
import type { Model } from '../ir/index.js';
import { now } from '../platform/index.js';
import { percent } from '../report/index.js';
import { openSession, type SessionOptions } from '../runtime/index.js';
import { encodeModel } from '../onnx/index.js';
import { evaluateText, sampleText, type TrainEvent, type TrainTextOptions } from '../train/index.js';
import { trainTextToFile } from '../train/node.js';
import { buildTextArchitecture, findTextArchitecture, textArchitectures } from '../zoo/index.js';
import type { Progress } from './console.js';
import { UsageError, type VerbContext, type VerbResult } from './verb.js';

type Context = Pick<VerbContext<unknown>, 'console' | 'signal'>;

/** What `train` was asked for, as far as it concerns text. */
export interface TrainTextRequest extends Omit<
  TrainTextOptions,
  'model' | 'data' | 'checkpoints' | 'signal' | 'onEvent'
> {
  readonly arch: string | undefined;
  readonly existing: Model | undefined;
  readonly data: string;
  readonly out: string;
  readonly force: boolean;
  readonly seed: number;
}

/** Refuses networks that cannot read text, before any data is opened. */
export function checkTextArchitecture(arch: string): void {
  if (findTextArchitecture(arch) === undefined)
    throw new UsageError(
      `--arch: '${arch}' takes images, but the data is text`,
      `Choose one of ${textArchitectures.map(({ name }) => name).join(', ')}.`,
    );
}

/** Options that say something of images alone, by the name of their flag. */
const IMAGE_OPTIONS: Readonly<Record<string, string>> = {
  limit: 'limit',
  augment: 'augment',
  normalise: 'normalise',
  mean: 'mean',
  std: 'std',
  size: 'size',
  channels: 'channels',
  maxMemory: 'max-memory',
  design: 'design',
};

/** Refuses options that would have no effect on text. */
export function refuseImageOptions(options: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(IMAGE_OPTIONS).find((key) => options[key] !== undefined);
  if (given !== undefined)
    throw new UsageError(`--${IMAGE_OPTIONS[given]}: is for images, but the data is text`, 'Leave it out.');
}

/** `cuttle train` on text. */
export async function trainOnText({ console, signal }: Context, request: TrainTextRequest): Promise<VerbResult> {
  const { arch, existing, data: source, ...options } = request;
  const data = await openText(source, { vocabulary: existing && readVocabulary(existing) });
  console.log(describe(source, data));
  const trained = await trainTextToFile({
    ...options,
    model: existing ?? ((vocabulary) => buildTextArchitecture(arch!, { vocabulary, seed: options.seed })),
    data,
    signal,
    onEvent: showTextTraining(console),
  });
  const { loss, perplexity, accuracy, charactersPerSecond, epochs, params, history } = trained;
  return {
    json: { loss, perplexity, accuracy, charactersPerSecond, epochs, params, out: options.out, history },
    text: `${options.out}: ${loss.toFixed(4)} nats per character of ${data.test.size} held-out characters (perplexity ${perplexity.toFixed(2)}, ${percent(accuracy)} right), after ${epochs} epochs at ${Math.round(charactersPerSecond)} characters/s`,
  };
}

/** `cuttle eval` on text: the held-out end of the file. */
export async function evaluateOnText(
  { console, signal }: Context,
  model: Model,
  name: string,
  source: string,
  session: SessionOptions,
): Promise<VerbResult> {
  const data = await openText(source, { vocabulary: vocabularyOf(model, name) });
  console.log(describe(source, data));
  const progress = console.progress('evaluating', data.test.size);
  const result = await evaluateText(model, data.test, {
    session,
    signal,
    onProgress: (done) => progress.update(done),
  });
  progress.end();
  const { loss, perplexity, accuracy, characters } = result;
  return {
    json: { loss, perplexity, accuracy, characters, kind: 'characters' },
    text: `${name}: ${loss.toFixed(4)} nats per character of ${characters} held-out characters (perplexity ${perplexity.toFixed(2)}, ${percent(accuracy)} right)`,
  };
}

export interface WriteTextRequest {
  readonly prompt: string;
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
}

/** `cuttle run` with a character model: continues a prompt. */
export async function writeText(
  { signal }: Context,
  model: Model,
  name: string,
  request: WriteTextRequest,
  session: SessionOptions,
): Promise<VerbResult> {
  const vocabulary = vocabularyOf(model, name);
  await using reader = await openSession(encodeModel(model), session);
  const start = now();
  const text = await sampleText(reader, vocabulary, { ...request, signal });
  const seconds = (now() - start) / 1000;
  return {
    json: { text, ...request, charactersPerSecond: request.length / seconds },
    text: request.prompt + text,
  };
}

function vocabularyOf(model: Model, name: string): readonly string[] {
  const vocabulary = readVocabulary(model);
  if (vocabulary !== undefined) return vocabulary;
  throw new UsageError(
    `'${name}' is no character model: it carries no vocabulary`,
    'Give a model that cuttle train wrote for a text file.',
  );
}

function describe(source: string, { train, calibration, test }: TextSplits): string {
  return `${source}: ${train.size} training, ${calibration.size} calibration, ${test.size} held-out characters, ${test.vocabulary.length} different ones`;
}

/** A progress bar, and a line after each epoch. */
function showTextTraining(console: Context['console']): (event: TrainEvent) => void {
  let progress: Progress | undefined;
  return (event) => {
    switch (event.kind) {
      case 'start':
        if (event.resumedAt > 0) console.log(`training: continues at step ${event.resumedAt} of ${event.totalSteps}`);
        progress = console.progress('training', event.totalSteps);
        break;
      case 'step':
        progress?.update(
          event.step,
          `epoch ${event.epoch}/${event.epochs}, ${event.loss.toFixed(3)} nats/character, ${Math.round(event.imagesPerSecond)} characters/s`,
        );
        break;
      case 'epoch': {
        const { epoch, loss, evaluation } = event.record;
        const held =
          evaluation === undefined
            ? ''
            : `, calibration ${evaluation.loss.toFixed(4)} (perplexity ${Math.exp(evaluation.loss).toFixed(2)})`;
        console.log(`training: epoch ${epoch}/${event.epochs}: ${loss.toFixed(4)} nats/character${held}`);
        break;
      }
      case 'checkpoint':
        break;
    }
  };
}
