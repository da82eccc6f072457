/** @file Broken and hostile models end in a branded error or in a model, never in another exception, a hang or unbounded memory. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findModels, readAuditModel, type ModelFormat, type ReadOptions } from '../../src/audit/index.js';
import { CuttleError } from '../../src/ir/index.js';
import { createRandom, type Random } from '../../src/platform/index.js';
import { defaultReadLimits } from '../../src/audit/read/limits.js';
import { field, varint } from '../onnx/wire.js';
import { haveModels, modelBytes } from './models.js';

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const PER_FORMAT = Number(process.env['CUTTLE_FUZZ'] ?? 300);

/** Reads; anything thrown must be branded, invalid or unsupported, and one bounded line. */
function survives(format: ModelFormat, bytes: Uint8Array, options: ReadOptions = {}): void {
  try {
    const { totals } = readAuditModel(format, bytes, options);
    for (const value of Object.values(totals)) if (value !== null) expect(Number.isFinite(value)).toBe(true);
  } catch (error) {
    if (!(error instanceof CuttleError)) throw error;
    expect(['invalid', 'unsupported']).toContain(error.kind);
    expect(error.message).not.toContain('\n');
    expect(error.message.length).toBeLessThan(600);
  }
}

/** One of: a cut, some bytes replaced, a 32-bit word replaced by an extreme, a piece doubled or dropped. Early bytes more often. */
function mutated(seed: Uint8Array, random: Random): Uint8Array {
  const near = (): number => Math.floor(seed.length * random.next() ** 3);
  switch (random.int(5)) {
    case 0:
      return seed.slice(0, near());
    case 1: {
      const bytes = seed.slice();
      for (let i = random.int(8); i >= 0; i--) bytes[near()] = random.int(256);
      return bytes;
    }
    case 2: {
      const bytes = seed.slice();
      const at = Math.min(near(), Math.max(0, bytes.length - 4)) & ~3;
      const value = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, bytes.length, bytes.length - 4][random.int(7)]!;
      if (bytes.length >= at + 4) new DataView(bytes.buffer).setUint32(at, value, true);
      return bytes;
    }
    case 3: {
      const [from, to] = [near(), near()];
      return new Uint8Array(
        Buffer.concat([
          seed.subarray(0, from),
          seed.subarray(Math.min(from, to), Math.max(from, to)),
          seed.subarray(from),
        ]),
      );
    }
    default: {
      const from = near();
      return new Uint8Array(Buffer.concat([seed.subarray(0, from), seed.subarray(from + 1 + random.int(16))]));
    }
  }
}

const KERAS = {
  class_name: 'Functional',
  config: {
    name: 'm',
    layers: [
      { class_name: 'InputLayer', name: 'in', config: { batch_input_shape: [null, 8, 8, 3] }, inbound_nodes: [] },
      {
        class_name: 'Conv2D',
        name: 'c',
        config: { filters: 4, kernel_size: [3, 3], strides: [2, 2], padding: 'same', use_bias: true },
        inbound_nodes: [[['in', 0, 0, {}]]],
      },
      { class_name: 'Flatten', name: 'f', config: {}, inbound_nodes: [[['c', 0, 0, {}]]] },
      { class_name: 'Dense', name: 'd', config: { units: 5 }, inbound_nodes: [[['f', 0, 0, {}]]] },
    ],
    output_layers: [['d', 0, 0]],
  },
};
const layersModel = text(
  JSON.stringify({
    format: 'layers-model',
    modelTopology: { keras_version: '2.4', model_config: KERAS },
    weightsManifest: [],
  }),
);
const size = (...dims: number[]): object => ({ shape: { dim: dims.map((dim) => ({ size: String(dim) })) } });
const graphModel = text(
  JSON.stringify({
    format: 'graph-model',
    convertedBy: 'a converter',
    modelTopology: {
      node: [
        { name: 'x', op: 'Placeholder', attr: { shape: size(-1, 8, 8, 3), dtype: { type: 'DT_FLOAT' } } },
        { name: 'w', op: 'Const', attr: {} },
        {
          name: 'y',
          op: 'Conv2D',
          input: ['x', 'w'],
          attr: { strides: { list: { i: ['1', '1', '1', '1'] } }, padding: { s: btoa('VALID') } },
        },
      ],
    },
    weightsManifest: [{ paths: ['g'], weights: [{ name: 'w', shape: [3, 3, 3, 4], dtype: 'float32' }] }],
  }),
);

const nothing = new Uint8Array();
const atHand = (name: string): Uint8Array => (haveModels() ? modelBytes(name) : nothing);
const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(resolve(import.meta.dirname, '../fixtures/audit', name)));
const seeds: readonly (readonly [format: ModelFormat, seed: Uint8Array, options?: ReadOptions])[] = [
  ['tfjs-layers', layersModel],
  ['tfjs-graph', graphModel],
  ['tflite', atHand('odd/ondevice_inference.tflite')],
  ['tflite', atHand('mlperf-tiny/kws_ref_model.tflite')],
  ['mnn', atHand('ultraface/RFB-320-quant-KL-5792.mnn')],
  ['caffe-prototxt', atHand('ultraface/RFB-320.prototxt')],
  ['ncnn', atHand('odd/nanodet_m.param')],
  ['ncnn', atHand('ultraface/RFB-320.param'), { companion: atHand('ultraface/RFB-320.bin').slice(0, 70_000) }],
  ['caffe', atHand('ultraface/RFB-320.caffemodel').slice(0, 60_000)],
  ['graphdef', atHand('odd/plain_saved_model.pb')],
  ['savedmodel', atHand('mlperf-tiny/kws_saved_model/saved_model.pb').slice(0, 200_000)],
  ['keras-h5', atHand('mlperf-tiny/pretrainedResnet.h5')],
  ['coreml', atHand('odd/MNIST_Model.mlmodel')],
  ['ort', fixture('ort/net-plain.ort')],
  ['ort-checkpoint', fixture('ort/checkpoint')],
  ['coreml', fixture('mlprogram/full.mlmodel'), { companion: fixture('mlprogram/full.weight.bin') }],
  ['keras', fixture('weights/model.keras')],
  ['safetensors', fixture('weights/model.safetensors')],
  ['gguf', fixture('weights/model.gguf')],
  ['paddle', fixture('paddle/net.pdmodel'), { companion: fixture('paddle/net.pdiparams') }],
  ['paddle-lite', fixture('paddle/net.nb')],
  ['pytorch', fixture('torch/state-legacy.pt')],
  ['pytorch', fixture('torch/mixed.pt')],
  ['torchscript', fixture('torch/frozen.pt')],
  ['pytorch-mobile', fixture('torch/mobile.ptl')],
  ['pytorch-mobile', fixture('torch/mobile-flat.ptl')],
];

describe('hostile models', () => {
  test.each(seeds.filter(([, seed]) => seed.length > 0).map(([format, seed, options]) => ({ format, seed, options })))(
    '$format',
    { timeout: 120_000 },
    ({ format, seed, options }) => {
      const random = createRandom(seed.length);
      // Large seeds cost more per reading: fewer of them.
      const rounds = seed.length > 100_000 ? PER_FORMAT / 4 : PER_FORMAT;
      for (let i = 0; i < rounds; i++) {
        let bytes = mutated(seed, random);
        if (random.int(3) === 0) bytes = mutated(bytes.length > 0 ? bytes : seed, random);
        survives(format, bytes, options);
      }
    },
  );

  test('noise in every format', async () => {
    const random = createRandom(7);
    for (let i = 0; i < 300; i++) {
      const bytes = Uint8Array.from({ length: random.int(400) }, () => random.int(256) >> random.int(6));
      for (const [format] of seeds) survives(format, bytes);
      await findModels({ path: 'noise', bytes });
    }
  });

  test('mutated files are searched without an exception', async () => {
    const random = createRandom(11);
    for (const [, seed] of seeds)
      if (seed.length > 0 && seed.length < 60_000)
        for (let i = 0; i < 10; i++) await findModels({ path: 'x.bin', bytes: mutated(seed, random) });
  });
});

describe('bombs', () => {
  test('tables that share one offset a million times', () => {
    // A root whose vector of sub-graphs points at itself over and over.
    const count = 200_000;
    const bytes = new Uint8Array(64 + 4 * count);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 24, true);
    bytes.set(text('TFL3'), 4);
    view.setUint16(8, 10, true);
    view.setUint16(10, 12, true);
    view.setUint16(16, 4, true);
    view.setInt32(24, 16, true);
    view.setUint32(28, 8, true);
    view.setUint32(36, count, true);
    for (let i = 0; i < count; i++) view.setUint32(40 + 4 * i, 2 ** 32 - 16 - 4 * i, true);
    survives('tflite', bytes);
    survives('mnn', bytes);
  });

  test('messages nested a hundred thousand deep', () => {
    let bytes: Uint8Array = varint(0n);
    for (let i = 0; i < 2000; i++) bytes = field(1, 2, bytes);
    for (const format of ['graphdef', 'savedmodel', 'caffe', 'coreml'] as const) survives(format, bytes);
    survives('caffe-prototxt', text('layer {'.repeat(100_000)));
  });

  test('dims whose product is beyond a number', () => {
    survives(
      'ncnn',
      text(
        '7767517\n2 2\nInput in 0 1 a 0=999999999 1=999999999 2=999999999\nConvolution c 1 1 a b 0=999999999 1=3 6=999999999\n',
      ),
    );
    survives(
      'caffe-prototxt',
      text('layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 9e15 dim: 9e15 } } }'),
    );
  });

  test('functions that call themselves', () => {
    const call = { name: 'c', op: 'PartitionedCall', input: ['x'], attr: { f: { func: { name: 'f' } } } };
    const fn = {
      signature: { name: 'f', inputArg: [{ name: 'x' }], outputArg: [{ name: 'y' }] },
      nodeDef: [call, { ...call, name: 'd' }],
      ret: { y: 'c:0' },
    };
    survives('tfjs-graph', text(JSON.stringify({ modelTopology: { node: [call], library: { function: [fn] } } })));
  });

  test('limits are the caller’s to lower', () => {
    const limits = { ...defaultReadLimits, maxFileBytes: 1000, maxItems: 10, maxLayers: 1, maxDepth: 2, maxRank: 4 };
    expect(() =>
      readAuditModel('ncnn', text('7767517\n1 1\nInput a 0 1 b 0=1 1=1 2=1\nReLU r 1 1 b c\n'), { limits }),
    ).toThrow(CuttleError);
  });
});

describe('TensorFlow.js', () => {
  test('layers and graph models', () => {
    const layers = readAuditModel('tfjs-layers', layersModel);
    expect(layers.totals).toMatchObject({ macs: 4 * 4 * 4 * 27 + 64 * 5, params: 27 * 4 + 4 + 64 * 5 + 5 });
    const graph = readAuditModel('tfjs-graph', graphModel);
    expect(graph.totals).toMatchObject({ macs: 6 * 6 * 4 * 27, params: 108 });
  });
});
