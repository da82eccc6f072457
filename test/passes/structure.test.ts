/** @file Dead nodes, extraction, freezing and BatchNorm folding on small graphs and on real networks. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  float,
  graph as graphAttribute,
  GraphBuilder,
  makeGraph,
  makeModel,
  makeNode,
  Tensor,
  tensorType,
  type Model,
} from '../../src/ir/index.js';
import { decodeModel, encodeModel } from '../../src/onnx/index.js';
import {
  constantsToInitializers,
  extract,
  foldBatchNorm,
  freeze,
  inferShapes,
  initializersToConstants,
  removeDeadNodes,
  unfreeze,
} from '../../src/passes/index.js';
import { bitEqual, difference, runOrt } from '../onnx/ort.js';
import { readBytes } from '../onnx/testdata.js';

const wave = (dims: readonly number[], phase = 0): Tensor =>
  Tensor.floats(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 0.7 + phase) + 0.1),
    dims,
  );
const positive = (dims: readonly number[]): Tensor =>
  Tensor.floats(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => 0.5 + (i % 3)),
    dims,
  );

const run = (model: Model, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> =>
  runOrt(encodeModel(model), feeds);

const folder = resolve(import.meta.dirname, '../../../shared/models/cifar10');
const networks = existsSync(folder);
if (!networks) console.log('skipped: ../shared/models is not there');
const network = (name: string): Model => decodeModel(readBytes(resolve(folder, name)));

describe('removeDeadNodes', () => {
  test('removes dead nodes, initializers and captures, and keeps the rest', () => {
    const branch = (output: string): Model['graph'] =>
      makeGraph({
        outputs: [{ name: output, type: tensorType('float32', [2]) }],
        nodes: [
          makeNode({ name: 'used', op: 'Neg', inputs: ['live'], outputs: [output] }),
          makeNode({ name: 'unused', op: 'Neg', inputs: ['onlyDeadInside'], outputs: [`${output}_dead`] }),
        ],
      });
    const model = makeModel(
      makeGraph({
        inputs: [
          { name: 'x', type: tensorType('float32', [2]) },
          { name: 'c', type: tensorType('bool', []) },
          { name: 'unusedDefault', type: tensorType('float32', [1]) },
        ],
        outputs: [{ name: 'y', type: tensorType('float32', [2]) }],
        nodes: [
          makeNode({ name: 'a', op: 'Add', inputs: ['x', 'w'], outputs: ['live'] }),
          makeNode({ name: 'b', op: 'Add', inputs: ['x', 'v'], outputs: ['onlyDeadInside'] }),
          makeNode({
            name: 'if',
            op: 'If',
            inputs: ['c'],
            outputs: ['y'],
            attributes: new Map([
              ['then_branch', graphAttribute(branch('p'))],
              ['else_branch', graphAttribute(branch('q'))],
            ]),
          }),
        ],
        initializers: new Map([
          ['w', wave([2])],
          ['v', wave([2])],
          ['unusedDefault', wave([1])],
        ]),
        types: new Map([['onlyDeadInside', tensorType('float32', [2])]]),
      }),
    );
    const result = removeDeadNodes(model);
    expect(result.changed).toBe(true);
    expect([...result.removedNodes].sort()).toEqual(['b', 'if/unused', 'if/unused']);
    expect(result.removedInitializers).toEqual(['v']);
    expect(result.model.graph.nodes.map((node) => node.name)).toEqual(['a', 'if']);
    expect([...result.model.graph.initializers.keys()]).toEqual(['w', 'unusedDefault']);
    expect(result.model.graph.types.size).toBe(0);
    expect(removeDeadNodes(result.model)).toMatchObject({ changed: false, model: result.model });
  });
});

describe('freeze', () => {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', [2]));
  b.input('w', tensorType('float32', [2]));
  b.initializers.set('w', wave([2]));
  b.alias(b.op('Mul', ['x', 'w']), 'y');
  const model = makeModel(b.graph('g', [{ name: 'y', type: tensorType('float32', [2]) }]));
  const feeds = { x: wave([2], 1) };

  test('freeze and unfreeze are inverse', async () => {
    const frozen = freeze(model);
    expect(frozen.moved).toEqual(['w']);
    expect(frozen.model.graph.inputs.map((input) => input.name)).toEqual(['x']);
    const back = unfreeze(frozen.model, ['w']);
    expect(back.model).toEqual(model);
    expect(freeze(frozen.model).changed).toBe(false);
    const [before, after] = [await run(model, feeds), await run(frozen.model, feeds)];
    expect(bitEqual(before.y!, after.y!)).toBe(true);
    expect(() => freeze(model, ['x'])).toThrow(/no input with a default/);
    expect(() => unfreeze(model, ['w'])).toThrow(/input already/);
  });

  test('initializers and Constant nodes are inverse', async () => {
    const frozen = freeze(model).model;
    const constants = initializersToConstants(frozen);
    expect(constants.model.graph.initializers.size).toBe(0);
    expect(constants.model.graph.nodes[0]!.op).toBe('Constant');
    const lifted = constantsToInitializers(constants.model);
    expect(lifted.moved).toEqual(['w']);
    expect(lifted.model).toEqual(frozen);
    const [before, after] = [await run(frozen, feeds), await run(constants.model, feeds)];
    expect(bitEqual(before.y!, after.y!)).toBe(true);
  });
});

describe('extract', () => {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', ['n', 4]));
  b.input('z', tensorType('float32', ['n', 4]));
  const halves = b.ops('Split', ['x'], { axis: 1, num_outputs: 2 }, { outputs: 2, name: 'split' });
  const left = b.op('Relu', [halves[0]], {}, { name: 'left' });
  const right = b.op('Neg', [halves[1]], {}, { name: 'right' });
  const sum = b.op('Add', [left, right], {}, { name: 'sum' });
  b.alias(b.op('Concat', [sum, 'z'], { axis: 1 }), 'y');
  const model = makeModel(b.graph('g', [{ name: 'y', type: undefined }]));

  test('keeps only what the outputs need', () => {
    const part = extract(model, { inputs: [left, right], outputs: [sum] });
    expect(part.graph.nodes.map((node) => node.name)).toEqual(['sum']);
    expect(part.graph.inputs).toEqual([
      { name: left, type: tensorType('float32', ['n', 2]) },
      { name: right, type: tensorType('float32', ['n', 2]) },
    ]);
  });

  test('a node with one output fed and one needed does not define the fed one twice', async () => {
    const part = extract(model, { inputs: ['x', halves[0]!], outputs: [sum] });
    const feeds = { x: wave([3, 4]), [halves[0]!]: wave([3, 2], 2) };
    const full = extract(model, { inputs: halves, outputs: [sum] });
    const split = await run(extract(model, { inputs: ['x'], outputs: [halves[1]!] }), { x: feeds.x });
    const expected = await run(full, { [halves[0]!]: feeds[halves[0]!]!, ...split });
    expect(bitEqual((await run(part, feeds))[sum]!, expected[sum]!)).toBe(true);
  });

  test('refuses what cannot be cut', () => {
    expect(() => extract(model, { inputs: ['x'], outputs: ['y'] })).toThrow(/depends on graph input 'z'/);
    expect(() => extract(model, { inputs: ['nope'], outputs: ['y'] })).toThrow(/no value 'nope'/);
    expect(() => extract(model, { inputs: ['x', 'x'], outputs: [left] })).toThrow(/twice/);
    expect(() => extract(model, { inputs: ['x'], outputs: [] })).toThrow(/no output/);
  });

  test('captures of sub-graphs are carried and cross the cut', async () => {
    const branch = (output: string, op: string): Model['graph'] =>
      makeGraph({
        outputs: [{ name: output, type: tensorType('float32', [2]) }],
        nodes: [makeNode({ name: `${output}_node`, op, inputs: ['h', 'w'], outputs: [output] })],
      });
    const whole = makeModel(
      makeGraph({
        inputs: [
          { name: 'x', type: tensorType('float32', [2]) },
          { name: 'c', type: tensorType('bool', []) },
        ],
        outputs: [{ name: 'y', type: tensorType('float32', [2]) }],
        nodes: [
          makeNode({ name: 'a', op: 'Neg', inputs: ['x'], outputs: ['h'] }),
          makeNode({
            name: 'if',
            op: 'If',
            inputs: ['c'],
            outputs: ['y'],
            attributes: new Map([
              ['then_branch', graphAttribute(branch('p', 'Add'))],
              ['else_branch', graphAttribute(branch('q', 'Sub'))],
            ]),
          }),
        ],
        initializers: new Map([['w', wave([2])]]),
      }),
    );
    expect(() => extract(whole, { inputs: ['c'], outputs: ['y'] })).toThrow(/graph input 'x'/);
    const tail = extract(whole, { inputs: ['h', 'c'], outputs: ['y'] });
    expect([...tail.graph.initializers.keys()]).toEqual(['w']);
    const c = Tensor.scalar('bool', 0);
    const x = wave([2], 3);
    const { h } = await run(extract(whole, { inputs: ['x'], outputs: ['h'] }), { x });
    const [expected, actual] = [await run(whole, { x, c }), await run(tail, { h: h!, c })];
    expect(bitEqual(expected.y!, actual.y!)).toBe(true);
  });

  test.skipIf(!networks).each(['resnet20-cifar10.onnx', 'resnet20-cifar10-bn.onnx'])(
    'the halves of every topological cut of %s compose to the whole',
    { timeout: 120_000 },
    async (name) => {
      const whole = network(name);
      const { graph } = whole;
      const input = graph.inputs[0]!.name;
      const output = graph.outputs[0]!.name;
      const x = wave([2, 3, 32, 32]);
      const { types } = inferShapes(whole);
      const expected = (await run(whole, { [input]: x }))[output]!;
      const produced = new Set<string>();
      for (let cut = 1; cut < graph.nodes.length; cut++) {
        for (const value of graph.nodes[cut - 1]!.outputs) produced.add(value);
        const after = new Set(graph.nodes.slice(cut).flatMap((node) => node.inputs));
        const frontier = [...produced, input].filter((value) => after.has(value));
        const isConstant = frontier.every((value) => graph.initializers.has(value));
        if (isConstant) continue;
        const first = extract(whole, { inputs: [input], outputs: frontier }, { types });
        const second = extract(whole, { inputs: frontier, outputs: [output] }, { types });
        const crossing = await run(first, { [input]: x });
        const actual = (await run(second, crossing))[output]!;
        expect(difference(expected, actual), `cut ${cut} at ${frontier.join()}`).toBeLessThan(1e-5);
      }
    },
  );
});

describe('foldBatchNorm', () => {
  /** A network of one layer and one BatchNormalization behind it. */
  function layerThenNorm(
    op: string,
    inputDims: readonly number[],
    weightDims: readonly number[],
    channels: number,
    attributes: Parameters<GraphBuilder['op']>[2] = {},
    bias?: readonly number[],
  ): Model {
    const b = new GraphBuilder();
    b.input('x', tensorType('float32', inputDims));
    const inputs = ['x', b.parameter('w', wave(weightDims)), ...(bias ? [b.parameter('bias', wave(bias, 5))] : [])];
    const h = b.op(op, inputs, attributes);
    const y = b.op('BatchNormalization', [
      h,
      b.parameter('g', wave([channels], 1)),
      b.parameter('b', wave([channels], 2)),
      b.parameter('m', wave([channels], 3)),
      b.parameter('v', positive([channels])),
    ]);
    b.alias(y, 'y');
    return makeModel(b.graph('g', [{ name: 'y', type: undefined }]));
  }

  test.each<[string, Model, readonly number[]]>([
    ['Conv', layerThenNorm('Conv', [2, 3, 5, 5], [4, 3, 3, 3], 4), [2, 3, 5, 5]],
    [
      'Conv with bias and groups',
      layerThenNorm('Conv', [2, 4, 5, 5], [6, 2, 3, 3], 6, { group: 2 }, [6]),
      [2, 4, 5, 5],
    ],
    ['Conv 1-D', layerThenNorm('Conv', [2, 3, 7], [4, 3, 3], 4), [2, 3, 7]],
    ['ConvTranspose', layerThenNorm('ConvTranspose', [2, 3, 5, 5], [3, 4, 3, 3], 4, {}, [4]), [2, 3, 5, 5]],
    [
      'ConvTranspose with groups',
      layerThenNorm('ConvTranspose', [2, 4, 5, 5], [4, 3, 2, 2], 6, { group: 2, strides: [2, 2] }),
      [2, 4, 5, 5],
    ],
    ['Gemm', layerThenNorm('Gemm', [3, 5], [5, 4], 4, {}, [4]), [3, 5]],
    [
      'Gemm with transB, alpha and beta',
      layerThenNorm('Gemm', [3, 5], [4, 5], 4, { transB: 1, alpha: float(0.5), beta: float(2) }, [1, 4]),
      [3, 5],
    ],
    ['Gemm with a scalar bias', layerThenNorm('Gemm', [3, 5], [5, 4], 4, { beta: float(3) }, [1]), [3, 5]],
    ['Gemm without bias', layerThenNorm('Gemm', [3, 5], [5, 4], 4), [3, 5]],
  ])('%s', async (_name, model, dims) => {
    const result = foldBatchNorm(model);
    expect(result.folded.length).toBe(1);
    expect(result.model.graph.nodes.map((node) => node.op)).not.toContain('BatchNormalization');
    expect(result.model.graph.initializers.size).toBe(2);
    const x = wave(dims, 9);
    const [before, after] = [await run(model, { x }), await run(result.model, { x })];
    expect(difference(before.y!, after.y!)).toBeLessThan(1e-4);
  });

  test('behind anything else it becomes a scale and a shift', async () => {
    const model = layerThenNorm('MatMul', [3, 5], [5, 4], 4);
    const result = foldBatchNorm(model);
    expect(result.scaled.length).toBe(1);
    const x = wave([3, 5]);
    const [before, after] = [await run(model, { x }), await run(result.model, { x })];
    expect(difference(before.y!, after.y!)).toBeLessThan(1e-5);
  });

  test('a Conv that others read too keeps its weights', async () => {
    const model = layerThenNorm('Conv', [2, 3, 5, 5], [4, 3, 3, 3], 4);
    const h = model.graph.nodes[0]!.outputs[0]!;
    const shared = {
      ...model,
      graph: { ...model.graph, outputs: [...model.graph.outputs, { name: h, type: undefined }] },
    };
    const result = foldBatchNorm(shared);
    expect([result.folded.length, result.scaled.length]).toEqual([0, 1]);
    const x = wave([2, 3, 5, 5]);
    const [before, after] = [await run(shared, { x }), await run(result.model, { x })];
    for (const name of ['y', h]) expect(difference(before[name]!, after[name]!)).toBeLessThan(1e-5);
  });

  test('the training form stays, with the reason', () => {
    const model = layerThenNorm('Conv', [2, 3, 5, 5], [4, 3, 3, 3], 4);
    const nodes = model.graph.nodes.map((node) =>
      node.op === 'BatchNormalization'
        ? { ...node, attributes: new Map([['training_mode', { type: 'int' as const, value: 1n }]]) }
        : node,
    );
    const result = foldBatchNorm({ ...model, graph: { ...model.graph, nodes } });
    expect(result.changed).toBe(false);
    expect(result.kept[0]!.why).toContain('training');
  });

  test.skipIf(!networks).each([
    ['resnet20-cifar10-bn.onnx', 'resnet20-cifar10.onnx'],
    ['resnet56-cifar10-bn.onnx', 'resnet56-cifar10.onnx'],
  ])('%s gives the logits of before, and of the exporter’s own folding', async (name, foldedName) => {
    const model = network(name);
    const result = foldBatchNorm(model);
    expect(result.kept).toEqual([]);
    expect(result.scaled).toEqual([]);
    expect(result.model.graph.nodes.some((node) => node.op === 'BatchNormalization')).toBe(false);
    const x = wave([4, 3, 32, 32]);
    const before = (await run(model, { input: x })).logits!;
    expect(difference(before, (await run(result.model, { input: x })).logits!)).toBeLessThan(1e-4);
    expect(difference(before, (await run(network(foldedName), { input: x })).logits!)).toBeLessThan(1e-4);
  });
});
