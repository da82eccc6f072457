/** @file Bfloat16 inputs and outputs: the protocol carries them, ONNX Runtime's JavaScript interface does not; a Cast stands between. */
import { expect, test } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { inferRequest } from '../../src/split/oip/index.js';
import { bfloatOfNumber, numberOfBfloat } from '../../src/split/oip/half.js';
import { bfloatBorders } from '../../src/split/server/bfloat-borders.js';
import { allDoors, modelFolder, plainModel, refusalOf, serve } from './serving.js';

const BFLOAT16 = 16;
const weights = [0.1, -0.2, 0.3, 0.7, 0.11, 0.13];

/** x [n, 2] → x·W [n, 3] as bfloat16, and twice x as float32. */
function bfloatModel(): Model {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('bfloat16', ['n', 2]));
  const wide = b.op('Cast', [x], { to: 1 });
  const product = b.op('MatMul', [wide, b.parameter('w', Tensor.floats(Float32Array.from(weights), [2, 3]))]);
  const y = b.op('Cast', [product], { to: BFLOAT16 }, { name: 'y' });
  const twice = b.op('Add', [b.op('Cast', [x], { to: 1 }), wide]);
  return makeModel(
    b.graph('bfloat', [
      { name: y, type: tensorType('bfloat16', ['n', 3]) },
      { name: twice, type: tensorType('float32', ['n', 2]) },
    ]),
  );
}

const model = bfloatModel();
const [y, twice] = model.graph.outputs.map(({ name }) => name) as [string, string];
const server = await serve({ models: [modelFolder({ 'brain.onnx': model, 'net.onnx': plainModel() })] });
const patterns = [1.5, -3, 0.1, 1e30].map(bfloatOfNumber);

test.each(allDoors(server.url))('$name: bfloat16 in and out', async (door) => {
  expect(await door.modelInputs('brain')).toEqual([{ name: 'x', datatype: 'BF16', shape: [-1, 2] }]);
  const x = Tensor.of('bfloat16', [2, 2], patterns);
  const { outputs } = await door.infer(inferRequest('brain', [{ name: 'x', tensor: x }]));
  const [product, doubled] = [y, twice].map((name) => outputs.find((output) => output.name === name)!.tensor);
  expect([product!.dtype, product!.dims, doubled!.dtype]).toEqual(['bfloat16', [2, 3], 'float32']);
  const given = patterns.map(numberOfBfloat);
  const wanted = [0, 1].flatMap((row) =>
    [0, 1, 2].map((column) => {
      const [a, c] = [given[2 * row]!, given[2 * row + 1]!];
      return bfloatOfNumber(a * Math.fround(weights[column]!) + c * Math.fround(weights[3 + column]!));
    }),
  );
  expect([...(product!.data as Uint16Array)]).toEqual(wanted);
  expect([...(doubled!.data as Float32Array)]).toEqual(given.map((value) => Math.fround(2 * value)));
});

test('a network with such borders is served whole; float32 is not taken for bfloat16', async () => {
  const [door] = allDoors(server.url);
  const cut = inferRequest('brain', [], { parameters: new Map([['cuttle_cut', 1n]]) });
  expect(await refusalOf(door!.infer(cut))).toMatchObject({ status: 'unsupported', message: /bfloat16/ });
  const wide = Tensor.floats(Float32Array.of(1, 2), [1, 2]);
  expect(await refusalOf(door!.infer(inferRequest('brain', [{ name: 'x', tensor: wide }])))).toMatchObject({
    status: 'invalid',
  });
});

test('other models stay as they are', () => {
  expect(bfloatBorders(plainModel())).toBeUndefined();
  expect(bfloatBorders(model)!.model.graph.inputs.map(({ name, type }) => [name, type])).toEqual([
    ['x', tensorType('float32', ['n', 2])],
  ]);
});
