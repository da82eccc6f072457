/** @file What analysis says of real models: task, architecture, identity across formats, training, memory. */
import { describe, expect, test } from 'vitest';
import { analyseModel, readAuditModel, type ModelAnalysis, type ModelFormat } from '../../../src/audit/index.js';
import { nativeHasher } from '../../../src/audit/node.js';
import { haveModels, modelBytes } from '../models.js';
import { architectureOf } from '../../../src/audit/analyse/architecture.js';
import { taskOf } from '../../../src/audit/analyse/task.js';
import { network, read } from './networks.js';

function analysed(name: string, format: ModelFormat = 'tflite', companion?: string, path = name): ModelAnalysis {
  const model = readAuditModel(format, modelBytes(name), {
    ...(companion ? { companion: modelBytes(companion) } : {}),
    inputShapes: { input: [3, 240, 320], data: [3, 224, 224], 'input.1': [3, 320, 320] },
  });
  return analyseModel(model, { path, hasher: nativeHasher });
}

describe.skipIf(!haveModels())('models at hand', () => {
  test.each([
    ['ultraface/version-RFB-320.onnx', 'onnx', 'vision', 'face-detection', 'derived', 'MobileNetV1 + SSD'],
    ['mlperf-tiny/ad01_fp32.tflite', 'tflite', 'sensor', 'anomaly-detection', 'derived', 'autoencoder'],
    ['mlperf-tiny/ad01_int8.tflite', 'tflite', 'sensor', 'anomaly-detection', 'derived', 'autoencoder'],
    ['mlperf-tiny/kws_ref_model.tflite', 'tflite', 'audio', 'keyword-spotting', 'derived', 'DS-CNN'],
    ['mlperf-tiny/kws_saved_model/saved_model.pb', 'savedmodel', 'audio', 'keyword-spotting', 'suspected', 'DS-CNN'],
    ['mlperf-tiny/str_ww_ref_model.tflite', 'tflite', 'audio', 'keyword-spotting', 'derived', 'separable CNN'],
    ['mlperf-tiny/pretrainedResnet.tflite', 'tflite', 'vision', 'image-classification', 'derived', 'ResNet'],
    ['mlperf-tiny/pretrainedResnet.h5', 'keras-h5', 'vision', 'image-classification', 'derived', 'ResNet'],
    ['mlperf-tiny/pretrainedResnet_large_int8.tflite', 'tflite', 'vision', 'image-classification', 'derived', 'ResNet'],
    ['mlperf-tiny/vww_96_int8.tflite', 'tflite', 'vision', 'person-recognition', 'derived', 'MobileNetV1'],
    ['mlperf-tiny/vww_96.h5', 'keras-h5', 'vision', 'person-recognition', 'derived', 'MobileNetV1'],
    [
      'odd/barcode_ssd_mobilenet_v1_dmp25_quant.tflite',
      'tflite',
      'vision',
      'barcode-detection',
      'derived',
      'MobileNetV1 + SSD',
    ],
    ['odd/mobilenet_v2.param', 'ncnn', 'vision', 'image-classification', 'derived', 'MobileNetV2'],
    ['odd/squeezenet.param', 'ncnn', 'vision', 'image-classification', 'derived', 'SqueezeNet'],
    ['odd/nanodet_m.param', 'ncnn', 'vision', 'object-detection', 'suspected', 'ShuffleNet'],
    ['odd/MNIST_Model.mlmodel', 'coreml', 'vision', 'text-recognition', 'observed', 'CNN'],
  ] as const)('%s', (name, format, modality, task, confidence, architecture) => {
    const analysis = analysed(name, format);
    expect(analysis.task).toMatchObject({ value: { modality, task }, confidence });
    expect(analysis.task.evidence.length).toBeGreaterThan(0);
    expect(analysis.architecture?.value).toBe(architecture);
  });

  test('without a telling name only what the structure says is claimed', () => {
    const blind = (name: string, format: ModelFormat = 'tflite'): string =>
      analysed(name, format, undefined, 'assets/model.bin').task.value.task;
    expect(blind('ultraface/RFB-320.mnn', 'mnn')).toBe('object-detection');
    expect(blind('mlperf-tiny/pretrainedResnet.tflite')).toBe('image-classification');
    expect(blind('mlperf-tiny/vww_96_int8.tflite')).toBe('image-classification');
    expect(blind('odd/barcode_ssd_mobilenet_v1_dmp25_quant.tflite')).toBe('object-detection');
    expect(blind('odd/ondevice_inference.tflite')).toBe('unknown');
    expect(blind('odd/nanodet_m.param', 'ncnn')).toBe('unknown');
  });

  test('signatures of training', () => {
    expect(analysed('odd/ondevice_multi_signature.tflite').training).toEqual([
      "the signature 'train'",
      "the signature 'restore'",
      'variables that are assigned',
    ]);
    expect(analysed('mlperf-tiny/vww_96_int8.tflite').training).toEqual([]);
    expect(analysed('odd/MNIST_Model.mlmodel', 'coreml').training).toEqual([
      'the model says that it can be updated on the device',
    ]);
  });

  test('a licence that metadata names', () => {
    expect(analysed('odd/MNIST_Model.mlmodel', 'coreml').licences).toEqual(['MIT']);
  });

  test('int8 activations need a quarter of the memory', () => {
    const [float, int8] = ['vww_96_float', 'vww_96_int8'].map((name) => analysed(`mlperf-tiny/${name}.tflite`));
    // 48×48×8 into 48×48×16, both at once.
    expect(float!.peakActivationBytes).toBe(4 * 48 * 48 * (8 + 16));
    expect(int8!.peakActivationBytes).toBe(48 * 48 * (8 + 16));
  });
});

describe.skipIf(!haveModels())('one network in many formats', () => {
  const of = (name: string, format: ModelFormat, companion?: string) =>
    analysed(`ultraface/${name}`, format, companion && `ultraface/${companion}`).identity;
  const all = () => ({
    onnx: of('version-RFB-320.onnx', 'onnx'),
    tflite: of('version-RFB-320_without_postprocessing.tflite', 'tflite'),
    caffe: of('RFB-320.caffemodel', 'caffe', 'RFB-320.prototxt'),
    ncnn: of('RFB-320.param', 'ncnn', 'RFB-320.bin'),
    mnn: of('RFB-320.mnn', 'mnn'),
  });

  test('signs and skeleton are the same everywhere, weights where nothing was folded anew', () => {
    const { onnx, tflite, caffe, ncnn, mnn } = all();
    for (const each of [tflite, caffe, ncnn, mnn]) {
      expect(each.signs).toBe(onnx.signs);
      expect(each.skeleton).toBe(onnx.skeleton);
      expect(each.layers).toHaveLength(52);
    }
    expect(ncnn.weights).toBe(caffe.weights);
    expect(mnn.weights).toBe(caffe.weights);
    // ONNX keeps normalisations apart; TensorFlow folded them with another rounding.
    expect(new Set([onnx.weights, tflite.weights, caffe.weights]).size).toBe(3);
    // The last layers have no normalisation: their numbers are the same in all.
    const shared = onnx.layers.filter(({ hash }) => caffe.layers.some((layer) => layer.hash === hash));
    expect(shared.length).toBeGreaterThanOrEqual(4);
    expect(new Set([onnx, tflite, caffe, ncnn, mnn].map(({ graph }) => graph)).size).toBe(5);
  });

  test('quantised: the same skeleton, other signs', () => {
    const [float, int8] = [of('RFB-320.mnn', 'mnn'), of('RFB-320-quant-KL-5792.mnn', 'mnn')];
    expect(int8.skeleton).toBe(float.skeleton);
    expect(int8.signs).not.toBe(float.signs);
  });

  test('Keras and TensorFlow Lite, with normalisations apart and folded', () => {
    for (const name of ['pretrainedResnet', 'vww_96'] as const) {
      const keras = analysed(`mlperf-tiny/${name}.h5`, 'keras-h5').identity;
      const lite = analysed(`mlperf-tiny/${name === 'vww_96' ? 'vww_96_float' : name}.tflite`).identity;
      expect(lite.signs).toBe(keras.signs);
      expect(lite.skeleton).toBe(keras.skeleton);
    }
  });

  test('the portable hash gives the same', () => {
    const model = readAuditModel('mnn', modelBytes('ultraface/RFB-320.mnn'));
    expect(analyseModel(model, { path: 'x' }).identity).toEqual(
      analyseModel(model, { path: 'x', hasher: nativeHasher }).identity,
    );
  });
});

describe('architectures of the zoo', () => {
  test.each([
    ['resnet-8', 'ResNet'],
    ['resnet-20', 'ResNet'],
    ['vgg-11', 'VGG'],
    ['mobilenet-v2-0.25', 'MobileNetV2'],
    ['lenet-5', 'CNN'],
  ])('%s', (name, architecture) => {
    const model = read(network(name));
    expect(architectureOf(model)?.value).toBe(architecture);
    expect(taskOf(model, { path: 'm' }).value.modality).toBe('vision');
  });
});
