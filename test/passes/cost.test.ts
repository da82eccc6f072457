/** @file Cost of published networks, of each kind of product, of sub-graphs, and what counts as a parameter. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  float,
  graph,
  GraphBuilder,
  makeGraph,
  makeModel,
  makeNode,
  Tensor,
  tensorType,
  type Model,
  type Shape,
} from '../../src/ir/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { bindDims, costOf, inferShapes, OpenDimsError, peakMemory } from '../../src/passes/index.js';

const folder = '../shared/models/cifar10';
const published = existsSync(folder);
if (!published) console.log(`skipped: ${folder} is not there`);

const zeros = (dims: readonly number[]): Tensor =>
  Tensor.of('float32', dims, new Float32Array(dims.reduce((a, b) => a * b, 1)));

/** A model of one operator whose first inputs are fed and whose last are weights. */
function single(
  op: string,
  feeds: readonly Shape[],
  weights: readonly (readonly number[])[],
  attributes: Parameters<GraphBuilder['op']>[2] = {},
): Model {
  const b = new GraphBuilder();
  const inputs = feeds.map((shape, index) => b.input(`x${index}`, tensorType('float32', shape)));
  const constants = weights.map((dims, index) => b.parameter(`w${index}`, zeros(dims)));
  const output = b.op(op, [...inputs, ...constants], attributes);
  return makeModel(b.graph('g', [output]));
}

describe.skipIf(!published)('published anchors', () => {
  const cost = (name: string) => costOf(decodeModel(new Uint8Array(readFileSync(`${folder}/${name}.onnx`))));

  test('ResNet-20 is 40,813,184 MACs and 0.27 M parameters, ResNet-56 is 125,747,840', () => {
    for (const form of ['', '-bn']) {
      const { total, assumedSymbols } = cost(`resnet20-cifar10${form}`);
      expect(total.macs).toBe(40_813_184);
      expect(total.params / 1e6).toBeCloseTo(0.27, 2);
      expect(total.paramBytes).toBe(4 * total.params);
      expect(assumedSymbols).toEqual({ batch: 1 });
      expect(cost(`resnet56-cifar10${form}`).total.macs).toBe(125_747_840);
    }
  });

  test('everything but parameters grows with the batch', () => {
    const model = decodeModel(new Uint8Array(readFileSync(`${folder}/resnet20-cifar10.onnx`)));
    const one = costOf(model);
    const eight = costOf(model, { symbols: { batch: 8 } });
    expect(eight.assumedSymbols).toEqual({});
    expect(eight.total.macs).toBe(8 * one.total.macs);
    expect(eight.total.peakActivationBytes).toBe(8 * one.total.peakActivationBytes);
    expect(eight.total.params).toBe(one.total.params);
    // The first stage's blocks keep input, shortcut and output of 16×32×32 floats alive at the addition.
    expect(one.total.peakActivationBytes).toBe(3 * 4 * 16 * 32 * 32);
  });
});

describe('products', () => {
  const macs = (...args: Parameters<typeof single>): number => costOf(single(...args)).total.macs;

  test('convolutions', () => {
    expect(macs('Conv', [[1, 8, 10, 10]], [[16, 8, 3, 3]], { pads: [1, 1, 1, 1] })).toBe(16 * 100 * 8 * 9);
    expect(macs('Conv', [[2, 8, 10, 10]], [[8, 1, 3, 3]], { group: 8, strides: [2, 2], pads: [1, 1, 1, 1] })).toBe(
      2 * 8 * 25 * 9,
    );
    expect(macs('ConvTranspose', [[1, 8, 5, 5]], [[8, 4, 2, 2]], { strides: [2, 2] })).toBe(8 * 25 * 4 * 4);
  });

  test('matrix products', () => {
    expect(macs('MatMul', [[2, 3, 4, 5]], [[5, 6]])).toBe(2 * 3 * 4 * 5 * 6);
    expect(macs('Gemm', [[5, 4]], [[6, 5], [6]], { transA: 1, transB: 1 })).toBe(4 * 5 * 6);
    expect(macs('Einsum', [[2, 3, 4]], [[2, 5, 4]], { equation: 'bij,bkj->bik' })).toBe(2 * 3 * 4 * 5);
  });

  test('recurrent layers', () => {
    // 7 steps, batch 2, 3 inputs, hidden 5.
    expect(
      macs(
        'LSTM',
        [[7, 2, 3]],
        [
          [1, 20, 3],
          [1, 20, 5],
        ],
        { hidden_size: 5 },
      ),
    ).toBe(7 * 2 * 20 * (3 + 5));
    expect(
      macs(
        'GRU',
        [[7, 2, 3]],
        [
          [2, 15, 3],
          [2, 15, 5],
        ],
        { hidden_size: 5, direction: 'bidirectional' },
      ),
    ).toBe(2 * 7 * 2 * 15 * 8);
    expect(
      macs(
        'RNN',
        [[7, 2, 3]],
        [
          [1, 5, 3],
          [1, 5, 5],
        ],
        { hidden_size: 5 },
      ),
    ).toBe(7 * 2 * 5 * 8);
  });

  test('bias, activations and pools count as other operations', () => {
    const { total } = costOf(single('Conv', [[1, 1, 4, 4]], [[2, 1, 1, 1], [2]]));
    expect([total.macs, total.flops, total.params]).toEqual([32, 32, 4]);
    expect(costOf(single('MaxPool', [[1, 1, 4, 4]], [], { kernel_shape: [2, 2], strides: [2, 2] })).total.flops).toBe(
      16,
    );
    expect(costOf(single('LeakyRelu', [[3, 4]], [], { alpha: float(0.1) })).total).toMatchObject({
      macs: 0,
      flops: 24,
    });
  });
});

describe('parameters', () => {
  test('initializers and Constant nodes alike, each once; settings, shapes and scalars not at all', () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [1, 6]));
    const shared = b.parameter('w', zeros([6, 6]));
    const constant = b.op('Constant', [], { value: zeros([6]) });
    let y = b.op('MatMul', [x, shared]);
    y = b.op('MatMul', [y, shared]);
    y = b.op('Add', [y, constant]);
    y = b.op('Mul', [y, b.scalar(0.5)]);
    y = b.op('Clip', [y, b.scalar(0), b.scalar(6)]);
    y = b.op('Reshape', [y, b.int64s([2, 3])]);
    const cost = costOf(makeModel(b.graph('g', [y])));
    expect(cost.total.params).toBe(36 + 6);
    expect(cost.nodes.filter((node) => node.op === 'MatMul').map((node) => node.params)).toEqual([36, 0]);
    expect(cost.nodes.find((node) => node.op === 'Constant')).toMatchObject({ params: 0, activationBytes: 0 });
  });
});

describe('sub-graphs', () => {
  const body = (width: number, inputs: readonly string[] = []) => {
    const b = new GraphBuilder(['x', 'cond', ...inputs]);
    const y = b.op('MatMul', ['x', b.parameter(`w${width}`, zeros([4, width]))], {}, { name: `m${width}` });
    return { b, y };
  };

  test('If costs its most expensive branch', () => {
    const branches = [8, 32].map((width) => {
      const { b, y } = body(width);
      return b.graph(`b${width}`, [y]);
    });
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', ['batch', 4]));
    b.input('cond', tensorType('bool', []));
    const y = b.op('If', ['cond'], { then_branch: graph(branches[0]!), else_branch: graph(branches[1]!) });
    const cost = costOf(makeModel(b.graph('g', [y])), { symbols: { batch: 3 } });
    expect(cost.total.macs).toBe(3 * 4 * 32);
    expect(cost.total.params).toBe(4 * 8 + 4 * 32);
    expect(cost.notes.join()).toContain('most expensive branch');
  });

  test.each([
    ['a constant trip count', true, 5],
    ['a trip count that only a run can tell', false, 1],
  ])('Loop with %s', (_, constant, times) => {
    const inner = new GraphBuilder(['x', 'trips', 'w']);
    inner.input('i', tensorType('int64', []));
    inner.input('go', tensorType('bool', []));
    inner.input('state', tensorType('float32', [2, 4]));
    const go = inner.op('Identity', ['go']);
    const next = inner.op('MatMul', ['state', 'w']);
    const bodyGraph = inner.graph('body', [go, next, next]);
    const b = new GraphBuilder(['i', 'go', 'state', ...inner.nodes.flatMap((node) => [node.name, ...node.outputs])]);
    b.input('x', tensorType('float32', [2, 4]));
    const trips = constant ? b.constant(Tensor.scalar('int64', 5)) : b.input('trips', tensorType('int64', []));
    b.parameter('w', zeros([4, 4]));
    const [last, all] = b.ops('Loop', [trips, undefined, 'x'], { body: graph(bodyGraph) }, { outputs: 2 });
    const model = makeModel(b.graph('g', [last!, all!]));
    const cost = costOf(model);
    expect(cost.total.macs).toBe(times * 2 * 4 * 4);
    expect(cost.total.params).toBe(16);
    const type = inferShapes(model).types.get(all!);
    expect(type).toEqual(tensorType('float32', [constant ? 5 : 'trips_0', 2, 4]));
  });
});

describe('memory', () => {
  test('a value lives from its node to its last reader, outputs to the end', () => {
    // x(1) → a(10) → b(100) → c(1); a is read again by c; b is an output.
    const nodes = [
      makeNode({ name: 'A', op: 'Relu', inputs: ['x'], outputs: ['a'] }),
      makeNode({ name: 'B', op: 'Relu', inputs: ['a'], outputs: ['b'] }),
      makeNode({ name: 'C', op: 'Add', inputs: ['a', 'b'], outputs: ['c'] }),
      makeNode({ name: 'D', op: 'Relu', inputs: ['c'], outputs: ['d'] }),
    ];
    const type = undefined;
    const graphOf = (outputs: readonly string[]) =>
      makeGraph({ inputs: [{ name: 'x', type }], outputs: outputs.map((name) => ({ name, type })), nodes });
    const sizes: Record<string, number> = { x: 1, a: 10, b: 100, c: 1000, d: 5000 };
    const bytes = (name: string): number => sizes[name]!;
    expect(peakMemory(graphOf(['d']), bytes)).toEqual({ bytes: 1000 + 5000, node: 'D' });
    expect(peakMemory(graphOf(['b', 'd']), bytes)).toEqual({ bytes: 100 + 1000 + 5000, node: 'D' });
    expect(peakMemory(graphOf(['d']), bytes, (node) => (node.name === 'B' ? 1e6 : 0))).toEqual({
      bytes: 1e6 + 110,
      node: 'B',
    });
  });
});

describe('symbolic dims', () => {
  test('binding makes types concrete and leaves other symbols', () => {
    const model = single('Conv', [['batch', 3, 'h', 'w']], [[8, 3, 3, 3]], { strides: [2, 2] });
    const typed = { ...model, graph: { ...model.graph, types: inferShapes(model).types } };
    const { model: half, bound, changed } = bindDims(typed, { batch: 2, h: 9, none: 1 });
    expect([changed, bound]).toEqual([true, ['batch', 'h']]);
    expect(half.graph.inputs[0]!.type).toEqual(tensorType('float32', [2, 3, 9, 'w']));
    expect(half.graph.types.get(half.graph.outputs[0]!.name)).toEqual(
      tensorType('float32', [2, 8, 4, 'floor((w+1)/2)-1']),
    );
    expect(bindDims(model, { other: 3 }).changed).toBe(false);
    expect(() => bindDims(model, { batch: -1 })).toThrow(/cannot have the size -1/);
  });

  test('a size that does not fit is asked for by name', () => {
    const model = single('Conv', [['batch', 3, 'h', 'w']], [[8, 3, 3, 3]]);
    expect(() => costOf(model)).toThrow(OpenDimsError);
    expect(() => costOf(model)).toThrow(/no size is given for batch, h, w/);
    expect(costOf(model, { symbols: { h: 8, w: 8 } }).assumedSymbols).toEqual({ batch: 1 });
  });

  test('an unknown operator is refused by name, or counted as free on demand', () => {
    const model = single('Frobnicate', [[1]], []);
    expect(() => costOf(model)).toThrow(/no shape rule for operator Frobnicate/);
    expect(costOf(model, { unknownOps: 'skip' }).notes.join()).toContain('no cost rule');
  });
});
