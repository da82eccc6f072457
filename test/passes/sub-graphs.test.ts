/** @file Passes on models with sub-graphs and local functions: names, constants, known branches, types, costs, refusals. */
import { describe, expect, it } from 'vitest';
import {
  graph as graphAttribute,
  GraphBuilder,
  makeGraph,
  makeModel,
  makeNode,
  subgraphsOf,
  Tensor,
  tensorType,
  type Graph,
  type Model,
  type Node,
} from '../../src/ir/index.js';
import {
  bindDims,
  costOf,
  extract,
  inferShapes,
  liftConstants,
  removeDeadNodes,
  resolveBranches,
  uniqueNames,
} from '../../src/passes/index.js';
import { runModel } from '../gradients/harness.js';

const FLOATS = (...shape: (number | string | null)[]) => tensorType('float32', shape);

const branch = (nodes: readonly Node[], output: string, parts: Partial<Graph> = {}) =>
  graphAttribute(makeGraph({ nodes, outputs: [{ name: output, type: undefined }], ...parts }));
const n = (name: string, op: string, inputs: string[], outputs: string[], rest: Partial<Node> = {}): Node =>
  makeNode({ name, op, inputs, outputs, ...rest });

/** if c: x·w (w in the branch) else x + w (another w, a Constant node); both branches call their values alike. */
function twoBranches(condition: (b: GraphBuilder) => string): Model {
  const b = new GraphBuilder();
  b.input('x', FLOATS('batch', 2));
  const c = condition(b);
  const constant = new Map([['value', { type: 'tensor', value: Tensor.floats([10, 20]) } as const]]);
  const y = b.op('If', [c], {
    then_branch: branch([n('m', 'Mul', ['x', 'w'], ['v']), n('e', 'Neg', ['v'], ['r'])], 'r', {
      initializers: new Map([['w', Tensor.floats([2, 3])]]),
    }),
    else_branch: branch(
      [
        n('k', 'Constant', [], ['w'], { attributes: constant }),
        n('a', 'Add', ['x', 'w'], ['v']),
        n('i', 'Abs', ['v'], ['r']),
      ],
      'r',
    ),
  });
  b.types.set(y, FLOATS('batch', 2));
  return makeModel(b.graph('branches', [b.alias(y, 'y')]));
}
const fed = (b: GraphBuilder): string => b.input('c', tensorType('bool', []));
const x = Tensor.floats([1, -2, 3, 4], [2, 2]);
const truth = (value: boolean) => Tensor.of('bool', [], [value ? 1 : 0]);

async function expectSame(before: Model, after: Model): Promise<void> {
  const takesCondition = before.graph.inputs.some(({ name }) => name === 'c');
  for (const c of takesCondition ? [true, false] : [true]) {
    const feeds: Record<string, Tensor> = takesCondition ? { x, c: truth(c) } : { x };
    const [old, now] = [await runModel(before, feeds), await runModel(after, feeds)];
    expect(now.y!.numbers()).toEqual(old.y!.numbers());
  }
}

const inner = (model: Model): Graph[] =>
  model.graph.nodes.flatMap((node) => subgraphsOf(node).map(([, graph]) => graph));

describe('uniqueNames', () => {
  it('renames what two branches call alike, and what they capture stays', async () => {
    const model = twoBranches(fed);
    const { model: renamed, changed } = uniqueNames(model);
    expect(changed).toBe(true);
    const names = inner(renamed).flatMap((graph) => graph.nodes.flatMap((node) => node.outputs));
    expect(new Set(names).size).toBe(names.length);
    expect(inner(renamed).every((graph) => graph.nodes.some((node) => node.inputs.includes('x')))).toBe(true);
    await expectSame(model, renamed);
    expect(uniqueNames(renamed).changed).toBe(false);
  });
});

describe('liftConstants', () => {
  it('moves initializers and Constant nodes of branches to the main graph', async () => {
    const model = twoBranches(fed);
    const { model: lifted, lifted: names } = liftConstants(model);
    expect(names).toHaveLength(2);
    expect([...lifted.graph.initializers.values()].map((value) => value.numbers())).toEqual([
      [2, 3],
      [10, 20],
    ]);
    expect(inner(lifted).every((graph) => graph.initializers.size === 0)).toBe(true);
    await expectSame(model, lifted);
    expect(liftConstants(lifted).changed).toBe(false);
  });

  it('keeps an output that is a constant an output of the branch', async () => {
    const b = new GraphBuilder();
    b.input('x', FLOATS(2, 2));
    const constant = (value: number) => new Map([['k', Tensor.floats([value, value, value, value], [2, 2])]]);
    const y = b.op('If', [fed(b)], {
      then_branch: branch([], 'k', { initializers: constant(1) }),
      else_branch: branch([n('i', 'Add', ['x', 'k'], ['s'])], 's', { initializers: constant(2) }),
    });
    const model = makeModel(b.graph('constant', [b.alias(y, 'y')]));
    await expectSame(model, liftConstants(model).model);
  });
});

describe('resolveBranches', () => {
  const ranks = (rank: number) => (b: GraphBuilder) =>
    b.op('Equal', [b.op('Size', [b.op('Shape', ['x'])]), b.constant(Tensor.scalar('int64', rank))]);

  it.each([
    ['then', 2, 'Neg'],
    ['else', 3, 'Abs'],
  ])('puts the %s branch in place where the rank decides', async (_, rank, op) => {
    const model = twoBranches(ranks(rank));
    const { model: flat, resolved } = resolveBranches(model);
    expect(resolved).toEqual(['If']);
    expect(flat.graph.nodes.map((node) => node.op)).toContain(op);
    expect(flat.graph.nodes.map((node) => node.op)).not.toContain('If');
    await expectSame(model, flat);
  });

  it('leaves what only a run can tell', () => {
    const model = twoBranches(fed);
    expect(resolveBranches(model)).toMatchObject({ changed: false, resolved: [] });
    const onBatch = (b: GraphBuilder) =>
      b.op('Equal', [
        b.op('Gather', [b.op('Shape', ['x']), b.constant(Tensor.scalar('int64', 0))]),
        b.constant(Tensor.scalar('int64', 2)),
      ]);
    const open = twoBranches(onBatch);
    expect(resolveBranches(open).changed).toBe(false);
    expect(resolveBranches(open, { inputTypes: new Map([['x', FLOATS(2, 2)]]) }).resolved).toEqual(['If']);
    expect(resolveBranches(bindDims(open, { batch: 2 }).model).resolved).toEqual(['If']);
  });

  it('works inside branches that stay', async () => {
    const model = twoBranches(ranks(2));
    const [node] = model.graph.nodes.filter(({ op }) => op === 'If');
    const b = new GraphBuilder();
    b.input('x', FLOATS('batch', 2));
    const before = model.graph.nodes.filter(({ op }) => op !== 'If' && op !== 'Identity');
    const y = b.op('If', [fed(b)], {
      then_branch: branch([...before, node!], node!.outputs[0]!, { initializers: model.graph.initializers }),
      else_branch: branch([n('copy', 'Identity', ['x'], ['same'])], 'same'),
    });
    const outer = makeModel(b.graph('outer', [b.alias(y, 'y')]));
    const { model: flat, resolved } = resolveBranches(outer);
    expect(resolved).toEqual(['If/If']);
    await expectSame(outer, flat);
  });

  it('passes captured values and repeated outputs on', async () => {
    const b = new GraphBuilder();
    b.input('x', FLOATS(2, 2));
    const graph = makeGraph({
      nodes: [n('d', 'Add', ['x', 'x'], ['twice'])],
      outputs: ['twice', 'twice', 'x'].map((name) => ({ name, type: undefined })),
    });
    const yes = b.constant(truth(true));
    const [p, q, r] = b.ops(
      'If',
      [yes],
      { then_branch: graphAttribute(graph), else_branch: graphAttribute(graph) },
      { outputs: 3 },
    );
    const model = makeModel(b.graph('outputs', [b.alias(b.op('Sum', [p!, b.op('Mul', [q!, r!])]), 'y')]));
    const flat = resolveBranches(model).model;
    const found = await runModel(flat, { x });
    expect(found.y!.numbers()).toEqual(x.numbers().map((value) => 2 * value + 2 * value * value));
  });
});

const calling = (nodes: readonly Node[], opset = 18): Model => ({
  ...makeModel(
    makeGraph({
      inputs: [
        { name: 'x', type: FLOATS('batch', 3) },
        { name: 'c', type: tensorType('bool', []) },
      ],
      initializers: new Map([['w', Tensor.floats(new Float32Array(12), [3, 4])]]),
      nodes,
      outputs: [{ name: 'y', type: undefined }],
    }),
    {
      opsets: new Map([
        ['', 18],
        ['own', 1],
      ]),
    },
  ),
  functions: [
    {
      name: 'Dense',
      domain: 'own',
      overload: '',
      inputs: ['a', 'b'],
      outputs: ['r'],
      attributes: [],
      attributeDefaults: new Map(),
      nodes: [n('p', 'MatMul', ['a', 'b'], ['m']), n('t', 'Tanh', ['m'], ['r'])],
      opsets: new Map([['', opset]]),
      doc: '',
    },
  ],
});
const call = (output: string) => n('call', 'Dense', ['x', 'w'], [output], { domain: 'own' });

describe('local functions', () => {
  it('are followed by shape inference, in sub-graphs too, whatever opset they speak', () => {
    expect(inferShapes(calling([call('y')])).types.get('y')).toEqual(FLOATS('batch', 4));
    expect(inferShapes(calling([call('y')], 13)).types.get('y')).toEqual(FLOATS('batch', 4));
    const attributes = new Map([
      ['then_branch', branch([call('u')], 'u')],
      ['else_branch', branch([call('v')], 'v')],
    ]);
    expect(inferShapes(calling([n('if', 'If', ['c'], ['y'], { attributes })])).types.get('y')).toEqual(
      FLOATS('batch', 4),
    );
  });

  it('cost what their nodes cost', () => {
    const { total, nodes } = costOf(calling([call('y')]), { symbols: { batch: 5 } });
    expect(total.macs).toBe(5 * 3 * 4);
    expect(total.params).toBe(12);
    expect(nodes.map(({ op }) => op)).toEqual(['MatMul', 'Tanh']);
  });
});

describe('refusals inside sub-graphs', () => {
  const unknown = () => {
    const b = new GraphBuilder();
    b.input('x', FLOATS(2));
    const deep = branch([n('strange', 'Mystery', ['x'], ['m'], { domain: 'their.own' })], 'm');
    const both = (name: string) =>
      branch(
        [
          n(name, 'If', ['c'], [`${name}_y`], {
            attributes: new Map([
              ['then_branch', deep],
              ['else_branch', deep],
            ]),
          }),
        ],
        `${name}_y`,
      );
    const y = b.op('If', [fed(b)], { then_branch: both('inner'), else_branch: both('other') }, { name: 'outer' });
    return makeModel(b.graph('unknown', [b.alias(y, 'y')]), {
      opsets: new Map([
        ['', 18],
        ['their.own', 1],
      ]),
    });
  };

  it('name the operator, the node and the way to it', () => {
    expect(() => inferShapes(unknown())).toThrow(
      "node 'outer/other/strange': no shape rule for operator their.own.Mystery",
    );
    expect(() => costOf(unknown())).toThrow(/outer\/other\/strange/);
    expect(costOf(unknown(), { unknownOps: 'skip' }).notes.join()).toContain('no cost rule');
  });
});

describe('other passes on sub-graphs', () => {
  it('removeDeadNodes keeps captured values and drops what no branch output needs', async () => {
    const model = twoBranches(fed);
    const lifted = liftConstants(model).model;
    expect(removeDeadNodes(lifted).changed).toBe(false);
    const [node] = lifted.graph.nodes.filter(({ op }) => op === 'If');
    const attributes = new Map(node!.attributes);
    const graph = subgraphsOf(node!)[0]![1];
    attributes.set(
      'then_branch',
      graphAttribute({ ...graph, nodes: [...graph.nodes, n('idle', 'Exp', ['x'], ['unused'])] }),
    );
    const nodes = lifted.graph.nodes.map((each) => (each === node ? { ...each, attributes } : each));
    const { model: clean, removedNodes } = removeDeadNodes({ ...lifted, graph: { ...lifted.graph, nodes } });
    expect(removedNodes).toEqual(['If/idle']);
    await expectSame(model, clean);
  });

  it('extract carries what sub-graphs capture', async () => {
    const lifted = liftConstants(twoBranches(fed)).model;
    const part = extract(lifted, { inputs: ['x', 'c'], outputs: ['y'] });
    expect(part.graph.initializers.size).toBe(2);
    await expectSame(lifted, part);
    expect(() => extract(lifted, { inputs: ['c'], outputs: ['y'] })).toThrow(/'x'/);
  });

  it('bindDims names dims without a name by their place', () => {
    const b = new GraphBuilder();
    b.input('x', FLOATS(null, 'k'));
    const model = makeModel(b.graph('open', [b.alias(b.op('Neg', ['x']), 'y')]));
    const { model: bound, bound: names } = bindDims(model, { 'x[0]': 4, 'x[1]': 9, k: 2 });
    expect(bound.graph.inputs[0]!.type).toEqual(FLOATS(4, 2));
    expect(names).toEqual(['k', 'x[0]']);
    expect(() => bindDims(model, { 'x[0]': -1 })).toThrow(/cannot have the size/);
  });
});

describe('small integer matrices', () => {
  it('are followed: paddings as PyTorch exports them', async () => {
    const b = new GraphBuilder();
    b.input('x', FLOATS('batch', 10));
    // [before, after] of the last axis, filled up with zeros, its pairs put into ONNX's order.
    const zeros = b.op('ConstantOfShape', [b.int64s([2])], { value: Tensor.int64s([0]) });
    const pairs = b.op('Reshape', [b.op('Concat', [b.int64s([2, 3]), zeros], { axis: 0 }), b.int64s([-1, 2])]);
    const turned = b.op('Slice', [
      pairs,
      b.int64s([-1]),
      b.int64s([-Number.MAX_SAFE_INTEGER]),
      b.int64s([0]),
      b.int64s([-1]),
    ]);
    const pads = b.op('Cast', [b.op('Reshape', [b.op('Transpose', [turned], { perm: [1, 0] }), b.int64s([-1])])], {
      to: 7,
    });
    const model = makeModel(b.graph('pad', [b.alias(b.op('Pad', ['x', pads]), 'y')]));
    expect(inferShapes(model).types.get('y')).toEqual(FLOATS('batch', 15));
    const found = await runModel(model, { x: Tensor.floats(new Float32Array(20), [2, 10]) });
    expect(found.y!.dims).toEqual([2, 15]);
  });
});
