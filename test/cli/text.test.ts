/** @file Character models from the command line: train on a text file, evaluate, write, train further; refusals. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readVocabulary, vocabularyOf } from '../../src/data/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { cuttle, digitsModel, jsonOf, scratchFolder, writeModel } from './cli.js';

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const text = 'the quick brown fox jumps over the lazy dog.\n'.repeat(80);
writeFileSync(at('fox.txt.gz'), gzipSync(text));
writeFileSync(at('greek.txt'), 'αβγδ'.repeat(200));
writeFileSync(at('latin1.txt'), Buffer.from([0x61, 0xe9, 0x62, 0x63, 0x64, 0x65, 0x66]));
const recipe = ['--batch', '8', '--window', '32', '--threads', '1'];
const onFox = ['--data', at('fox.txt.gz')];

describe('a character model', () => {
  const model = at('fox.onnx');

  test('trains to a low loss on held-out text, in nats per character', async () => {
    const argv = ['--arch', 'char-lstm-small', ...onFox, '--out', model, '--epochs', '8', '--lr', '0.02', ...recipe];
    const result = (await jsonOf(['train', ...argv])) as Record<string, number>;
    expect(result.loss).toBeLessThan(0.6);
    expect(result.perplexity).toBeCloseTo(Math.exp(result.loss!), 6);
    expect(result.epochs).toBe(8);
    expect(readVocabulary(decodeModel(new Uint8Array(readFileSync(model))))).toEqual(vocabularyOf(text));
  });

  test('has the same loss in eval', async () => {
    const result = (await jsonOf(['eval', model, ...onFox, '--threads', '1'])) as Record<string, number>;
    expect(result).toMatchObject({ kind: 'characters', characters: text.length / 10 - 1 });
    expect(result.loss).toBeLessThan(0.6);
  });

  test('writes the same text for the same seed', async () => {
    const write = async (seed: string): Promise<Record<string, unknown>> =>
      await jsonOf(['run', model, '--prompt', 'the ', '--length', '30', '--seed', seed, '--threads', '1']);
    const first = await write('3');
    expect(first).toMatchObject({ prompt: 'the ', length: 30, temperature: 1, seed: 3 });
    expect(first.text).toHaveLength(30);
    expect((await write('3')).text).toBe(first.text);
    const greedy = await cuttle(['run', model, '--prompt', 'the quick br', '--length', '5', '--temperature', '0']);
    expect(greedy.out).toContain('the quick brown f');
  });

  test('trains further, with its own vocabulary', async () => {
    const argv = ['--model', model, ...onFox, '--out', at('more.onnx'), '--epochs', '1', ...recipe];
    expect(await jsonOf(['train', ...argv])).toMatchObject({ epochs: 1 });
    const foreign = ['--model', model, '--data', at('greek.txt'), '--out', at('greek.onnx')];
    const { code, err } = await cuttle(['train', ...foreign]);
    expect({ code, said: err.join('\n') }).toEqual({
      code: 3,
      said: expect.stringContaining('the vocabulary of 29 characters lacks "α"') as string,
    });
  });
});

describe('refusals', () => {
  const digits = writeModel(folder, 'digits.onnx', digitsModel());
  test.each<readonly [string, readonly string[], number, RegExp]>([
    ['text for a classifier', ['eval', digits, '--data', 'none.txt'], 2, /no character model/],
    [
      'text that is missing',
      ['train', '--arch', 'char-gru', '--data', at('none.txt'), '--out', at('x.onnx')],
      3,
      /no text file/,
    ],
    [
      'text that is no UTF-8',
      ['train', '--arch', 'char-gru', '--data', at('latin1.txt'), '--out', at('x.onnx')],
      3,
      /no UTF-8/,
    ],
    ['a prompt for a classifier', ['run', digits, '--prompt', 'a'], 2, /carries no vocabulary/],
    [
      'windows for images',
      ['train', '--arch', 'lenet-5', '--data', 'mnist', '--window', '9', '--out', at('x.onnx')],
      2,
      /--window: is for text/,
    ],
  ])('%s', async (_, argv, expected, message) => {
    const { code, err } = await cuttle([...argv]);
    expect({ code, said: err.join('\n') }).toEqual({
      code: expected,
      said: expect.stringMatching(message) as string,
    });
  });
});
