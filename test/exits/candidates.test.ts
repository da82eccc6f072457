/** @file Exit candidates: which there are, in which order, and which a filter leaves. */
import { describe, expect, test } from 'vitest';
import { findCandidates } from '../../src/exits/candidates.js';
import { CandidateFilterError, filterCandidates } from '../../src/exits/candidates-filter.js';
import { NotAClassifierError } from '../../src/exits/classifier.js';
import { tensorType } from '../../src/ir/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { branchedNet, Net, plainChain, residualNet, sharedModel } from './networks.js';

const forCifar = { classes: 10, input: [3, 32, 32], seed: 1 } as const;

describe('candidates of known networks', () => {
  test.each(['resnet56-cifar10', 'resnet56-cifar10-bn'])('%s has the 58 of HAPI', (name) => {
    const model = sharedModel(name);
    if (!model) return;
    const { all, macs, classifier } = findCandidates(model);
    expect(all).toHaveLength(58);
    expect(macs).toBe(125_747_840);
    expect(classifier).toMatchObject({
      input: 'input',
      output: 'logits',
      logits: 'logits',
      classes: 10,
      batch: 'batch',
    });
    // The stem, the ends of the 27 blocks and the pool; conv 1 of each block and the two shortcuts lie inside.
    expect(all.filter(({ blockEnd }) => blockEnd)).toHaveLength(29);
    expect(all.filter(({ op }) => op === 'GlobalAveragePool')).toHaveLength(1);
    expect(all.map(({ index }) => index)).toEqual(all.map((_, index) => index));
    for (let i = 1; i < all.length; i++) expect(all[i]!.macs).toBeGreaterThanOrEqual(all[i - 1]!.macs);
    expect(all[0]).toMatchObject({ shape: [16, 32, 32], macs: 442_368 });
    expect(new Set(all.map(({ value }) => value)).size).toBe(58);
  });

  test('the zoo: ResNet-20 as its export from PyTorch, VGG after every convolution and pool', () => {
    expect(findCandidates(buildArchitecture('resnet-20', forCifar)).all).toHaveLength(22);
    const { all } = findCandidates(buildArchitecture('vgg-11', forCifar));
    expect(all.filter(({ op }) => op === 'Conv')).toHaveLength(8);
    expect(all.filter(({ op }) => op === 'MaxPool')).toHaveLength(5);
    expect(all.every(({ blockEnd }) => blockEnd)).toBe(true);
    expect(findCandidates(buildArchitecture('mobilenet-v2', forCifar)).all).toHaveLength(53);
  });

  test('a value ends after normalisation, SiLU and the residual Add; the longer branch owns the sum', () => {
    const { all, classifier } = findCandidates(residualNet());
    const producer = (value: string): string =>
      classifier.model.graph.nodes.find((node) => node.outputs.includes(value))!.op;
    expect(all.map(({ value, blockEnd }) => `${producer(value)} ${blockEnd}`)).toEqual([
      'Mul true',
      'Relu false',
      'Relu true',
      'BatchNormalization false',
      'Relu false',
      'Relu true',
      'GlobalAveragePool true',
    ]);
    expect(all.map(({ shape }) => shape.join('×'))).toEqual([
      '8×12×12',
      '8×12×12',
      '8×12×12',
      '16×6×6',
      '16×6×6',
      '16×6×6',
      '16×1×1',
    ]);
  });

  test('branches: every one has its own, the Concat belongs to the deepest, flattening by Shape stays clear', () => {
    const { all } = findCandidates(branchedNet());
    expect(all).toHaveLength(8);
    expect(
      all
        .filter(({ blockEnd }) => !blockEnd)
        .map(({ op }) => op)
        .sort(),
    ).toEqual(['AveragePool', 'Conv', 'Conv', 'Conv']);
    expect(all.find(({ shape, blockEnd }) => blockEnd && shape[0] === 16 && shape[1] === 10)).toBeDefined();
  });

  test('a chain without normalisation, Constant weights, ReduceMean, Softmax: logits are what Softmax reads', () => {
    const { all, classifier } = findCandidates(plainChain());
    expect(all.map(({ op }) => op)).toEqual(['Conv', 'Conv', 'MaxPool', 'Conv', 'ReduceMean']);
    expect(classifier.logits).not.toBe(classifier.output);
    expect(classifier.classes).toBe(5);
  });

  test('a batch fixed by the export becomes symbolic, Reshape targets included', () => {
    const { all, classifier } = findCandidates(plainChain(1));
    expect(classifier.batch).toBe('batch');
    expect(all).toHaveLength(5);
    expect(classifier.types.get(classifier.logits)).toEqual(tensorType('float32', ['batch', 5]));
  });
});

describe('refusals', () => {
  const refused = (build: (net: Net) => ReturnType<Net['model']>): (() => unknown) => {
    return () => findCandidates(build(new Net()));
  };

  test('by name, with kind unsupported', () => {
    const map = refused((net) => net.model(net.conv(net.input([1, 4, 4]), 1, 2), ['batch', 2, 4, 4]));
    expect(map).toThrow(NotAClassifierError);
    expect(map).toThrow(/none of its outputs is \[batch, classes\]: .*\[batch, 2, 4, 4\]/);
    const noConvolution = refused((net) => net.model(net.linear(net.input([8]), 8, 3), ['batch', 3]));
    expect(noConvolution).toThrow(/no convolution, pool, recurrent layer/);
    const two = refused((net) => {
      const x = net.input([8]);
      net.b.input('mask', tensorType('float32', ['batch', 8]));
      return net.model(net.linear(x, 8, 3), ['batch', 3]);
    });
    expect(two).toThrow(/it has 2 inputs \(input, mask\)/);
    try {
      two();
    } catch (error) {
      expect(error).toMatchObject({ kind: 'unsupported', code: 'exits/not-a-classifier' });
    }
  });
});

describe('filters', () => {
  const { all } = findCandidates(buildArchitecture('resnet-20', forCifar));

  test('each condition', () => {
    expect(filterCandidates(all)).toEqual(all);
    expect(
      filterCandidates(all, { macs: [0.2, 0.5] }).every(({ position }) => position >= 0.2 && position <= 0.5),
    ).toBe(true);
    expect(filterCandidates(all, { blockEndsOnly: true })).toHaveLength(11);
    expect(filterCandidates(all, { every: 3 }).map(({ index }) => index)).toEqual([0, 3, 6, 9, 12, 15, 18, 21]);
    const spaced = filterCandidates(all, { minGap: 0.1 });
    for (let i = 1; i < spaced.length; i++)
      expect(spaced[i]!.position - spaced[i - 1]!.position).toBeGreaterThanOrEqual(0.1);
    const spread = filterCandidates(all, { max: 5 });
    expect(spread).toHaveLength(5);
    expect(spread[0]).toBe(all[0]);
    expect(filterCandidates(all, { names: [all[4]!.value, all[2]!.node] }).map(({ index }) => index)).toEqual([2, 4]);
  });

  test('what cannot be is refused', () => {
    for (const filter of [{ names: ['nowhere'] }, { macs: [0.9, 0.1] }, { macs: [2, 3] }, { every: 0 }, { max: 1.5 }])
      expect(() => filterCandidates(all, filter as never)).toThrow(CandidateFilterError);
  });
});
