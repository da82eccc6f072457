/** @file Models are found by content: whole, renamed, hidden, inside other bytes; and nothing is found in ordinary files. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deflateSync, zipSync, zlibSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { findModels, walkArchive, bytesSource, type Finding } from '../../src/audit/index.js';
import { createRandom } from '../../src/platform/index.js';
import { haveModels, modelBytes } from './models.js';

const find = (path: string, bytes: Uint8Array): Promise<readonly Finding[]> => findModels({ path, bytes });
const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const noise = (length: number, seed = 1): Uint8Array => {
  const random = createRandom(seed);
  return Uint8Array.from({ length }, () => random.int(256));
};
const words = (...values: readonly (number | string)[]): Uint8Array =>
  joined(
    ...values.map((value) => {
      if (typeof value === 'string') return Uint8Array.from(value, (sign) => sign.charCodeAt(0));
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, value, true);
      return bytes;
    }),
  );
/** A FlatBuffer with one field in its root table, under an identifier. */
const flatbuffer = (identifier: string): Uint8Array =>
  joined(words(16, identifier), Uint8Array.of(6, 0, 8, 0, 4, 0, 0, 0), words(8, 7), new Uint8Array(64));

/** A field of a protobuf message, shorter than 128 bytes. */
const field = (number: number, ...parts: readonly Uint8Array[]): Uint8Array => {
  const content = joined(...parts);
  return joined(Uint8Array.of(number * 8 + 2, content.length), content);
};
/** A graph of MediaPipe in binary: one node. */
function graphConfig(name: string, calculator: string, stream: string): Uint8Array {
  const node = [...(name ? [field(1, text(name))] : []), field(2, text(calculator)), field(3, text(stream))];
  return joined(field(1, ...node), field(10, text(stream)));
}

/** What each format begins with, as its own tools write it. */
const heads: readonly (readonly [format: string, bytes: Uint8Array, path?: string])[] = [
  ['ort', flatbuffer('ORTM')],
  ['executorch', flatbuffer('ET12')],
  ['pytorch-mobile', flatbuffer('PTMF')],
  ['mindspore', flatbuffer('MSL2')],
  ['litert-lm', words('LITERTLM', 1, 4, 0)],
  ['gguf', words('GGUF', 3, 2, 0, 5, 0, 'rest')],
  ['rknn', words('RKNN', 4, new Array(20).fill('pad ').join(''))],
  ['rknn', words('CYPTRKNN', 'x'.repeat(64))],
  ['om', words('IMOD', 256, '\0'.repeat(300))],
  ['sensetime', words('STEF', '\x01'.repeat(2000))],
  ['dlc', words('NETD', '\0'.repeat(80))],
  ['tnn', Uint8Array.of(2, 0, 0xbc, 0xfa, 1, 0, 0, 0, 0)],
  ['tnn', text('"1 83 1 4206624770 ,"\n"input 4 1 3 224 224 0 ,"\n')],
  ['mxnet', words(0x112, 0, 0, 0, 3, 0, 0, 0)],
  ['mxnet', text('{"nodes": [{"op": "null", "name": "data", "inputs": []}], "arg_nodes": [0], "heads": [[0, 0, 0]]}')],
  ['paddle-lite', joined(Uint8Array.of(1, 0), text('v2.10-rc\0\0\0\0\0\0\0\0'), words(32, 0), new Uint8Array(64))],
  ['tengine', joined(Uint8Array.of(2, 0, 0, 0), new Uint8Array(80)), 'a.tmfile'],
  ['coreml-package', joined(words(2, 2), new Uint8Array(56), words(0xdeadbeef), new Uint8Array(60))],
  ['coreml-package', text('{"fileFormatVersion": "1.0.0", "itemInfoEntries": {}, "rootModelIdentifier": "A"}')],
  ['coreml-compiled', text('program(1.0)\n{\n func main<ios16>(tensor<fp32, [1]> x) { } -> (y);\n}\n')],
  ['openvino', text('<?xml version="1.0"?>\n<net name="a" version="10">\n<layers></layers></net>')],
  ['mediapipe-graph', text('input_stream: "in"\nnode {\n calculator: "PassThrough"\n input_stream: "in"\n}\n')],
  [
    'safetensors',
    joined(words(60, 0), text('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(60)), words(0)),
  ],
  ['pytorch', Uint8Array.of(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e)],
  ['tfjs-layers', text('{"format": "layers-model", "modelTopology": {"model_config": {}}, "weightsManifest": []}')],
  [
    'tfjs-weights',
    text('[{"weights": [{"name": "conv/filters", "shape": [3, 3], "dtype": "float32"}], "paths": ["a.bin"]}]'),
  ],
  ['mediapipe-graph', graphConfig('', 'ImageCroppingCalculator', 'IMAGE:frames')],
  ['mediapipe-graph', graphConfig('name', 'FaceDetectionCalculator', 'frames')],
  ['ncnn-weights', joined(words(0x01306b47), new Uint8Array(128))],
];

describe('signatures', () => {
  test.each(heads.map(([format, bytes, path]) => ({ format, bytes, path: path ?? 'assets/blob' })))(
    '$format at $path',
    async ({ format, bytes, path }) => {
      const found = await find(path, bytes);
      expect(found.map((each) => each.format)).toEqual([format]);
      expect(found[0]!.evidence.length).toBeGreaterThan(0);
    },
  );

  test.each([
    ['torchscript', ['m/data.pkl', 'm/constants.pkl', 'm/code/__torch__.py']],
    ['pytorch-mobile', ['m/data.pkl', 'm/bytecode.pkl', 'm/constants.pkl']],
    ['pytorch', ['archive/data.pkl', 'archive/data/0', 'archive/version']],
    ['keras', ['config.json', 'metadata.json', 'model.weights.h5']],
    ['dlc', ['model', 'model.params', 'dlc.metadata']],
    ['coreml-package', ['a.mlpackage/Manifest.json', 'a.mlpackage/Data/com.apple.CoreML/model.mlmodel']],
    ['mediapipe-task', ['face_detector.tflite', 'face_landmarks.tflite']],
  ])('%s bundle', async (format, names) => {
    const zip = zipSync(Object.fromEntries(names.map((name) => [name, new Uint8Array(4)])));
    expect((await find('assets/blob', zip)).map((each) => each.format)).toEqual([format]);
  });

  test('an ordinary archive is no bundle', async () => {
    expect(await find('a.zip', zipSync({ 'AndroidManifest.xml': noise(40), 'assets/a.tflite': noise(40) }))).toEqual(
      [],
    );
  });
});

describe.skipIf(!haveModels())('disguises', () => {
  const tflite = haveModels() ? modelBytes('mlperf-tiny/kws_ref_model.tflite') : new Uint8Array();
  const onnx = haveModels() ? modelBytes('ultraface/version-RFB-320.onnx') : new Uint8Array();

  test.each([
    ['ultraface/RFB-320.mnn', 'mnn'],
    ['ultraface/RFB-320.caffemodel', 'caffe'],
    ['ultraface/RFB-320.prototxt', 'caffe-prototxt'],
    ['ultraface/RFB-320.param', 'ncnn'],
    ['ultraface/version-RFB-320.pth', 'pytorch'],
    ['ultraface/version-RFB-320.onnx', 'onnx'],
    ['mlperf-tiny/ad01_int8.tflite', 'tflite'],
    ['mlperf-tiny/vww_96.h5', 'keras-h5'],
    ['mlperf-tiny/kws_saved_model/saved_model.pb', 'savedmodel'],
    ['odd/plain_saved_model.pb', 'graphdef'],
    ['odd/MNIST_Model.mlmodel', 'coreml'],
  ])('%s without its name', async (name, format) => {
    const found = await find('assets/0a1b2c', modelBytes(name));
    expect(found.map((each) => each.format)).toEqual([format]);
    expect(found[0]!.confidence).not.toBe('suspected');
  });

  test('inside other bytes, more than one', async () => {
    const [before, between] = [noise(100_003), noise(70_001, 2)];
    const found = await find('lib/libapp.so', joined(before, tflite, between, onnx, noise(5000, 3)));
    expect(found.map(({ format, offset, disguise }) => ({ format, offset, disguise }))).toEqual([
      { format: 'tflite', offset: before.length, disguise: 'embedded' },
      { format: 'onnx', offset: before.length + tflite.length + between.length, disguise: 'embedded' },
    ]);
    expect(found[1]!.length).toBe(onnx.length);
    expect(found[0]!.model!().totals.macs).toBe(2_656_768);
  });

  test('behind one repeated byte', async () => {
    const found = await find(
      'model.bin',
      tflite.map((byte) => byte ^ 0x5a),
    );
    expect(found[0]).toMatchObject({ format: 'tflite', disguise: 'xor', confidence: 'observed' });
    expect(found[0]!.model!().layers).toHaveLength(13);
  });

  test.each([
    ['onnx', 'ultraface/version-RFB-320.onnx', 0xff],
    ['keras-h5', 'mlperf-tiny/pretrainedResnet.h5', 0x01],
    ['ncnn', 'ultraface/RFB-320.param', 0x80],
  ] as const)('behind one repeated byte: %s', async (format, name, key) => {
    const [found] = await find(
      'x',
      modelBytes(name).map((byte) => byte ^ key),
    );
    expect(found).toMatchObject({ format, disguise: 'xor', confidence: 'observed' });
  });

  test('as text, alone and between quotes', async () => {
    const encoded = Buffer.from(tflite).toString('base64');
    const lines = encoded.replace(/.{76}/g, '$&\n');
    for (const [before, body, behind] of [
      ['', encoded, ''],
      ['', lines, ''],
      ['export default "', encoded, '";'],
      [`{"a": "${'A'.repeat(2000)}", "model": "data:application/octet-stream;base64,`, encoded, '"}'],
    ] as const) {
      const [found] = await find('x.js', text(before + body + behind));
      expect(found).toMatchObject({ format: 'tflite', disguise: 'base64', offset: before.length });
    }
  });

  test('in deflated data without a frame', async () => {
    expect((await find('blob', deflateSync(tflite)))[0]).toMatchObject({ format: 'tflite', disguise: 'deflate' });
    expect(await find('blob', deflateSync(text('plain text, again and again. '.repeat(9000))))).toEqual([]);
  });

  test('packed one behind the other, without anything before them', async () => {
    const found = await find('assets.data', joined(tflite, modelBytes('mlperf-tiny/ad01_int8.tflite'), noise(50)));
    expect(found.map(({ format, offset, disguise }) => [format, offset, disguise])).toEqual([
      ['tflite', 0, 'embedded'],
      ['tflite', tflite.length, 'embedded'],
    ]);
    expect(found[0]!.length).toBe(tflite.length);
    // Numbers behind a model are no second one.
    expect(await find('assets.data', joined(tflite, noise(50_000)))).toHaveLength(1);
  });

  test('inside other bytes, in formats without a signature', async () => {
    const names = {
      caffe: 'ultraface/RFB-320.caffemodel',
      'caffe-prototxt': 'ultraface/RFB-320.prototxt',
      ncnn: 'ultraface/RFB-320.param',
      graphdef: 'odd/plain_saved_model.pb',
      savedmodel: 'mlperf-tiny/kws_saved_model/saved_model.pb',
      coreml: 'odd/MNIST_Model.mlmodel',
    };
    for (const [format, name] of Object.entries(names)) {
      const model = modelBytes(name);
      const [found, ...more] = await find('x', joined(noise(5000, 8), model, noise(900, 9)));
      expect([found?.format, found?.offset, found?.disguise, more], format).toEqual([format, 5000, 'embedded', []]);
      // A byte of what follows may look like one more field.
      expect(found!.length - model.length, format).toBeLessThan(8);
      expect(found!.length, format).toBeGreaterThanOrEqual(model.length - 2);
    }
  });

  test('in a zlib stream', async () => {
    expect((await find('blob', zlibSync(tflite)))[0]).toMatchObject({ format: 'tflite', disguise: 'zlib' });
  });

  test('encrypted, by entropy and name', async () => {
    const [found] = await find('assets/saved_model.pb', modelBytes('odd/encrypted_saved_model.pb'));
    expect(found).toMatchObject({ format: 'unknown', confidence: 'suspected', disguise: 'encrypted' });
    expect(await find('assets/random.dat', noise(50_000))).toEqual([]);
  });

  test('in archives of archives under other names', async () => {
    const inner = zipSync({ 'x.dat': tflite });
    const found: Finding[] = [];
    await walkArchive(bytesSource(zipSync({ 'assets/pack.dm': inner })), 'app.apk', {
      visit: async ({ path, source }) => void found.push(...(await findModels({ path, source }))),
    });
    expect(found.map(({ format, path }) => [format, path])).toEqual([['tflite', 'app.apk!/assets/pack.dm!/x.dat']]);
  });

  test('a cut file is told as one', async () => {
    const [found] = await find('a.tflite', tflite.slice(0, 20_000));
    expect(found).toMatchObject({ format: 'tflite', confidence: 'suspected' });
  });

  test('a model too large to be read is still told', async () => {
    const [found] = await findModels(
      { path: 'a', bytes: joined(tflite, new Uint8Array(2 << 20)) },
      { maxModelBytes: 1 << 20 },
    );
    expect(found).toMatchObject({ format: 'tflite', confidence: 'derived' });
    expect(found!.model).toBeUndefined();
  });
});

test('files made to lead astray cost little', { timeout: 60_000 }, async () => {
  const patterns = {
    // Every fourth byte begins a chain of fields that breaks before the operator that is met.
    versions: joined(
      text('\b\x01\x12\0'.repeat(400_000)),
      noise(64),
      words('\x0a\x40'),
      text('\x12\x05Const'.repeat(300)),
    ),
    nodes: text('\n\0'.repeat(300_000) + '\x12\x05Const'.repeat(300)),
    layers: joined(noise(9), text('name: "a" layer { '.repeat(200_000)), noise(9)),
    tensors: joined(noise(9), text('{"a":{"dtype":"F32",'.repeat(100_000)), noise(9)),
    ends: joined(noise(99), text('PK\x05\x06'.repeat(100_000)), noise(99)),
  };
  for (const [name, bytes] of Object.entries(patterns)) {
    const started = performance.now();
    expect(await find('x', bytes), name).toEqual([]);
    // Hours without a bound; the bound is what is tested, not the speed.
    expect(performance.now() - started, name).toBeLessThan(20_000);
  }
});

describe('ordinary files', () => {
  test('hold no models', async () => {
    const root = resolve(import.meta.dirname, '../..');
    const folders = [...['src', 'docs', 'dist/cli'].map((name) => join(root, name)), ...ORDINARY];
    const found: Finding[] = [];
    let count = 0;
    for (const folder of folders) {
      for (const path of filesBelow(folder).slice(0, 150)) {
        count++;
        found.push(...(await find(path, new Uint8Array(readFileSync(path)))));
      }
    }
    expect(count).toBeGreaterThan(300);
    expect(found).toEqual([]);
  });

  test('nor does noise, nor what only names a format', async () => {
    for (let seed = 0; seed < 40; seed++) expect(await find(`cache/${seed}`, noise(3000, seed))).toEqual([]);
    const mentions = joined(noise(1000), text('TFL3\0ORTM\0ET12\0GGUF\x007767517\npytorch\0'), noise(1000, 2));
    expect(await find('lib/libtensorflowlite_jni.so', mentions)).toEqual([]);
  });
});

/** Folders of fonts, images, programs and libraries that most systems have. */
const ORDINARY = [
  '/usr/share/fonts',
  '/usr/share/icons',
  '/usr/share/pixmaps',
  '/usr/share/zoneinfo',
  '/usr/bin',
  '/usr/share/locale',
];

function filesBelow(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .flatMap((name) => {
        const path = join(folder, name);
        const stats = statSync(path, { throwIfNoEntry: false });
        if (stats?.isDirectory()) return filesBelow(path);
        return stats?.isFile() === true && stats.size < 1 << 20 ? [path] : [];
      });
  } catch {
    return [];
  }
}
