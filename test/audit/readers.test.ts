/** @file Models at hand against what their formats' own packages say of them, and one network in several formats. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readAuditModel, type AuditModel, type ModelFormat } from '../../src/audit/index.js';
import { haveModels, modelBytes } from './models.js';

interface Recorded {
  readonly operators?: Readonly<Record<string, number>>;
  readonly weights?: Readonly<Record<string, number>>;
  readonly macs?: number;
  readonly params?: number;
  readonly inputs?: readonly (readonly [name: string, dtype: string])[];
  readonly first?: readonly number[];
}

// Recorded by test/oracles/record-audit-models.py.
const recorded = JSON.parse(
  readFileSync(resolve(import.meta.dirname, '../fixtures/audit-models.json'), 'utf8'),
) as Readonly<Record<string, Recorded>>;

const formats: Readonly<Record<string, ModelFormat>> = {
  tflite: 'tflite',
  h5: 'keras-h5',
  mlmodel: 'coreml',
  onnx: 'onnx',
};

function read(name: string, format?: ModelFormat): AuditModel {
  return readAuditModel(format ?? formats[name.slice(name.lastIndexOf('.') + 1)]!, modelBytes(name));
}

function counted<T>(
  items: readonly T[],
  key: (item: T) => string,
  amount: (item: T) => number = () => 1,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[key(item)] = (counts[key(item)] ?? 0) + amount(item);
  return counts;
}

describe.skipIf(!haveModels())('against the packages of the formats', () => {
  const named = (ending: string): string[] => Object.keys(recorded).filter((name) => name.endsWith(ending));

  test.each(named('.tflite'))('%s', (name) => {
    const model = read(name);
    const expected = recorded[name]!;
    expect(counted(model.layers, ({ op }) => op)).toEqual(expected.operators);
    const weighted = model.layers.filter(({ family }) => /convolution|dense/.test(family));
    const weights = weighted.flatMap((layer) => layer.weights.filter(({ learned }) => learned));
    expect(
      counted(
        weights,
        ({ dtype }) => dtype,
        ({ size }) => size,
      ),
    ).toEqual(expected.weights);
    expect(model.inputs.map((input) => [input.name, input.dtype])).toEqual(expected.inputs);
    // The package knows no batch between SPACE_TO_BATCH_ND and its inverse.
    if (expected.operators!['SPACE_TO_BATCH_ND'] === undefined) expect(model.totals.macs).toBe(expected.macs);
    for (const weight of weights) expect(weight.bytes!.length).toBeGreaterThanOrEqual(weight.size / 2);
  });

  test.each(named('.h5'))('%s', (name) => {
    const model = read(name);
    const weights = model.layers.flatMap((layer) => layer.weights);
    expect(
      counted(
        weights,
        (weight) => `${weight.name}:0`,
        ({ size }) => size,
      ),
    ).toEqual(recorded[name]!.weights);
    const first = weights.find((weight) => weight.name === 'kernel')!;
    expect([...new Float32Array(first.bytes!.slice(0, 12).buffer)]).toEqual(recorded[name]!.first);
  });

  test.each([...named('.mlmodel'), ...named('.onnx')])('%s', (name) => {
    const model = read(name);
    expect(counted(model.layers, ({ op }) => op)).toEqual(recorded[name]!.operators);
    if (recorded[name]!.params !== undefined) expect(model.totals.params).toBe(recorded[name]!.params);
  });
});

describe.skipIf(!haveModels())('one network in several formats', () => {
  test.each([
    [
      'ResNet-8',
      12_501_632,
      77_706,
      ['pretrainedResnet.h5', 'pretrainedResnet.tflite', 'pretrainedResnet_quant.tflite'],
    ],
    ['MobileNet 0.25', 7_489_664, 210_850, ['vww_96.h5', 'vww_96_float.tflite', 'vww_96_int8.tflite']],
    [
      'DS-CNN',
      2_656_768,
      22_604,
      ['kws_saved_model/saved_model.pb', 'kws_ref_model.tflite', 'kws_ref_model_float32.tflite'],
    ],
  ])('%s', (_, macs, params, names) => {
    for (const name of names)
      expect(read(`mlperf-tiny/${name}`, name.endsWith('.pb') ? 'savedmodel' : undefined).totals, name).toMatchObject({
        macs,
        params,
      });
  });

  test('int8 and float exports differ in their quantisation', () => {
    expect(read('mlperf-tiny/vww_96_int8.tflite').quantisation).toMatchObject({ scheme: 'full', perChannelLayers: 27 });
    expect(read('mlperf-tiny/vww_96_float.tflite').quantisation.scheme).toBe('none');
  });

  test('kernels of Keras and TensorFlow Lite without a normalisation hold the same numbers', () => {
    const dense = (model: AuditModel): number[] => {
      const weight = model.layers
        .findLast(({ family }) => family === 'dense')!
        .weights.find(({ shape }) => shape.length === 2)!;
      return [...new Float32Array(weight.bytes!.slice().buffer)].sort((a, b) => a - b);
    };
    expect(dense(read('mlperf-tiny/pretrainedResnet.h5'))).toEqual(dense(read('mlperf-tiny/pretrainedResnet.tflite')));
  });
});

describe.skipIf(!haveModels())('odd files', () => {
  test('a frozen graph of dense layers', () => {
    const { totals, layers } = read('odd/plain_saved_model.pb', 'graphdef');
    expect(totals).toMatchObject({ macs: 784 * 256 + 256 * 256 + 256 * 10, params: 269_322 });
    expect(layers.length).toBeGreaterThan(3);
  });

  test('an ncnn network that holds more layers than it declares', () => {
    expect(read('odd/nanodet_m.param', 'ncnn').notes).toEqual(['it declares 179 layers and holds 180']);
  });

  test('several sub-graphs and signatures', () => {
    const model = read('odd/ondevice_multi_signature.tflite');
    expect(model.signatures).toHaveLength(8);
    expect(new Set(model.layers.map(({ graph }) => graph)).size).toBeGreaterThan(4);
    expect(model.notes).toHaveLength(1);
  });
});
