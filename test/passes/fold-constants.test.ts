/** @file Constant folding with native ONNX Runtime as the engine. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { decodeModel, encodeModel } from '../../src/onnx/index.js';
import { foldConstants, type FoldConstantsOptions, type FoldConstantsResult } from '../../src/passes/index.js';
import { difference, runOrt } from '../onnx/ort.js';
import { readBytes } from '../onnx/testdata.js';

const fold = (model: Model, options?: FoldConstantsOptions): Promise<FoldConstantsResult> =>
  foldConstants(model, (part) => runOrt(encodeModel(part), {}), options);

const ops = (model: Model): readonly string[] => model.graph.nodes.map((node) => node.op);

async function expectSame(before: Model, after: Model, feeds: Record<string, Tensor>): Promise<void> {
  const [a, b] = [await runOrt(encodeModel(before), feeds), await runOrt(encodeModel(after), feeds)];
  for (const [name, tensor] of Object.entries(a)) expect(difference(tensor, b[name]!), name).toBeLessThan(1e-6);
}

describe('foldConstants', () => {
  const x = Tensor.floats([1, 2, 3, 4, 5, 6], [2, 3]);

  test('computes what depends on constants alone, and drops what it came from', async () => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', [2, 3]));
    const w = b.op('Transpose', [b.parameter('w', Tensor.floats([1, 2, 3, 4, 5, 6], [3, 2]))]);
    const halved = b.op('Mul', [w, b.op('Constant', [], { value: Tensor.floats([0.5]) })]);
    b.alias(b.op('Add', ['x', halved]), 'y');
    const model = makeModel(b.graph('g', [{ name: 'y', type: tensorType('float32', [2, 3]) }]));
    const result = await fold(model);
    expect(result.folded).toEqual([halved]);
    expect(ops(result.model)).toEqual(['Add', 'Identity']);
    expect([...result.model.graph.initializers.keys()]).toEqual([halved]);
    await expectSame(model, result.model, { x });
    expect((await fold(result.model)).changed).toBe(false);
  });

  test('knows shapes without computing, and keeps what depends on the batch', async () => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', ['n', 3]));
    const shape = b.op('Shape', ['x']);
    const width = b.op('Gather', [shape, b.int64s([1])]);
    const batch = b.op('Gather', [shape, b.int64s([0])]);
    b.alias(b.op('Reshape', ['x', b.op('Concat', [width, batch], { axis: 0 })]), 'y');
    const model = makeModel(b.graph('g', [{ name: 'y', type: undefined }]));
    const result = await fold(model);
    expect(result.folded).toContain(width);
    expect(result.folded).not.toContain(batch);
    await expectSame(model, result.model, { x });
  });

  test('leaves random operators, storage forms, large results and defaults of inputs', async () => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', [2, 3]));
    b.input('d', tensorType('float32', [2, 3]));
    b.initializers.set('d', x);
    const random = b.op('RandomNormal', [], { shape: [2, 3] });
    const stored = b.op('DequantizeLinear', [
      b.parameter('q', Tensor.of('int8', [2, 3], [1, 2, 3, 4, 5, 6])),
      b.constant(Tensor.scalar('float32', 0.5)),
    ]);
    const large = b.op('Expand', [b.constant(Tensor.floats([1])), b.int64s([100, 2, 3])]);
    const fed = b.op('Neg', ['d']);
    b.alias(b.op('Sum', ['x', random, stored, large, fed]), 'y');
    const model = makeModel(b.graph('g', [{ name: 'y', type: undefined }]));
    const result = await fold(model, { maxBytes: 100 });
    expect(result.changed).toBe(false);
    expect((await fold(model)).folded).toEqual([large]);
  });

  test('a constant graph output and nodes with several outputs keep their names', async () => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', [2, 3]));
    const parts = b.ops('Split', [b.parameter('w', x)], { axis: 1, num_outputs: 3 }, { outputs: 3 });
    b.alias(b.op('Mul', ['x', parts[1]]), 'y');
    const model = makeModel(
      b.graph('g', [
        { name: 'y', type: tensorType('float32', [2, 3]) },
        { name: parts[0]!, type: tensorType('float32', [2, 1]) },
      ]),
    );
    const result = await fold(model);
    expect(ops(result.model)).toEqual(['Mul', 'Identity']);
    await expectSame(model, result.model, { x });
  });

  const path = resolve(import.meta.dirname, '../../../shared/models/formats/ultraface/version-RFB-320.onnx');
  if (!existsSync(path)) console.log('skipped: ../shared/models is not there');
  test.skipIf(!existsSync(path))('a face detector gets smaller and detects the same', async () => {
    const model = decodeModel(readBytes(path));
    const result = await fold(model);
    expect(result.changed).toBe(true);
    expect(result.model.graph.nodes.length).toBeLessThan(model.graph.nodes.length);
    const input = Tensor.floats(
      Float32Array.from({ length: 3 * 240 * 320 }, (_, i) => Math.sin(i * 0.01)),
      [1, 3, 240, 320],
    );
    await expectSame(model, result.model, { [model.graph.inputs[0]!.name]: input });
  });
});
