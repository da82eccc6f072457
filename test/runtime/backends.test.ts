/** @file Choice of a back end in Node, settings of the web runtimes, outputs that stay where they are. */
import { expect, test } from 'vitest';
import { GraphBuilder, int, makeModel, string, Tensor, tensorType, type Attribute } from '../../src/ir/index.js';
import {
  chooseBackend,
  configureOrt,
  isDeviceTensor,
  MissingRuntimeError,
  openSession,
  SessionOptionsError,
} from '../../src/runtime/index.js';
import { processorNodes } from '../../src/runtime/webgpu-placement.js';

const vector = tensorType('float32', [2]);

/** y = x², z = −x. */
function square(): ReturnType<typeof makeModel> {
  const b = new GraphBuilder();
  b.input('x', vector);
  b.alias(b.op('Mul', ['x', 'x']), 'y');
  b.alias(b.op('Neg', ['x']), 'z');
  const outputs = [
    { name: 'y', type: vector },
    { name: 'z', type: vector },
  ];
  return makeModel(b.graph('square', outputs));
}

test('auto is native in Node', async () => {
  expect(await chooseBackend()).toEqual({ backend: 'native', remarks: [] });
  expect(await chooseBackend('wasm')).toEqual({ backend: 'wasm', remarks: [] });
  await using session = await openSession(square(), { backend: 'auto', threads: 1 });
  expect(session).toMatchObject({ backend: 'native', threads: 1, remarks: [] });
});

test('webgpu is refused in Node by name', async () => {
  await expect(openSession(square(), { backend: 'webgpu' })).rejects.toThrow(MissingRuntimeError);
});

test.each(['native', 'wasm'] as const)('%s hands resident outputs on without copying them', async (backend) => {
  await using session = await openSession(square(), { backend, threads: 1, resident: ['y'] });
  const x = Tensor.floats([2, 3]);
  const { outputs, resident } = await session.runResident({ x });
  expect(Object.keys(outputs)).toEqual(['z']);
  const y = resident.get('y')!;
  expect([isDeviceTensor(y), isDeviceTensor(x), y.location, y.dtype, y.dims]).toEqual([
    true,
    false,
    'host',
    'float32',
    [2],
  ]);
  expect((await y.download()).data).toBe((await y.download()).data);
  const { y: again } = await session.run({ x: y }, { outputs: ['y'] });
  expect(Array.from(again!.data as Float32Array)).toEqual([16, 81]);
  y.dispose();
  await expect(openSession(square(), { backend, threads: 1, resident: ['w'] })).rejects.toThrow(SessionOptionsError);
});

test('settings of the web runtimes are checked, and fixed once one has started', async () => {
  expect(() => configureOrt({ wasmPaths: '/no-slash' })).toThrow(SessionOptionsError);
  await using session = await openSession(square(), { backend: 'wasm', threads: 1 });
  expect(session.backend).toBe('wasm');
  expect(() => configureOrt({ wasmPaths: '/other/' })).toThrow(SessionOptionsError);
  configureOrt({});
});

test('what WebGPU only claims to compute is left to the processor', () => {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', [1, 1, 4, 4]));
  const node = (op: string, outputs: number, attributes: Readonly<Record<string, Attribute>>, name: string): void =>
    void b.ops(op, ['x'], attributes, { outputs, name });
  const kernel = { kernel_shape: { type: 'ints', value: [2n, 2n] } } as const;
  node('MaxPool', 1, kernel, 'plain_pool');
  node('MaxPool', 2, kernel, 'pool_with_indices');
  node('MaxPool', 1, { ...kernel, storage_order: int(1) }, 'column_major_pool');
  node('LSTM', 1, {}, 'plain_lstm');
  node('LSTM', 1, { input_forget: int(1) }, 'coupled_lstm');
  node('GRU', 1, { layout: int(1) }, 'batchwise_gru');
  node('Einsum', 1, { equation: string('...i->...') }, 'ellipsis');
  node('Einsum', 1, { equation: string('abcd->ab') }, 'letters');
  expect(processorNodes(makeModel(b.graph('claims', [])))).toEqual([
    'pool_with_indices',
    'column_major_pool',
    'coupled_lstm',
    'batchwise_gru',
    'ellipsis',
  ]);
});
