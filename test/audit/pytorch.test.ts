/** @file PyTorch files in every form against what torch says of them, and pickles that want to be run. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { findModels, readAuditModel, type AuditModel, type ModelFormat } from '../../src/audit/index.js';
import { CuttleError } from '../../src/ir/index.js';
import { defaultReadLimits, ReadBudget } from '../../src/audit/read/limits.js';
import { readPickle } from '../../src/audit/read/pickle.js';

interface Expected {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

// Written by test/oracles/record-audit-pytorch.py.
const folder = resolve(import.meta.dirname, '../fixtures/audit/torch');
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(resolve(folder, name)));
const expected = JSON.parse(readFileSync(resolve(folder, 'expected.json'), 'utf8')) as Readonly<
  Record<'net' | 'mixed', Readonly<Record<string, Expected>>>
>;

function valuesOf(dtype: string, bytes: Uint8Array): number[] {
  const view = new DataView(bytes.slice().buffer);
  const read: Readonly<Record<string, readonly [width: number, at: (at: number) => number]>> = {
    float32: [4, (at) => view.getFloat32(at, true)],
    int64: [8, (at) => Number(view.getBigInt64(at, true))],
    int8: [1, (at) => view.getInt8(at)],
    uint8: [1, (at) => view.getUint8(at)],
    bfloat16: [2, (at) => new Float32Array(Uint32Array.of(view.getUint16(at, true) << 16).buffer)[0]!],
    // 0.5 and -2 are enough here.
    float16: [2, (at) => ({ 0x3800: 0.5, 0xc000: -2 })[view.getUint16(at, true)]!],
  };
  const [width, at] = read[dtype]!;
  return Array.from({ length: Math.min(4, bytes.length / width) }, (_, i) => at(i * width));
}

function holds(model: AuditModel, which: Readonly<Record<string, Expected>>, prefix = ''): void {
  const weights = model.layers.flatMap((layer) => layer.weights);
  const found = Object.fromEntries(
    weights.map((weight) => [
      weight.name.slice(prefix.length),
      {
        dtype: weight.dtype,
        shape: weight.shape,
        ...(weight.bytes ? { values: valuesOf(weight.dtype, weight.bytes) } : {}),
      },
    ]),
  );
  expect(Object.keys(found).sort()).toEqual(Object.keys(which).sort());
  for (const [name, each] of Object.entries(which)) expect({ ...each, ...found[name] }, name).toEqual(each);
}

const familiesOf = (model: AuditModel): Readonly<Record<string, string>> =>
  Object.fromEntries(model.layers.map(({ name, family }) => [name, family]));

describe('files that torch wrote', () => {
  test.each([
    ['state.pt', 'pytorch', ''],
    ['state-legacy.pt', 'pytorch', ''],
    ['checkpoint.pt', 'pytorch', 'model.'],
    ['module.pt', 'pytorch', ''],
    ['script.pt', 'torchscript', ''],
  ] as const)('%s: names, types, shapes and numbers', (name, format, prefix) => {
    const model = readAuditModel(format, file(name));
    holds(model, expected.net, prefix);
    expect(familiesOf(model)).toMatchObject({
      [`${prefix}features.0`]: 'convolution',
      [`${prefix}features.1`]: 'normalisation',
      [`${prefix}features.3`]: 'depthwise-convolution',
      [`${prefix}memory`]: 'recurrent',
      [`${prefix}head`]: 'dense',
    });
    // Normalisations behind both convolutions fold into them; the second one gains a bias.
    const { params, storedParams, macs } = model.totals;
    expect(storedParams - params).toBe(2 * 16 - 4);
    expect(macs).toBeNull();
  });

  test.each(['mobile.ptl', 'mobile-flat.ptl'])('%s: the first modules, and the operators of its code', (name) => {
    const model = readAuditModel('pytorch-mobile', file(name));
    const features = Object.entries(expected.net).flatMap(([key, each]): [string, Expected][] =>
      key.startsWith('features.') ? [[key.slice(9), each]] : [],
    );
    holds(model, Object.fromEntries(features));
    expect(model.layers[0]!.op).toBe('Conv2d');
    expect(model.metadata['operators']).toMatch(/\bbatch_norm\b.*\bconv2d\b/);
  });

  test('classes of modules are told where the file names them', () => {
    for (const [name, format] of [
      ['module.pt', 'pytorch'],
      ['script.pt', 'torchscript'],
    ] as const) {
      const { layers } = readAuditModel(format, file(name));
      expect(Object.fromEntries(layers.map((layer) => [layer.name, layer.op]))).toMatchObject({
        'features.0': 'Conv2d',
        up: 'ConvTranspose2d',
        words: 'Embedding',
        head: 'Linear',
      });
      expect(familiesOf(readAuditModel(format, file(name)))).toMatchObject({
        up: 'transposed-convolution',
        words: 'embedding',
      });
    }
  });

  test('a frozen script: its parameters are constants of its code', () => {
    const model = readAuditModel('torchscript', file('frozen.pt'));
    const kernels = model.layers.flatMap(({ weights }) => weights).filter(({ size }) => size === 108);
    expect(kernels).toHaveLength(1);
    expect(kernels[0]!.shape).toEqual([4, 3, 3, 3]);
    expect(model.metadata['operators']).toContain('conv2d');
  });

  test('views, halves, integers, scalars, nothing, quantised', () => {
    const model = readAuditModel('pytorch', file('mixed.pt'));
    holds(model, expected.mixed);
    const weights = new Map(model.layers.flatMap((layer) => layer.weights.map((weight) => [weight.name, weight])));
    // Numbers in another order than the shape says are not shown as if they were in it.
    expect(weights.get('transposed')!.bytes).toBeUndefined();
    expect(weights.get('part')!.bytes).toHaveLength(48);
  });

  test.each([
    ['state.pt', 'pytorch'],
    ['state-legacy.pt', 'pytorch'],
    ['script.pt', 'torchscript'],
    ['mobile.ptl', 'pytorch-mobile'],
    ['mobile-flat.ptl', 'pytorch-mobile'],
  ] as const)('%s is found whatever it is called', async (name, format) => {
    const found = await findModels({ path: 'assets/blob.dat', bytes: file(name) });
    expect(found.map((each) => [each.format, each.confidence])).toEqual([[format, 'observed']]);
    expect(found[0]!.model!().totals.storedParams).toBeGreaterThan(100);
  });
});

const bytesOf = (...parts: (string | readonly number[])[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) => (typeof part === 'string' ? [...part].map((sign) => sign.charCodeAt(0)) : part)),
  );
const archive = (pickle: Uint8Array): Uint8Array =>
  zipSync({ 'archive/data.pkl': pickle, 'archive/version': bytesOf('3\n') });
const budget = (): ReadBudget => new ReadBudget('pytorch', defaultReadLimits);

describe('pickles that want to be run', () => {
  test('a call of a function stays a call', () => {
    const pickle = bytesOf([0x80, 2], 'cos\nsystem\n', 'X', [4, 0, 0, 0], 'true', [0x85], 'R.');
    expect(readPickle(pickle, 0, budget()).value).toEqual({
      kind: 'call',
      callee: { kind: 'name', name: 'os.system' },
      args: ['true'],
    });
    expect(() => readAuditModel('pytorch', archive(pickle))).toThrow(/holds no tensor/);
  });

  test.each<[string, Uint8Array]>([
    ['an operation that imports', bytesOf([0x80, 2], '(S"true"\nios\nsystem\n.')],
    ['nothing', bytesOf()],
    ['no end', bytesOf([0x80, 2], ']')],
    ['nothing stacked', bytesOf('a.')],
    ['no mark', bytesOf(']t.')],
    ['a name without an end', bytesOf('c', 'x'.repeat(5000))],
    ['a forgotten memo', bytesOf('h', [9], '.')],
    ['text beyond the end', bytesOf('X', [255, 255, 255, 255], 'a.')],
    ['a list inside itself', bytesOf(']q', [0], 'h', [0], 'a.')],
    ['lists a hundred thousand deep', bytesOf('('.repeat(100_000), 't'.repeat(100_000), '.')],
    [
      'lists that double a hundred times',
      bytesOf(
        ']',
        '2a'.repeat(3),
        'q',
        [0],
        ...(Array(100)
          .fill(['(h', [0], 'h', [0], 'tq', [0]])
          .flat(2) as string[]),
        '.',
      ),
    ],
    ['a dim beyond numbers', tensor([0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
    ['a dim below zero', tensor([...bytesOf('J'), 255, 255, 255, 255])],
    ['a tensor larger than its storage', tensor([...bytesOf('K'), 100])],
  ])('%s ends in an error', (_, pickle) => {
    for (const [format, bytes] of [
      ['pytorch', archive(pickle)],
      ['torchscript', zipSync({ 'a/data.pkl': pickle, 'a/constants.pkl': pickle })],
      ['pytorch', pickle],
    ] as const)
      expect(() => readAuditModel(format, bytes)).toThrow(CuttleError);
  });
});

/** A pickle of one tensor with a dim as the given operations stack it; its storage holds two floats at most. */
function tensor(dim: readonly number[]): Uint8Array {
  return bytesOf(
    [0x80, 2],
    'ctorch._utils\n_rebuild_tensor_v2\n(((X',
    [7, 0, 0, 0],
    'storagectorch\nFloatStorage\nX',
    [1, 0, 0, 0],
    '0NK',
    [2],
    'tQK',
    [0],
    '(',
    dim,
    't(K',
    [1],
    'ttR.',
  );
}

test('fixtures and limits', () => {
  expect(readdirSync(folder).length).toBeGreaterThan(8);
  const limits = { ...defaultReadLimits, maxUnpackedBytes: 1000 };
  expect(() => readAuditModel('pytorch', file('state.pt'), { limits })).toThrow(/more than 1000 bytes/);
  expect(() =>
    readAuditModel('pytorch' satisfies ModelFormat, file('state.pt'), {
      limits: { ...limits, maxUnpackedBytes: 1e6, maxItems: 20 },
    }),
  ).toThrow(/more than 20 items/);
});
