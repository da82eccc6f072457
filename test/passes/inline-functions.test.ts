/** @file Inlining of local functions: the same outputs as ONNX Runtime's own expansion, and refusals. */
import { describe, expect, test } from 'vitest';
import {
  float,
  graph as graphAttribute,
  int,
  InvalidGraphError,
  makeGraph,
  makeModel,
  makeNode,
  Tensor,
  tensorType,
  type Attribute,
  type Model,
  type ModelFunction,
  type Node,
} from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { inlineFunctions } from '../../src/passes/index.js';
import { difference, runOrt } from '../onnx/ort.js';

const reference = (value: string, of: string): Attribute => ({ type: 'reference', value, of });
const node = (
  name: string,
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  rest: Partial<Node> = {},
): Node => makeNode({ name, op, inputs, outputs, attributes: new Map(Object.entries(attributes)), ...rest });

const fn = (
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: readonly Node[],
  rest: Partial<ModelFunction> = {},
): ModelFunction => ({
  name,
  domain: 'own',
  overload: '',
  inputs,
  outputs,
  attributes: [],
  attributeDefaults: new Map(),
  nodes,
  opsets: new Map([
    ['', 18],
    ['own', 1],
  ]),
  doc: '',
  ...rest,
});

function modelOf(
  nodes: readonly Node[],
  functions: readonly ModelFunction[],
  outputs: readonly string[] = ['y'],
): Model {
  return makeModel(
    makeGraph({
      inputs: [
        { name: 'x', type: tensorType('float32', [3]) },
        { name: 'c', type: tensorType('bool', []) },
      ],
      outputs: outputs.map((name) => ({ name, type: tensorType('float32', [3]) })),
      nodes,
      initializers: new Map([['w', Tensor.floats([1, -2, 3])]]),
    }),
    {
      opsets: new Map([
        ['', 18],
        ['own', 1],
      ]),
      functions,
    },
  );
}

const own = { domain: 'own' };
const leaky = fn(
  'Leaky',
  ['a', 'bias'],
  ['r'],
  [
    node('l', 'LeakyRelu', ['a'], ['h'], { alpha: reference('slope', 'float') }),
    node('s', 'Add', ['h', 'bias'], ['r']),
  ],
  { attributes: ['slope'] },
);
const twice = fn(
  'Twice',
  ['a'],
  ['r', 'mid'],
  [
    node('one', 'Leaky', ['a', 'a'], ['mid'], { slope: reference('steep', 'float') }, own),
    node('two', 'Leaky', ['mid', 'a'], ['r'], { slope: float(0.5) }, own),
  ],
  { attributeDefaults: new Map([['steep', float(0.1)]]) },
);

const inlinedNodes = (model: Model): readonly string[] => inlineFunctions(model).model.graph.nodes.map(({ op }) => op);

async function expectSame(model: Model): Promise<Model> {
  const { model: inlined, changed } = inlineFunctions(model);
  expect(changed).toBe(true);
  expect(inlined.functions).toEqual([]);
  const names = inlined.graph.nodes.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const c of [0, 1]) {
    const feeds = { x: Tensor.floats([-1, 0.5, 2]), c: Tensor.scalar('bool', c) };
    const [before, after] = [await runOrt(encodeModel(model), feeds), await runOrt(encodeModel(inlined), feeds)];
    expect(Object.keys(after)).toEqual(Object.keys(before));
    for (const [name, tensor] of Object.entries(before)) expect(difference(tensor, after[name]!), name).toBe(0);
  }
  return inlined;
}

describe('inlineFunctions', () => {
  test('attributes of the call and defaults, nested calls, several calls', async () => {
    const model = modelOf(
      [
        node('first', 'Twice', ['x'], ['h', 'm'], { steep: float(0.25) }, own),
        node('second', 'Twice', ['h'], ['y', 'n'], {}, own),
      ],
      [leaky, twice],
      ['y', 'm'],
    );
    const inlined = await expectSame(model);
    expect(inlineFunctions(model).inlined).toEqual(
      new Map([
        ['own.Twice', 2],
        ['own.Leaky', 4],
      ]),
    );
    expect(inlined.graph.nodes.map(({ op }) => op).filter((op) => op === 'LeakyRelu').length).toBe(4);
    expect([...inlined.opsets.keys()]).toEqual(['']);
  });

  test('calls inside sub-graphs, and sub-graphs inside functions', async () => {
    const branch = (output: string, op: string): Attribute =>
      graphAttribute(
        makeGraph({
          outputs: [{ name: output, type: tensorType('float32', [3]) }],
          nodes: [
            node('inner', op, ['a', 'scale'], ['t']),
            node('scaled', 'LeakyRelu', ['t'], [output], { alpha: reference('slope', 'float') }),
          ],
          initializers: new Map([['scale', Tensor.floats([2, 2, 2])]]),
        }),
      );
    const choose = fn(
      'Choose',
      ['a', 'which'],
      ['r'],
      [
        node('if', 'If', ['which'], ['r'], {
          then_branch: branch('p', 'Mul'),
          else_branch: branch('q', 'Sub'),
        }),
      ],
      { attributes: ['slope'] },
    );
    const outer = (output: string, slope: number): Attribute =>
      graphAttribute(
        makeGraph({
          outputs: [{ name: output, type: tensorType('float32', [3]) }],
          nodes: [node('call', 'Choose', ['x', 'c'], [output], { slope: float(slope) }, own)],
        }),
      );
    await expectSame(
      modelOf(
        [
          node('direct', 'Choose', ['x', 'c'], ['h'], { slope: float(0.3) }, own),
          node('if', 'If', ['c'], ['k'], { then_branch: outer('u', 0.1), else_branch: outer('v', 0.2) }),
          node('sum', 'Add', ['h', 'k'], ['y']),
        ],
        [choose],
      ),
    );
  });

  test('optional inputs and outputs, pass-through outputs, overloads', async () => {
    const clip = fn(
      'Bound',
      ['a', 'low', 'high'],
      ['r', 'same'],
      [node('n', 'Clip', ['a', 'low', 'high'], ['r']), node('i', 'Identity', ['a'], ['same'])],
    );
    const other = fn('Bound', ['a'], ['r'], [node('n', 'Neg', ['a'], ['r'])], { overload: 'neg' });
    const model = modelOf(
      [node('b', 'Bound', ['x'], ['h'], {}, own), node('n', 'Bound', ['h'], ['y'], {}, { ...own, overload: 'neg' })],
      [clip, other],
    );
    expect(inlinedNodes(model)).toEqual(['Clip', 'Identity', 'Neg']);
    const through = modelOf([node('t', 'Same', ['x'], ['y'], {}, own)], [fn('Same', ['a'], ['a'], [])]);
    expect(inlinedNodes(through)).toEqual(['Identity']);
    expect(inlineFunctions(through).model.graph.nodes[0]).toMatchObject({ inputs: ['x'], outputs: ['y'] });
  });

  test('a reference without value vanishes', () => {
    const model = modelOf([node('l', 'Leaky', ['x', 'w'], ['y'], {}, own)], [leaky]);
    expect(inlineFunctions(model).model.graph.nodes[0]!.attributes.size).toBe(0);
  });

  test('recursion, explosion, misfits and other opsets are refused', () => {
    const self = fn('Self', ['a'], ['r'], [node('n', 'Self', ['a'], ['r'], {}, own)]);
    expect(() => inlineFunctions(modelOf([node('s', 'Self', ['x'], ['y'], {}, own)], [self]))).toThrow(/calls itself/);
    const levels = Array.from({ length: 30 }, (_, i) =>
      fn(
        `F${i}`,
        ['a'],
        ['r'],
        [
          node('p', i === 0 ? 'Neg' : `F${i - 1}`, ['a'], ['h'], {}, i === 0 ? {} : own),
          node('q', i === 0 ? 'Neg' : `F${i - 1}`, ['h'], ['r'], {}, i === 0 ? {} : own),
        ],
      ),
    );
    expect(() => inlineFunctions(modelOf([node('b', 'F29', ['x'], ['y'], {}, own)], levels))).toThrow(/more than/);
    const misfit = modelOf([node('l', 'Leaky', ['x', 'w', 'x'], ['y'], {}, own)], [leaky]);
    expect(() => inlineFunctions(misfit)).toThrow(InvalidGraphError);
    const older = { ...leaky, opsets: new Map([['', 13]]) };
    expect(() => inlineFunctions(modelOf([node('l', 'Leaky', ['x', 'w'], ['y'], {}, own)], [older]))).toThrow(
      /opset 13/,
    );
  });

  test('a model without functions stays as it is', () => {
    const model = modelOf([node('n', 'Neg', ['x'], ['y'], { unused: int(1) })], []);
    expect(inlineFunctions(model)).toMatchObject({ changed: false, model });
  });
});
