/** @file Broken models end a conversion in a branded error, or in a graph; never in another exception or without end. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { convertModel, type ConvertibleFormat } from '../../src/audit/index.js';
import { CuttleError } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { haveModels, modelBytes } from './models.js';

const PER_SEED = Number(process.env['CUTTLE_FUZZ'] ?? 60);

const packed = (file: string, names: readonly string[]): (readonly [ConvertibleFormat, string, Uint8Array])[] => {
  const runs = JSON.parse(readFileSync(resolve(import.meta.dirname, '../fixtures/audit', file), 'utf8')) as Readonly<
    Record<string, { readonly model: string }>
  >;
  return names.map((name) => ['tflite', name, new Uint8Array(gunzipSync(Buffer.from(runs[name]!.model, 'base64')))]);
};

const seeds: readonly (readonly [ConvertibleFormat, string, Uint8Array])[] = [
  ...packed('convert-sparse.json', ['rows', 'blocks', 'transposed same']),
  ...packed('convert-operators.json', [
    'conv-same-stride int8',
    'strided-slice',
    'condition',
    'loop',
    'attention int8',
  ]),
  ...(haveModels()
    ? ([
        ['tflite', 'signatures', modelBytes('odd/ondevice_multi_signature.tflite')],
        ['tflite', 'DS-CNN', modelBytes('mlperf-tiny/kws_ref_model.tflite')],
        ['savedmodel', 'DS-CNN', modelBytes('mlperf-tiny/kws_saved_model/saved_model.pb')],
        ['graphdef', 'graph', modelBytes('odd/plain_saved_model.pb')],
      ] as const)
    : []),
];

test.each(seeds.map(([format, name, bytes]) => ({ format, name, bytes })))('$format: $name', ({ format, bytes }) => {
  const random = createRandom(bytes.length);
  const rounds = bytes.length > 20_000 ? PER_SEED / 3 : PER_SEED;
  for (let i = 0; i < rounds; i++) {
    const broken = bytes.slice();
    for (let k = random.int(6); k >= 0; k--) broken[Math.floor(bytes.length * random.next() ** 2)] = random.int(256);
    try {
      convertModel(format, random.int(8) === 0 ? broken.subarray(0, random.int(bytes.length)) : broken);
    } catch (error) {
      if (!(error instanceof CuttleError)) throw error;
      expect(error.message.length).toBeLessThan(2000);
    }
  }
});
