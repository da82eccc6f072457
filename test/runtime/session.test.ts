import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  GraphBuilder,
  makeModel,
  makeNode,
  Tensor,
  tensorType,
  type DataType,
  type Model,
  type Shape,
} from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import {
  openSession,
  SessionOptionsError,
  SessionReleasedError,
  SessionRunError,
  UnsupportedDataTypeError,
  type Backend,
  type Session,
} from '../../src/runtime/index.js';
import { memoryUse } from '../../src/platform/node/cpu.js';

const BACKENDS: readonly Backend[] = ['native', 'wasm'];

function identity(dtype: DataType, shape: Shape = ['n']): Model {
  const b = new GraphBuilder();
  b.input('x', tensorType(dtype, shape));
  b.alias('x', 'y');
  return makeModel(b.graph('identity', [{ name: 'y', type: tensorType(dtype, shape) }]));
}

/** y = a × b, z = −a. */
function product(op = 'MatMul', domain = ''): Model {
  const b = new GraphBuilder();
  b.input('a', tensorType('float32', ['m', 'k']));
  b.input('b', tensorType('float32', ['l', 3]));
  b.add(makeNode({ name: 'the product', op, domain, inputs: ['a', 'b'], outputs: ['y'] }));
  b.add(makeNode({ name: 'negation', op: 'Neg', inputs: ['a'], outputs: ['z'] }));
  const type = tensorType('float32', [null, null]);
  const model = makeModel(
    b.graph('product', [
      { name: 'y', type },
      { name: 'z', type },
    ]),
  );
  return domain === '' ? model : { ...model, opsets: new Map([...model.opsets, [domain, 1]]) };
}

const a = Tensor.floats([1, 2, 3, 4], [2, 2]);
const b = Tensor.floats([1, 0, 2, 0, 1, 3], [2, 3]);

describe.each(BACKENDS)('%s', (backend) => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession(product(), { backend });
  });
  afterAll(() => session.release());

  test('runs a model and types its values', async () => {
    const { y, z } = await session.run({ a, b });
    expect([...(y!.data as Float32Array)]).toEqual([1, 2, 8, 3, 4, 18]);
    expect(y!.dims).toEqual([2, 3]);
    expect([...(z!.data as Float32Array)]).toEqual([-1, -2, -3, -4]);
    expect(session.inputNames).toEqual(['a', 'b']);
    expect(session.typeOf('b')).toEqual(tensorType('float32', ['l', 3]));
    expect(session.backend).toBe(backend);
  });

  test('fetches only what is asked for', async () => {
    expect(Object.keys(await session.run({ a, b }, { outputs: ['z'] }))).toEqual(['z']);
    await expect(session.run({ a, b }, { outputs: ['nope'] })).rejects.toMatchObject({ kind: 'usage' });
  });

  test.each([
    ['a missing feed', { a }, /input 'b' is not fed/],
    ['an unknown feed', { a, b, c: a }, /no input 'c'/],
    ['another type', { a, b: Tensor.int64s([1]) }, /'b' is int64\[1\], but the model takes float32\[l, 3\]/],
    ['another rank', { a: Tensor.floats([1]), b }, /'a' has shape \[1\], but the model takes \[m, k\]/],
    ['another fixed dim', { a, b: Tensor.floats([1, 2], [1, 2]) }, /'b' has shape \[1, 2\]/],
  ] as [string, Record<string, Tensor>, RegExp][])(
    '%s is refused by name before the run',
    async (_, feeds, message) => {
      const error: unknown = await session.run(feeds).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(SessionRunError);
      expect(error).toMatchObject({
        kind: 'invalid',
        code: 'runtime/feed',
        message: expect.stringMatching(message) as unknown,
      });
    },
  );

  test('a kernel that fails is named with the shapes it was given', async () => {
    const error: unknown = await session
      .run({ a: Tensor.floats([1, 2, 3], [1, 3]), b })
      .catch((cause: unknown) => cause);
    expect(error).toMatchObject({ name: 'SessionRunError', kind: 'invalid', node: 'the product' });
    expect(String(error)).toContain('a float32[1, 3], b float32[2, 3]');
    expect(await session.run({ a, b })).toHaveProperty('y');
  });

  test('overlapping runs each get their own result', async () => {
    const jobs = Array.from({ length: 20 }, (_, i) =>
      session.run({ a: Tensor.floats([i], [1, 1]), b: Tensor.floats([1, 2, 3], [1, 3]) }),
    );
    const results = await Promise.all(jobs);
    results.forEach(({ y }, i) => expect([...(y!.data as Float32Array)]).toEqual([i, 2 * i, 3 * i]));
  });

  test('an aborted signal stops a run before it starts', async () => {
    const controller = new AbortController();
    controller.abort(new Error('stop here'));
    await expect(session.run({ a, b }, { signal: controller.signal })).rejects.toThrow('stop here');
  });

  test('release waits for runs under way, works twice, and ends the session', async () => {
    const other = await openSession(encodeModel(product()), { backend });
    const job = other.run({ a, b });
    await Promise.all([other.release(), other.release()]);
    expect(await job).toHaveProperty('y');
    await expect(other.run({ a, b })).rejects.toBeInstanceOf(SessionReleasedError);
    await other[Symbol.asyncDispose]();
  });

  test.each([
    Tensor.of('float32', [3], [1.5, -2, NaN]),
    Tensor.of('float64', [2], [Math.PI, -Infinity]),
    Tensor.of('float16', [2], new Uint16Array([0x3c00, 0xc000])),
    Tensor.of('int8', [2], [-128, 127]),
    Tensor.of('int16', [2], [-32768, 32767]),
    Tensor.of('int32', [2], [-(2 ** 31), 2 ** 31 - 1]),
    Tensor.of('int64', [2], new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n])),
    Tensor.of('uint8', [2], [0, 255]),
    Tensor.of('uint16', [2], [0, 65535]),
    Tensor.of('uint32', [2], [0, 2 ** 32 - 1]),
    Tensor.of('uint64', [1], new BigUint64Array([2n ** 64n - 1n])),
    Tensor.of('bool', [3], [1, 0, 1]),
    Tensor.ofStrings([2], ['plain', 'ünïcödé ✓']),
    Tensor.of('float32', [0], []),
    // Bytes at an odd offset: no typed array can view them in place.
    Tensor.fromBytes('float32', [2], new Uint8Array(9).fill(63).subarray(1)),
  ])('$dtype $dims crosses unchanged', async (x) => {
    const echo = await openSession(identity(x.dtype), { backend });
    try {
      const { y } = await echo.run({ x });
      expect(y!.dtype).toBe(x.dtype);
      expect(y!.dims).toEqual(x.dims);
      expect(y!.strings).toEqual(x.strings);
      expect([...y!.bytes]).toEqual([...x.bytes]);
    } finally {
      await echo.release();
    }
  });

  test('a scalar crosses unchanged', async () => {
    await using echo = await openSession(identity('float32', []), { backend });
    const { y } = await echo.run({ x: Tensor.scalar('float32', 7) });
    expect(y!.dims).toEqual([]);
    expect(y!.numbers()).toEqual([7]);
  });

  test('types that cannot cross are refused by name', async () => {
    await expect(openSession(identity('bfloat16'), { backend })).rejects.toMatchObject({ kind: 'unsupported' });
    await using echo = await openSession(identity('float32'), { backend });
    await expect(echo.run({ x: Tensor.of('int4', [2], [18]) })).rejects.toThrow(/int4/);
  });

  const withOpset = (opset: number): Model => ({ ...product(), opsets: new Map([['', opset]]) });
  const refused: readonly (readonly [string, () => Model | Uint8Array, string, RegExp])[] = [
    ['an unknown operator', () => product('Frobnicate'), 'unsupported', /Frobnicate.*opset 18/],
    ['an unknown domain', () => product('Frobnicate', 'my.own'), 'unsupported', /my\.own:Frobnicate/],
    ['an opset from the future', () => withOpset(99), 'unsupported', /opset 99/],
    ['an IR version from the future', () => ({ ...product(), irVersion: 99 }), 'unsupported', /IR version 99/],
    [
      'a dangling value',
      () => ({ ...product(), graph: { ...product().graph, inputs: product().graph.inputs.slice(1) } }),
      'invalid',
      /'a'/,
    ],
    ['a cut file', () => encodeModel(product()).subarray(0, 60), 'invalid', /not a complete ONNX model/],
    ['text', () => new TextEncoder().encode('no model at all'), 'invalid', /not a complete ONNX model/],
    ['nothing', () => new Uint8Array(0), 'invalid', /not a complete ONNX model/],
  ];
  test.each(refused)('%s is refused: kind %s', async (_, make, kind, message) => {
    const error: unknown = await openSession(make(), { backend }).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ name: 'RuntimeLoadError', kind, message: expect.stringMatching(message) as unknown });
    expect(String(error)).not.toMatch(/onnxruntime_src|ERROR_CODE/);
  });

  test('threads must be a whole number', async () => {
    await expect(openSession(product(), { backend, threads: 0 })).rejects.toBeInstanceOf(SessionOptionsError);
    await expect(openSession(product(), { backend, threads: 1.5 })).rejects.toMatchObject({ kind: 'usage' });
  });

  test('opening and releasing 100 times does not pile up memory', async () => {
    const model = encodeModel(product());
    const cycle = async (): Promise<void> => {
      await using other = await openSession(model, { backend });
      await other.run({ a, b });
    };
    for (let i = 0; i < 20; i++) await cycle();
    const before = memoryUse().residentBytes;
    for (let i = 0; i < 100; i++) await cycle();
    // A leaked session holds megabytes of arena and threads' stacks; 100 of them would show far above this.
    expect(memoryUse().residentBytes - before).toBeLessThan(150e6);
  });
});

test('the wasm runtime keeps its first thread count and says so', async () => {
  const first = await openSession(product(), { backend: 'wasm' });
  await expect(openSession(product(), { backend: 'wasm', threads: first.threads + 1 })).rejects.toThrow(
    /already runs on/,
  );
  const again = await openSession(product(), { backend: 'wasm', threads: first.threads });
  await Promise.all([first.release(), again.release()]);
});

test('native threads are chosen per session', async () => {
  for (const threads of [1, 2]) {
    await using session = await openSession(product(), { backend: 'native', threads });
    expect(session.threads).toBe(threads);
  }
});

const resnet = '../shared/models/cifar10/resnet20-cifar10-bn.onnx';
test.skipIf(!existsSync(resnet))('both back ends agree on ResNet-20 at every optimisation level', async () => {
  const model = new Uint8Array(readFileSync(resnet));
  const input = Tensor.floats(
    Float32Array.from({ length: 2 * 3072 }, (_, i) => Math.sin(i * 0.37)),
    [2, 3, 32, 32],
  );
  let expected: Float32Array | undefined;
  for (const backend of BACKENDS)
    for (const optimization of ['disabled', 'all'] as const) {
      await using session = await openSession(model, { backend, optimization });
      const logits = (await session.run({ input }))['logits']!.data as Float32Array;
      expected ??= logits;
      logits.forEach((value, i) => expect(value).toBeCloseTo(expected![i]!, 3));
    }
});

test('UnsupportedDataTypeError says what to do', () => {
  expect(new UnsupportedDataTypeError('int4', "input 'x'")).toMatchObject({
    kind: 'unsupported',
    hint: expect.stringContaining('Cast') as unknown,
  });
});
