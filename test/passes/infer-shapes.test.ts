/** @file Shape inference over whole models: every value against ONNX Runtime, symbols kept, contents followed, misfits named. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  formatType,
  graph,
  GraphBuilder,
  makeModel,
  makeNode,
  requiredInputs,
  substituteDim,
  Tensor,
  tensorType,
  type Model,
  type Shape,
} from '../../src/ir/index.js';
import { decodeModel, encodeModel } from '../../src/onnx/index.js';
import { ShapeError } from '../../src/ops/index.js';
import { inferShapes, mapDims } from '../../src/passes/index.js';
import { runOrt } from '../onnx/ort.js';

const shared = '../shared/models';
const files = existsSync(shared)
  ? readdirSync(shared, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.onnx'))
  : [];
if (files.length === 0) console.log(`skipped: ${shared} is not there`);

/** The model without any type but those of its inputs, with every computed value as an output. */
function opened(model: Model): Model {
  const outputs = model.graph.nodes
    .filter((node) => node.op !== 'Constant')
    .flatMap((node) => node.outputs)
    .filter((name) => name !== '')
    .map((name) => ({ name, type: undefined }));
  return { ...model, graph: { ...model.graph, outputs, types: new Map() } };
}

describe.each(files)('%s', (file) => {
  test('every value has the shape that ONNX Runtime computes', async () => {
    const model = opened(decodeModel(new Uint8Array(readFileSync(join(shared, file)))));
    const { types } = inferShapes(model);
    const sizes = { batch: 3 };
    const [input] = requiredInputs(model.graph);
    const shape = (input!.type?.kind === 'tensor' ? input!.type.shape : undefined)!.map(
      (dim) => substituteDim(dim, sizes) as number,
    );
    const typed: Model = {
      ...model,
      graph: { ...model.graph, outputs: model.graph.outputs.map(({ name }) => ({ name, type: types.get(name) })) },
    };
    const size = shape.reduce((a, b) => a * b, 1);
    const results = await runOrt(
      encodeModel(typed),
      { [input!.name]: Tensor.of('float32', shape, new Float32Array(size)) },
      'disabled',
    );
    expect(Object.keys(results).length).toBeGreaterThan(50);
    for (const [name, { dtype, dims }] of Object.entries(results))
      expect(`${name} ${formatType(mapDims(types.get(name)!, (dim) => substituteDim(dim, sizes)))}`).toBe(
        `${name} ${formatType(tensorType(dtype, dims))}`,
      );
  });
});

/** Infers what `make` builds on inputs x0, x1 … of the given shapes; the type of each returned value. */
function shapes(
  inputs: readonly Shape[],
  make: (b: GraphBuilder, ...names: string[]) => string | readonly string[],
): readonly string[] {
  const b = new GraphBuilder();
  const names = inputs.map((shape, index) => b.input(`x${index}`, tensorType('float32', shape)));
  const made = make(b, ...names);
  const outputs = typeof made === 'string' ? [made] : made;
  const { types } = inferShapes(makeModel(b.graph('g', outputs)));
  return outputs.map((name) => formatType(types.get(name)).replace(/^\w+/, ''));
}

describe('symbols', () => {
  const image: Shape = ['batch', 3, 'h', 'w'];

  test('stay through the layers of a classifier', () => {
    const found = shapes([image], (b, x) => {
      const conv = b.op('Conv', [x, b.parameter('w', Tensor.floats(new Float32Array(8 * 27), [8, 3, 3, 3]))], {
        pads: [1, 1, 1, 1],
        strides: [2, 2],
      });
      const pool = b.op('GlobalAveragePool', [conv]);
      const flat = b.op('Flatten', [pool]);
      const named = b.op('Reshape', [pool, b.int64s([-1, 8])]);
      const copied = b.op('Reshape', [pool, b.int64s([0, -1])]);
      const gemm = b.op('Gemm', [flat, b.parameter('f', Tensor.floats(new Float32Array(80), [10, 8]))], { transB: 1 });
      return [conv, flat, named, copied, gemm];
    });
    expect(found).toEqual([
      '[batch, 8, floor((h+1)/2), floor((w+1)/2)]',
      '[batch, 8]',
      '[batch, 8]',
      '[batch, 8]',
      '[batch, 10]',
    ]);
  });

  test('travel through Shape, Gather, arithmetic, Concat and Reshape', () => {
    const found = shapes([['batch', 'length', 768]], (b, x) => {
      const shape = b.op('Shape', [x]);
      const at = (index: number): string => b.op('Gather', [shape, b.constant(Tensor.scalar('int64', index))]);
      const list = (value: string): string => b.op('Unsqueeze', [value, b.int64s([0])]);
      const rows = b.op('Mul', [at(0), b.constant(Tensor.scalar('int64', 12))]);
      const split = b.op('Reshape', [x, b.op('Concat', [list(at(0)), list(at(1)), b.int64s([12, 64])], { axis: 0 })]);
      const heads = b.op('Transpose', [split], { perm: [0, 2, 1, 3] });
      const merged = b.op('Reshape', [heads, b.op('Concat', [list(rows), list(at(1)), b.int64s([-1])], { axis: 0 })]);
      const back = b.op('Reshape', [merged, b.op('Concat', [list(at(0)), b.int64s([-1, 768])], { axis: 0 })]);
      const cut = b.op('Slice', [x, b.int64s([1]), b.int64s([2 ** 40]), b.int64s([1])]);
      const zeros = b.op('ConstantOfShape', [b.op('Slice', [shape, b.int64s([0]), b.int64s([2])])]);
      return [split, heads, merged, back, cut, zeros];
    });
    expect(found).toEqual([
      '[batch, length, 12, 64]',
      '[batch, 12, length, 64]',
      '[12*batch, length, 64]',
      '[batch, length, 768]',
      '[batch, max(length-1, 0), 768]',
      '[batch, length]',
    ]);
  });

  test("follow the exporters' idiom for Expand: -1 keeps a dim", () => {
    const found = shapes([['batch', 1, 4]], (b, x) => {
      const wanted = b.op('Concat', [b.int64s([-1]), b.int64s([7]), b.int64s([-1])], { axis: 0 });
      const ones = b.op('ConstantOfShape', [b.op('Shape', [wanted])], { value: Tensor.int64s([1]) });
      const keep = b.op('Equal', [wanted, b.op('Mul', [ones, b.constant(Tensor.scalar('int64', -1))])]);
      return b.op('Expand', [x, b.op('Where', [keep, ones, wanted])]);
    });
    expect(found).toEqual(['[batch, 7, 4]']);
  });

  test('broadcast, concatenate and resize', () => {
    const found = shapes(
      [
        ['n', 4],
        ['n', 1],
        ['m', 4],
      ],
      (b, x, y, z) => [
        b.op('Add', [x, y]),
        b.op('Concat', [x, z], { axis: 0 }),
        b.op('Concat', [x, x], { axis: 0 }),
        b.op('Tile', [x, b.int64s([3, 2])]),
        b.op('Pad', [x, b.int64s([1, 0, 1, 2])]),
        ...b.ops('Split', [x], { axis: 0 }, { outputs: 2 }),
      ],
    );
    expect(found).toEqual([
      '[n, 4]',
      '[m+n, 4]',
      '[2*n, 4]',
      '[3*n, 8]',
      '[n+2, 6]',
      '[floor(n/2), 4]',
      '[floor(n/2), 4]',
    ]);
  });

  test('data-dependent dims get symbols of their own, used by nobody else', () => {
    const found = shapes([['nonzero_0', 4]], (b, x) => [b.op('NonZero', [x]), b.op('NonZero', [x])]);
    expect(found).toEqual(['[2, nonzero_1]', '[2, nonzero_2]']);
  });
});

describe('sub-graphs', () => {
  test('a Loop widens what changes from one iteration to the next', () => {
    const inner = new GraphBuilder(['x0']);
    inner.input('i', tensorType('int64', []));
    inner.input('go', tensorType('bool', []));
    inner.inputs.push({ name: 'state', type: undefined });
    const next = inner.op('Concat', ['state', 'x0'], { axis: 0 });
    const body = inner.graph('body', ['go', next, 'x0']);
    const found = shapes([[2, 'c']], (b, x) => {
      const inside = new Set(inner.nodes.flatMap((node) => [node.name, ...node.outputs]));
      for (const name of inside) b.fresh(name);
      return b.ops(
        'Loop',
        [undefined, b.constant(Tensor.of('bool', [], [1])), x],
        { body: graph(body) },
        { outputs: 2 },
      );
    }).map((shape) => shape.replace('trips_0', 'trips'));
    expect(found).toEqual(['[?, c]', '[trips, 2, c]']);
  });
});

describe('refusals name the node and its dims', () => {
  const refuse = (inputs: readonly Shape[], make: Parameters<typeof shapes>[1]): unknown => {
    try {
      return shapes(inputs, make);
    } catch (error) {
      expect(error).toBeInstanceOf(ShapeError);
      return (error as Error).message;
    }
  };

  test.each<[string, readonly Shape[], Parameters<typeof shapes>[1], string]>([
    ['channels', [[1, 3, 8, 8], [4, 2, 3, 3]], (b, x, w) => b.op('Conv', [x, w]), "node 'Conv' (Conv): input [1, 3, 8, 8] has 3 channels, but weight [4, 2, 3, 3] in 1 group(s) needs 2"],
    ['window', [[1, 1, 2, 2]], (b, x) => b.op('MaxPool', [x], { kernel_shape: [3, 3] }), "node 'MaxPool' (MaxPool): a window of extent 3 does not fit axis 2 of size 2 with padding 0 + 0"],
    ['inner dims', [[2, 3], [4, 5]], (b, x, y) => b.op('MatMul', [x, y]), "node 'MatMul' (MatMul): inner dims of [2, 3] and [4, 5] differ: 3 and 4"],
    ['broadcast', [[2, 3], [4, 5]], (b, x, y) => b.op('Add', [x, y]), "node 'Add' (Add): dims 2 and 4 do not broadcast"],
    ['axis', [[2, 3]], (b, x) => b.op('ReduceMean', [x, b.int64s([2])]), "node 'ReduceMean' (ReduceMean): axis 2 is outside the rank 2 of its input"],
    ['reshape', [[2, 3]], (b, x) => b.op('Reshape', [x, b.int64s([4, -1])]), "node 'Reshape' (Reshape): input [2, 3] cannot take the shape [4, -1]"],
    ['concat', [[2, 3], [2, 4]], (b, x, y) => b.op('Concat', [x, y], { axis: 0 }), "node 'Concat' (Concat): axis 1 of the inputs [2, 3], [2, 4]: 3 and 4 must be equal"],
    ['perm', [[2, 3]], (b, x) => b.op('Transpose', [x], { perm: [0, 0] }), "node 'Transpose' (Transpose): perm [0, 0] is no order of the axes of [2, 3]"],
    ['split', [[7]], (b, x) => b.ops('Split', [x], {}, { outputs: 2 }), "node 'Split' (Split): an axis of 7 does not part into 2 equal outputs"],
  ])('%s', (_, inputs, make, message) => {
    expect(refuse(inputs, make)).toBe(message);
  }); // prettier-ignore
});

describe('the walk', () => {
  const reshape = (irVersion: number): string => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', [2, 6]));
    b.input('shape', tensorType('int64', [2]));
    b.initializers.set('shape', Tensor.int64s([3, -1]));
    const y = b.op('Reshape', ['x', 'shape']);
    return formatType(inferShapes(makeModel(b.graph('g', [y]), { irVersion })).types.get(y));
  };

  test('initializers that are also inputs are constants before IR version 4, defaults since', () => {
    expect(reshape(3)).toBe('float32[3, 4]');
    expect(reshape(8)).toBe('float32[?, ?]');
  });

  test("a rule's finding wins over a stale statement in the file; the statement fills what a rule cannot know", () => {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', ['batch', 4]));
    b.input('shape', tensorType('int64', [2]));
    const relu = b.op('Relu', ['x']);
    const reshaped = b.op('Reshape', ['x', 'shape']);
    b.types.set(relu, tensorType('float32', [7, 7]));
    b.types.set(reshaped, tensorType('float32', [null, 2]));
    const { types } = inferShapes(makeModel(b.graph('g', [relu, reshaped])));
    expect(formatType(types.get(relu))).toBe('float32[batch, 4]');
    expect(formatType(types.get(reshaped))).toBe('float32[?, 2]');
  });

  test('nodes may stand in any order, names may be hostile', () => {
    const graphOf = makeModel({
      ...new GraphBuilder().graph('g', []),
      inputs: [{ name: '__proto__', type: tensorType('float32', ['constructor', 2]) }],
      outputs: [{ name: 'toString', type: undefined }],
      nodes: [
        makeNode({ name: 'b', op: 'Relu', inputs: ['hasOwnProperty'], outputs: ['toString'] }),
        makeNode({ name: 'a', op: 'Neg', inputs: ['__proto__'], outputs: ['hasOwnProperty'] }),
      ],
    });
    expect(formatType(inferShapes(graphOf).types.get('toString'))).toBe('float32[constructor, 2]');
    const odd = makeModel({
      ...graphOf.graph,
      nodes: [makeNode({ name: 'c', op: 'constructor', inputs: ['__proto__'], outputs: ['y'] })],
    });
    expect(() => inferShapes(odd)).toThrow(/no shape rule for operator constructor/);
  });
});
