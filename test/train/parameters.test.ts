/** @file Which constants count as parameters. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, makeGraph, makeNode, tensor, Tensor, tensorType } from '../../src/ir/index.js';
import { parametersOf } from '../../src/train/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

const weight = (...dims: number[]): Tensor =>
  Tensor.floats(new Float32Array(dims.reduce((size, dim) => size * dim, 1)).fill(0.1), dims);

describe('parametersOf', () => {
  it('finds all of ResNet-20 and no running average', () => {
    const found = parametersOf(buildArchitecture('resnet-20', { classes: 10, input: [3, 32, 32], seed: 1 }).graph);
    expect(found.reduce((sum, { value }) => sum + value.size, 0)).toBe(272_474);
    expect(found.filter(({ name }) => name.includes('running'))).toEqual([]);
    expect(found.filter(({ role }) => role === 'norm')).toHaveLength(42);
    expect(found.filter(({ role }) => role === 'bias').map(({ name }) => name)).toEqual(['fc.bias']);
  });

  it('leaves preprocessing and bounds alone, takes separate biases and spelled-out scales', () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', ['batch', 3]));
    const centred = b.op('Add', [x, b.parameter('mean', weight(3))]);
    const product = b.op('MatMul', [centred, b.parameter('w', weight(3, 4))]);
    const biased = b.op('Add', [product, b.parameter('bias', weight(4))]);
    const scaled = b.op('Mul', [biased, b.parameter('gain', weight(4))]);
    const clipped = b.op('Clip', [b.op('Mul', [scaled, b.scalar(2)]), b.scalar(0), b.scalar(6)]);
    const found = parametersOf(b.graph('g', [clipped]));
    expect(found.map(({ name, role }) => [name, role])).toEqual([
      ['w', 'weight'],
      ['bias', 'bias'],
      ['gain', 'norm'],
    ]);
  });

  it('looks through transposes and Constant nodes, and counts a shared weight once', () => {
    const constant = makeNode({
      name: 'c',
      op: 'Constant',
      inputs: [],
      outputs: ['w'],
      attributes: new Map([['value', tensor(weight(3, 3))]]),
    });
    const graph = makeGraph({
      inputs: [{ name: 'x', type: tensorType('float32', ['batch', 3]) }],
      nodes: [
        constant,
        makeNode({ name: 't', op: 'Transpose', inputs: ['w'], outputs: ['wt'] }),
        makeNode({ name: 'm1', op: 'MatMul', inputs: ['x', 'wt'], outputs: ['y'] }),
        makeNode({ name: 'm2', op: 'MatMul', inputs: ['y', 'w'], outputs: ['z'] }),
      ],
      outputs: [{ name: 'z', type: undefined }],
    });
    expect(parametersOf(graph).map(({ name, nodes }) => [name, nodes])).toEqual([['w', ['m1', 'm2']]]);
  });
});
