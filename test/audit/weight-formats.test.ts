/** @file Keras v3, safetensors, GGUF, PaddlePaddle, Paddle Lite and ML programs against what their own packages say. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findModels, readAuditModel, type AuditModel, type ModelFormat } from '../../src/audit/index.js';

interface Expected {
  readonly name?: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}
type Arrays = Readonly<Record<string, Expected>>;

const folder = resolve(import.meta.dirname, '../fixtures/audit');
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(resolve(folder, name)));
// Written by test/oracles/record-audit-weights.py and record-audit-paddle.py.
const weights = JSON.parse(readFileSync(resolve(folder, 'weights/expected.json'), 'utf8')) as {
  readonly safetensors: Arrays;
  readonly gguf: Readonly<Record<string, { type: string; shape: readonly number[]; bytes: number }>>;
  readonly 'gguf-plain': Arrays;
  readonly keras: { readonly params: number; readonly layers: Readonly<Record<string, readonly Required<Expected>[]>> };
  readonly 'keras-sequential': { readonly params: number };
  readonly 'keras-nested': { readonly params: number };
};
const paddle = JSON.parse(readFileSync(resolve(folder, 'paddle/expected.json'), 'utf8')) as Arrays;

const floats = (bytes: Uint8Array): number[] => [...new Float32Array(bytes.slice(0, 16).buffer)];
function arraysOf(model: AuditModel): Record<string, Expected> {
  const all = model.layers.flatMap((layer) => layer.weights);
  return Object.fromEntries(
    all.map(({ name, shape, bytes }) => [name, { shape, values: floats(bytes ?? new Uint8Array()) }]),
  );
}
const familiesOf = (model: AuditModel): readonly string[] => model.layers.map(({ family }) => family);

describe('Keras v3', () => {
  test('layers, shapes and numbers of a functional model', () => {
    const model = readAuditModel('keras', file('weights/model.keras'));
    expect(model.producer).toMatch(/^Keras 3\./);
    expect(model.totals.storedParams).toBe(weights.keras.params);
    // 12×12×3 → 6×6×4, 3×3: 144 positions of 27 weights, and so on.
    expect(model.totals.macs).toBe(36 * 108 + 36 * 36 + 36 * 24 + 30);
    for (const [name, arrays] of Object.entries(weights.keras.layers)) {
      const layer = model.layers.find((each) => each.name === name)!;
      expect(layer.weights.map(({ bytes }) => floats(bytes!))).toEqual(arrays.map(({ values }) => values));
      expect(layer.weights.map(({ shape }) => shape)).toEqual(arrays.map(({ shape }) => shape));
    }
  });

  test('recurrent and nested models', () => {
    const sequential = readAuditModel('keras', file('weights/sequential.keras'));
    expect(sequential.totals.storedParams).toBe(weights['keras-sequential'].params);
    const nested = readAuditModel('keras', file('weights/nested.keras'));
    expect(nested.totals.storedParams).toBe(weights['keras-nested'].params);
    const inner = nested.layers.find(({ name }) => name === 'tiny/first')!;
    expect(floats(inner.weights[0]!.bytes!)).toEqual(weights.keras.layers['first']![0]!.values);
  });
});

describe('tables of tensors', () => {
  test('safetensors', () => {
    const model = readAuditModel('safetensors', file('weights/model.safetensors'));
    expect(arraysOf(model)).toEqual(weights.safetensors);
    expect([...familiesOf(model)].sort()).toEqual(['convolution', 'dense', 'embedding', 'normalisation']);
    expect(model.metadata).toEqual({ format: 'pt', license: 'apache-2.0' });
    expect(model.totals.macs).toBeNull();
  });

  test('GGUF', () => {
    const model = readAuditModel('gguf', file('weights/model.gguf'));
    const found = Object.fromEntries(
      model.layers.flatMap((layer) =>
        layer.weights.map(({ name, shape, bytes, dtype }) => [name, { dtype, shape, bytes: bytes?.length }]),
      ),
    );
    const named: Readonly<Record<string, string>> = { F32: 'float32', Q8_0: 'q8_0', Q4_0: 'q4_0' };
    expect(found).toEqual(
      Object.fromEntries(
        Object.entries(weights.gguf).map(([name, { type, ...rest }]) => [name, { dtype: named[type], ...rest }]),
      ),
    );
    expect(arraysOf(model)).toMatchObject(weights['gguf-plain']);
    expect(model.name).toBe('tiny');
    expect(model.metadata).toMatchObject({
      'general.architecture': 'llama',
      'general.license': 'mit',
      'tokenizer.ggml.tokens': '3 items',
    });
    expect(model.quantisation.weights).toMatchObject({ q8_0: 192, q4_0: 192 });
  });
});

describe('Paddle', () => {
  const both: readonly (readonly [string, AuditModel])[] = [
    ['program', readAuditModel('paddle', file('paddle/net.pdmodel'), { companion: file('paddle/net.pdiparams') })],
    ['Paddle Lite', readAuditModel('paddle-lite', file('paddle/net.nb'))],
  ];

  test('a program with its parameters', () => {
    const model = both[0]![1];
    expect(arraysOf(model)).toEqual(paddle);
    expect(readAuditModel('paddle', file('paddle/net.pdmodel')).totals).toEqual(model.totals);
  });

  // Paddle Lite folds the normalisation and fuses biases; it puts several results into one variable.
  test.each(both)('%s: the same MACs and parameters', (_, model) => {
    expect(model.totals).toMatchObject({
      macs: 64 * 108 + 64 * 36 + 64 * 32 + 10,
      params: 112 + 40 + 34 + 15,
      uncountedLayers: 0,
    });
    expect(model.inputs).toEqual([{ name: 'picture', dtype: 'float32', shape: [1, 3, 16, 16] }]);
    expect(model.outputs.map(({ shape }) => shape)).toEqual([[1, 5]]);
    expect(familiesOf(model)).toEqual(
      expect.arrayContaining(['depthwise-convolution', 'transposed-convolution', 'pooling']),
    );
    expect(familiesOf(model)).not.toContain('other');
  });

  test('Paddle Lite folded the normalisation into its kernel', () => {
    const model = both[1]![1];
    expect(model.producer).toBe('Paddle Lite v2.13-rc');
    expect(model.layers[0]!.activation).toBe('relu');
    expect(arraysOf(model)['deep.w_0']).toEqual(paddle['deep.w_0']);
    expect(arraysOf(model)['first.w_0']!.values).not.toEqual(paddle['first.w_0']!.values);
  });

  test('older headers are refused by name', () => {
    const old = file('paddle/net.nb');
    old[0] = 1;
    expect(() => readAuditModel('paddle-lite', old)).toThrow(/header is of version 1/);
  });

  test('parameters of another program are refused', () => {
    const companion = file('paddle/net.pdiparams').subarray(0, 1000);
    expect(() => readAuditModel('paddle', file('paddle/net.pdmodel'), { companion })).toThrow(/end early/);
  });
});

describe('ML programs', () => {
  // Written by test/oracles/record-audit-mlprogram.py: the kernels of both files are drawn once.
  const read = (name: string): AuditModel =>
    readAuditModel('coreml', file(`mlprogram/${name}.mlmodel`), { companion: file(`mlprogram/${name}.weight.bin`) });

  test('layers, MACs and folded parameters', () => {
    const { totals, layers, inputs, metadata, notes } = read('full');
    expect(totals.macs).toBe(64 * 8 * 27 + 64 * 72 + 320);
    expect(totals.params).toBe(8 * 27 + 8 + 72 + 8 + 320 + 40);
    expect(layers.map(({ family }) => family)).toEqual(
      expect.arrayContaining(['convolution', 'depthwise-convolution', 'activation', 'reduction', 'dense', 'softmax']),
    );
    expect(layers.every(({ family }) => family !== 'other' && family !== 'constant')).toBe(true);
    expect(inputs).toEqual([{ name: 'picture', shape: [1, 3, 16, 16], dtype: 'float32' }]);
    expect(metadata['license']).toBe('MIT');
    expect(notes).toEqual([]);
  });

  test('half-precision weights from the package; without them, sizes', () => {
    const half = read('half');
    expect(read('full').quantisation.scheme).toBe('none');
    expect(half.quantisation.scheme).toBe('float16');
    const kernel = (model: AuditModel) =>
      model.layers.flatMap(({ weights }) => weights).find(({ size }) => size === 320)!;
    expect(kernel(half).bytes).toHaveLength(640);
    const alone = readAuditModel('coreml', file('mlprogram/half.mlmodel'));
    expect(alone.totals.params).toBe(half.totals.params);
    expect(kernel(alone).bytes).toBeUndefined();
    const companion = file('mlprogram/half.weight.bin').subarray(0, 900);
    expect(() => readAuditModel('coreml', file('mlprogram/half.mlmodel'), { companion })).toThrow(/blob/);
  });
});

test.each<[string, ModelFormat]>([
  ['weights/model.keras', 'keras'],
  ['weights/model.safetensors', 'safetensors'],
  ['weights/model.gguf', 'gguf'],
  ['paddle/net.pdmodel', 'paddle'],
  ['paddle/net.nb', 'paddle-lite'],
  ['mlprogram/half.mlmodel', 'coreml'],
])('%s is found whatever it is called', async (name, format) => {
  const found = await findModels({ path: 'assets/blob', bytes: file(name) });
  expect(found.map((each) => [each.format, each.confidence])).toEqual([[format, 'observed']]);
  expect(found[0]!.model!().layers.length).toBeGreaterThan(1);
});
