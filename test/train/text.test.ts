/** @file Character models: windows, splits, training, evaluation, sampling. */
import { describe, expect, it } from 'vitest';
import {
  decodeText,
  encodeText,
  readVocabulary,
  splitText,
  textBatchCount,
  textWindows,
  vocabularyOf,
  writeVocabulary,
} from '../../src/data/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { openSession } from '../../src/runtime/index.js';
import { evaluateText, sampleText, trainText } from '../../src/train/index.js';
import { buildSequenceArchitecture, buildTextArchitecture } from '../../src/zoo/index.js';

const line = 'the quick brown fox jumps over the lazy dog.\n';
const text = line.repeat(60);

describe('text data', () => {
  it('numbers characters by code point and back', () => {
    const vocabulary = vocabularyOf('b😀ab');
    expect(vocabulary).toEqual(['a', 'b', '😀']);
    expect([...encodeText('😀ab', vocabulary)]).toEqual([2, 0, 1]);
    expect(decodeText([2, 0, 1], vocabulary)).toBe('😀ab');
    expect(() => encodeText('xyz', vocabulary)).toThrow(/lacks "x", "y", "z"/);
  });

  it('splits in order, without overlap, and holds out the end', () => {
    const { train, calibration, test } = splitText('fox', text);
    expect(train.size + calibration.size + test.size).toBe(text.length);
    const whole = [train, calibration, test].map(({ tokens, vocabulary }) => decodeText(tokens, vocabulary)).join('');
    expect(whole).toBe(text);
    expect(test.size).toBe(Math.floor(text.length / 10));
    expect(() => splitText('short', 'abc')).toThrow(/too short/);
  });

  it('gives each epoch other windows, the same ones again, and none twice', () => {
    const { train } = splitText(
      'numbers',
      Array.from({ length: 2000 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join(''),
    );
    const options = { batchSize: 4, length: 16, seed: 3 };
    const starts = (epoch: number, firstBatch = 0): number[] =>
      [...textWindows(train, { ...options, epoch, firstBatch })].flatMap(({ tokens, next }) => {
        expect(tokens.dims).toEqual([4, 16]);
        tokens.data.forEach((token, i) => expect(next.data[i]).toBe(token + 1n));
        return Array.from({ length: 4 }, (_, row) => Number(tokens.data[row * 16]));
      });
    const first = starts(0);
    expect(first).toHaveLength(4 * textBatchCount(train, 4, 16));
    expect(new Set(first.map((start) => Math.floor((start - (first[0]! % 16)) / 16))).size).toBe(first.length);
    expect(starts(0)).toEqual(first);
    expect(starts(0, 3)).toEqual(first.slice(12));
    expect(starts(1)).not.toEqual(first);
    expect(() => [...textWindows(train, { ...options, length: 900, epoch: 0 })]).toThrow(/too few/);
  });

  it('keeps the vocabulary in a model', () => {
    const model = buildTextArchitecture('char-gru', { vocabulary: 3, seed: 0 });
    expect(readVocabulary(model)).toBeUndefined();
    expect(readVocabulary(writeVocabulary(model, ['a', '\n', '😀']))).toEqual(['a', '\n', '😀']);
    const broken = { ...model, metadata: new Map([['cuttle.vocabulary', '{']]) };
    expect(() => readVocabulary(broken)).toThrow(/cannot be read/);
  });
});

describe('character models', () => {
  it.each(['char-lstm-small', 'char-gru'])('%s learns a repeated line and writes it', async (name) => {
    const data = splitText('fox', text);
    const trained = await trainText({
      model: (vocabulary) => buildTextArchitecture(name, { vocabulary, seed: 1 }),
      data,
      epochs: 12,
      batchSize: 8,
      length: 32,
      learningRate: 0.02,
      session: { threads: 1 },
    });
    expect(trained.loss).toBeLessThan(0.25);
    expect(trained.perplexity).toBeCloseTo(Math.exp(trained.loss), 6);
    expect(trained.accuracy).toBeGreaterThan(0.9);
    expect(readVocabulary(trained.model)).toEqual(vocabularyOf(text));
    await using session = await openSession(encodeModel(trained.model), { threads: 1 });
    const options = { prompt: 'the quick br', length: 40, temperature: 0.1, seed: 4 };
    const written = await sampleText(session, data.train.vocabulary, options);
    expect(written).toHaveLength(40);
    expect(written.startsWith('own fox')).toBe(true);
    expect(await sampleText(session, data.train.vocabulary, options)).toBe(written);
  });

  it('counts each character once, however the text is cut into windows', async () => {
    const data = splitText('fox', text);
    const model = buildTextArchitecture('char-lstm-small', { vocabulary: data.test.vocabulary.length, seed: 1 });
    const whole = await evaluateText(model, data.test, { length: 1000, session: { threads: 1 } });
    const cut = await evaluateText(model, data.test, { length: 100, batchSize: 3, session: { threads: 1 } });
    expect(whole.characters).toBe(data.test.size - 1);
    expect(cut.characters).toBe(data.test.size - 1);
    expect(Math.abs(cut.loss - whole.loss)).toBeLessThan(1e-3);
    expect(Math.abs(whole.loss - Math.log(data.test.vocabulary.length))).toBeLessThan(0.5);
  });

  it('refuses a model that does not fit the text', async () => {
    const data = splitText('fox', text);
    const train = (model: ReturnType<typeof buildTextArchitecture>): Promise<unknown> => trainText({ model, data });
    await expect(train(buildTextArchitecture('char-gru', { vocabulary: 5, seed: 0 }))).rejects.toThrow(
      /not \[batch, time, 29\]/,
    );
    await expect(
      train(buildSequenceArchitecture('gru-classifier', { classes: 29, features: 4, seed: 0 })),
    ).rejects.toThrow(/does not take characters/);
    const other = writeVocabulary(buildTextArchitecture('char-gru', { vocabulary: 29, seed: 0 }), ['x']);
    await expect(train(other)).rejects.toThrow(/another vocabulary/);
  });
});
