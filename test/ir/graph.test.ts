/** @file Building, sorting and patching graphs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ancestorsOf,
  applyPatch,
  capturesOf,
  consumersOf,
  float,
  graph as graphAttribute,
  GraphBuilder,
  InvalidGraphError,
  makeGraph,
  makeNode,
  sortNodes,
  Tensor,
  tensorType,
  type Graph,
  type Node,
} from '../../src/ir/index.js';

const relu = (name: string, input: string, output: string): Node =>
  makeNode({ name, op: 'Relu', inputs: [input], outputs: [output] });

/** x → a → b → y, with b also added to x. */
function residual(): Graph {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', ['n', 4]));
  const inner = b.op('Relu', [b.op('Relu', [x], {}, { name: 'a' })], {}, { name: 'b' });
  return b.graph('residual', [b.op('Add', [inner, x], {}, { name: 'y' })]);
}

/** An If whose branches read `x` of the graph around them. */
function conditional(): Graph {
  const branch = (op: string): Graph =>
    makeGraph({
      name: op,
      nodes: [makeNode({ name: op, op, inputs: ['x'], outputs: [`${op}_out`] })],
      outputs: [{ name: `${op}_out`, type: undefined }],
    });
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', [1]));
  b.input('condition', tensorType('bool', []));
  return b.graph('conditional', [
    b.op('If', ['condition'], {
      then_branch: graphAttribute(branch('Relu')),
      else_branch: graphAttribute(branch('Neg')),
    }),
  ]);
}

describe('GraphBuilder', () => {
  test('names never collide', () => {
    const b = GraphBuilder.beside(residual());
    expect(new Set([b.fresh('x'), b.fresh('x'), b.fresh('a'), b.fresh('a_out')]).has('x')).toBe(false);
    expect(() => b.input('y', tensorType('float32'))).toThrow(InvalidGraphError);
  });

  test('equal small constants are one, different dtypes or shapes are not', () => {
    const b = new GraphBuilder();
    expect(b.scalar(1)).toBe(b.scalar(1));
    expect(b.int64s([1])).not.toBe(b.constant(Tensor.scalar('int64', 1)));
    expect(b.initializers.size).toBe(3);
  });

  test('a fraction needs float()', () => {
    const b = new GraphBuilder();
    expect(() => b.op('LeakyRelu', ['x'], { alpha: 0.1 })).toThrow(/float\(0.1\)/);
    expect(b.op('LeakyRelu', ['x'], { alpha: float(0.1) })).toBe('LeakyRelu_out_1');
  });

  test('omitted inputs are empty names, trailing ones vanish', () => {
    const b = new GraphBuilder();
    b.op('Clip', ['x', undefined, 'max']);
    b.op('Clip', ['x', 'min', undefined]);
    expect(b.nodes.map((node) => node.inputs)).toEqual([
      ['x', '', 'max'],
      ['x', 'min'],
    ]);
  });
});

describe('topology', () => {
  test('a shuffled graph sorts so that every node follows what it reads', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 30 }), fc.nat(), (parents, seed) => {
        const nodes = parents.map((parent, i) => relu(`n${i}`, i === 0 ? 'x' : `v${parent % i}`, `v${i}`));
        const shuffled = [...nodes].sort((a, b) => ((a.name.length * 7 + seed) % 5) - ((b.name.length * 3 + seed) % 5));
        const place = new Map(sortNodes(shuffled.reverse()).map((node, i) => [node.outputs[0]!, i]));
        for (const node of nodes)
          if (node.inputs[0] !== 'x') expect(place.get(node.inputs[0]!)!).toBeLessThan(place.get(node.outputs[0]!)!);
      }),
    );
  });

  test('cycles and double definitions are refused', () => {
    expect(() => sortNodes([relu('a', 'w', 'v'), relu('b', 'v', 'w')])).toThrow(/cycle/);
    expect(() => sortNodes([relu('a', 'x', 'v'), relu('b', 'x', 'v')])).toThrow(/two nodes/);
  });

  test('a chain of 100,000 nodes does not overflow the stack', () => {
    const nodes = Array.from({ length: 100_000 }, (_, i) => relu(`n${i}`, `v${i}`, `v${i + 1}`)).reverse();
    expect(sortNodes(nodes)[0]!.name).toBe('n0');
  });

  test('what a sub-graph captures counts as read', () => {
    const graph = conditional();
    expect(capturesOf([...graph.nodes[0]!.attributes.values()].map((a) => a.value as Graph)[0]!)).toEqual(
      new Set(['x']),
    );
    expect(
      consumersOf(graph)
        .get('x')!
        .map((node) => node.op),
    ).toEqual(['If']);
  });

  test('ancestors stop at the boundary', () => {
    const graph = residual();
    expect(ancestorsOf(graph, ['y_out']).map((node) => node.name)).toEqual(['a', 'b', 'y']);
    expect(ancestorsOf(graph, ['y_out'], new Set(['a_out'])).map((node) => node.name)).toEqual(['b', 'y']);
  });
});

describe('applyPatch', () => {
  test('replaces a node and leaves the given graph untouched', () => {
    const graph = residual();
    const b = GraphBuilder.beside(graph);
    const gelu = b.op('Neg', ['a_out'], {}, { name: 'c' });
    const patched = applyPatch(graph, {
      reason: 'swap b',
      remove: ['b'],
      insert: b.nodes,
      rewire: new Map([['b_out', gelu]]),
    });
    expect(patched.nodes.map((node) => node.op)).toEqual(['Relu', 'Neg', 'Add']);
    expect(patched.nodes[2]!.inputs).toEqual(['c_out', 'x']);
    expect(graph.nodes.map((node) => node.name)).toEqual(['a', 'b', 'y']);
  });

  test('rewires captures inside sub-graphs', () => {
    const graph = conditional();
    const patched = applyPatch(graph, { reason: 'tap', insert: [relu('pre', 'x', 'x2')] });
    const rewired = applyPatch(patched, {
      reason: 'rewire',
      remove: ['pre'],
      rewire: new Map([['x', 'z']]),
      insert: [relu('post', 'w', 'z')],
    });
    const branch = rewired.nodes.find((node) => node.op === 'If')!.attributes.get('then_branch')!.value as Graph;
    expect(branch.nodes[0]!.inputs).toEqual(['z']);
  });

  test('names the patch when it does not fit', () => {
    expect(() => applyPatch(residual(), { reason: 'drop head', remove: ['head'] })).toThrow(
      "cannot apply patch 'drop head': there is no node 'head'",
    );
    expect(() => applyPatch(residual(), { reason: 'twice', insert: [relu('a', 'x', 'new')] })).toThrow(
      /already exists/,
    );
  });
});
