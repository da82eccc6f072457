/** @file One network in every format it was exported to: the same parameters, MACs and convolutions. */
import { describe, expect, test } from 'vitest';
import { readAuditModel, type ModelFormat, type ReadOptions } from '../../src/audit/index.js';
import { haveModels, modelBytes } from './models.js';

const MACS = 100_418_560;
const PARAMS = 273_888;

const file = (name: string): Uint8Array => modelBytes(`ultraface/${name}`);

const exports: [name: string, format: ModelFormat, options?: () => ReadOptions][] = [
  ['version-RFB-320.onnx', 'onnx'],
  ['version-RFB-320_without_postprocessing.onnx', 'onnx'],
  ['version-RFB-320_without_postprocessing.tflite', 'tflite'],
  ['RFB-320.prototxt', 'caffe-prototxt'],
  ['RFB-320.prototxt', 'caffe-prototxt', () => ({ companion: file('RFB-320.caffemodel') })],
  ['RFB-320.caffemodel', 'caffe'],
  ['RFB-320.caffemodel', 'caffe', () => ({ companion: file('RFB-320.prototxt') })],
  // ncnn's text does not say how large the input is.
  ['RFB-320.param', 'ncnn', () => ({ companion: file('RFB-320.bin'), inputShapes: { input: [3, 240, 320] } })],
  ['RFB-320.mnn', 'mnn'],
  ['RFB-320-quant-ADMM-32.mnn', 'mnn'],
  ['RFB-320-quant-KL-5792.mnn', 'mnn'],
];

describe.skipIf(!haveModels())('UltraFace', () => {
  test.each(exports.map(([name, format, options]) => ({ name, format, options })))(
    '$name as $format',
    ({ name, format, options }) => {
      const model = readAuditModel(format, file(name), options?.() ?? {});
      expect(model.format).toBe(format);
      expect(model.totals).toMatchObject({ macs: MACS, params: PARAMS, uncountedLayers: 0 });
      const convolutions = model.layers.filter(({ family }) => /convolution/.test(family));
      expect(convolutions).toHaveLength(52);
      expect(convolutions.filter(({ family }) => family === 'depthwise-convolution').length).toBeOneOf([0, 18]);
      expect(model.layers.filter(({ family }) => family === 'other')).toEqual([]);
      expect(model.inputs).toHaveLength(1);
      expect(model.outputs).toHaveLength(2);
      expect([...model.inputs[0]!.shape!].sort()).toEqual(expect.arrayContaining([240, 3, 320]));
      expect(model.notes).toEqual([]);
    },
  );

  test('the checkpoint that all of them were made from: the same parameters, no graph', () => {
    const { totals, layers, notes } = readAuditModel('pytorch', file('version-RFB-320.pth'));
    expect(totals).toMatchObject({ macs: null, params: PARAMS });
    expect(layers.filter(({ family }) => /convolution/.test(family))).toHaveLength(52);
    expect(layers.filter(({ family }) => family === 'depthwise-convolution')).toHaveLength(18);
    expect(notes).toEqual([expect.stringContaining('MACs are not known')]);
  });

  test('the largest kernel holds the same numbers in ONNX-born formats', () => {
    const kernel = (name: string, format: ModelFormat, companion?: string): Float32Array => {
      const model = readAuditModel(format, file(name), companion ? { companion: file(companion) } : {});
      const weight = model.layers.flatMap(({ weights }) => weights).find(({ size }) => size === 27_648)!;
      return new Float32Array(weight.bytes!.slice().buffer);
    };
    const onnx = kernel('version-RFB-320.onnx', 'onnx');
    expect(kernel('RFB-320.caffemodel', 'caffe')).toEqual(onnx);
    expect(kernel('RFB-320.mnn', 'mnn')).toEqual(onnx);
    expect(kernel('RFB-320.param', 'ncnn', 'RFB-320.bin')).toEqual(onnx);
  });

  test('says what is quantised', () => {
    const scheme = (name: string, format: ModelFormat) => readAuditModel(format, file(name)).quantisation.scheme;
    expect(scheme('RFB-320.mnn', 'mnn')).toBe('none');
    expect(scheme('RFB-320-quant-KL-5792.mnn', 'mnn')).toBe('full');
  });
});
