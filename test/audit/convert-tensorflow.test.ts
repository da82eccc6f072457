/** @file A SavedModel and a frozen graph as ONNX: outputs against TensorFlow's. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { convertibleFormat, convertModel, type Checkpoint } from '../../src/audit/index.js';
import { distances, recordedRuns } from './converted.js';
import { haveModels, modelBytes } from './models.js';

// Recorded by test/oracles/record-audit-tensorflow.py.
const runs = recordedRuns('convert-tensorflow.json');
const folder = 'mlperf-tiny/kws_saved_model';

const checkpoint = (): Checkpoint => ({
  index: modelBytes(`${folder}/variables/variables.index`),
  shards: [modelBytes(`${folder}/variables/variables.data-00000-of-00001`)],
});

describe.skipIf(!haveModels())('TensorFlow graphs', () => {
  test.each([
    [folder, `${folder}/saved_model.pb`, 'savedmodel'],
    ['odd/plain_saved_model.pb', 'odd/plain_saved_model.pb', 'graphdef'],
  ])('%s', async (name, file, format) => {
    const bytes = modelBytes(file);
    expect(convertibleFormat(bytes)).toBe(format);
    const { model } = convertModel(convertibleFormat(bytes)!, bytes, {
      checkpoint: checkpoint(),
      inputLayout: 'stated',
    });
    for (const distance of await distances(model, runs[name]!)) {
      expect(distance.shape).toEqual(distance.expectedShape);
      expect(distance.largest).toBeLessThan(1e-4);
    }
  });

  test('a bias joins its convolution, a picture goes in channels first', () => {
    const { model, signature } = convertModel('savedmodel', modelBytes(`${folder}/saved_model.pb`), {
      checkpoint: checkpoint(),
    });
    expect(signature).toBe('serving_default');
    expect(model.graph.inputs[0]!.type).toMatchObject({ shape: ['batch', 1, 49, 10] });
    expect(model.graph.nodes.filter(({ op }) => op === 'Conv').every(({ inputs }) => inputs.length === 3)).toBe(true);
  });

  test('without its variables a SavedModel is refused', () => {
    expect(() => convertModel('savedmodel', modelBytes(`${folder}/saved_model.pb`))).toThrow(/variables/);
  });

  test('broken checkpoints are refused, not crashed on', () => {
    const { index, shards } = checkpoint();
    const bytes = modelBytes(`${folder}/saved_model.pb`);
    for (const broken of [
      { index: index.subarray(0, 40), shards },
      { index: index.slice(10), shards },
      { index, shards: [shards[0]!.subarray(0, 1000)] },
      { index, shards: [] },
    ])
      expect(() => convertModel('savedmodel', bytes, { checkpoint: broken })).toThrow(
        expect.objectContaining({ kind: 'invalid' }),
      );
  });

  test('ONNX files and others are none of these formats', () => {
    const onnx = new Uint8Array(readFileSync(resolve(import.meta.dirname, '../fixtures/lenet.onnx')));
    expect(convertibleFormat(onnx)).toBeUndefined();
    expect(convertibleFormat(modelBytes('odd/encrypted_saved_model.pb'))).toBeUndefined();
    expect(convertibleFormat(new Uint8Array(100))).toBeUndefined();
  });
});
