/** @file The zoo's architectures: sizes from their papers, names, seeds, refusals. */
import { describe, expect, it } from 'vitest';
import { intOf, type Graph, type Model } from '../../src/ir/index.js';
import { ARCHITECTURE_KEY, architectures, ArchitectureError, buildArchitecture } from '../../src/zoo/index.js';

const cifar = { classes: 10, input: [3, 32, 32], seed: 1 } as const;

/** Trainable elements: all weights but running averages and the bounds of Clip. */
function trainableSize(model: Model): number {
  let size = 0;
  for (const [name, tensor] of model.graph.initializers) if (/\.(weight|bias)$/.test(name)) size += tensor.size;
  return size;
}

function countOps(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const node of graph.nodes) counts[node.op] = (counts[node.op] ?? 0) + 1;
  return counts;
}

describe('parameter counts', () => {
  // Counted independently with PyTorch modules of the same layers, no biases before batch normalisation.
  it.each([
    ['resnet-8', [3, 32, 32], 78_042],
    ['resnet-20', [3, 32, 32], 272_474],
    ['resnet-32', [3, 32, 32], 466_906],
    ['resnet-56', [3, 32, 32], 855_770],
    ['vgg-11', [3, 32, 32], 9_228_362],
    ['vgg-16', [3, 32, 32], 14_724_042],
    ['mobilenet-v2', [3, 32, 32], 2_236_682],
    ['lenet-5', [1, 28, 28], 61_706],
  ] as const)('%s on %j has %d parameters', (name, input, expected) => {
    expect(trainableSize(buildArchitecture(name, { ...cifar, input }))).toBe(expected);
  });
});

describe('form', () => {
  it('keeps one batch normalisation per convolution in ResNet-20', () => {
    expect(countOps(buildArchitecture('resnet-20', cifar).graph)).toEqual({
      Conv: 21,
      BatchNormalization: 21,
      Relu: 19,
      Add: 9,
      GlobalAveragePool: 1,
      Flatten: 1,
      Gemm: 1,
      Identity: 1,
    });
  });

  it.each(architectures.map(({ name }) => name))('%s has the common interface and its metadata', (name) => {
    const model = buildArchitecture(name, cifar);
    expect(model.opsets.get('')).toBe(18);
    expect(model.graph.inputs).toEqual([
      { name: 'input', type: { kind: 'tensor', dtype: 'float32', shape: ['batch', 3, 32, 32] } },
    ]);
    expect(model.graph.outputs).toEqual([
      { name: 'logits', type: { kind: 'tensor', dtype: 'float32', shape: ['batch', 10] } },
    ]);
    expect(JSON.parse(model.metadata.get(ARCHITECTURE_KEY)!)).toEqual({ name, ...cifar });
    const values = new Set([...model.graph.initializers.keys(), 'input']);
    for (const node of model.graph.nodes) {
      for (const input of node.inputs) expect(values.has(input)).toBe(true);
      for (const output of node.outputs) values.add(output);
    }
  });

  it('uses one group per channel in MobileNetV2 and scales its width', () => {
    const depthwise = buildArchitecture('mobilenet-v2-0.5', cifar).graph.nodes.filter(
      (node) => node.op === 'Conv' && intOf(node, 'group', 1) > 1,
    );
    expect(depthwise).toHaveLength(17);
    expect(trainableSize(buildArchitecture('mobilenet-v2-0.5', cifar))).toBeLessThan(
      trainableSize(buildArchitecture('mobilenet-v2', cifar)) / 2,
    );
  });
});

describe('weights', () => {
  const weightsOf = (model: Model, name: string): Float32Array =>
    model.graph.initializers.get(name)!.data as Float32Array;

  it('are the same for the same seed and differ for another', () => {
    const first = weightsOf(buildArchitecture('ResNet20', cifar), 'layer2.1.conv1.weight');
    expect(weightsOf(buildArchitecture('resnet_20', cifar), 'layer2.1.conv1.weight')).toEqual(first);
    expect(weightsOf(buildArchitecture('resnet-20', { ...cifar, seed: 2 }), 'layer2.1.conv1.weight')).not.toEqual(
      first,
    );
  });

  it('have He variance', () => {
    const weights = weightsOf(buildArchitecture('resnet-20', cifar), 'layer3.2.conv2.weight');
    const variance = weights.reduce((sum, value) => sum + value * value, 0) / weights.length;
    expect(variance / (2 / (64 * 9))).toBeCloseTo(1, 1);
  });
});

describe('width', () => {
  it('scales every layer of a residual network, and leaves it as it is at 1', () => {
    const half = buildArchitecture('resnet-8', { ...cifar, width: 0.5 });
    expect(half.graph.initializers.get('conv1.weight')!.dims).toEqual([8, 3, 3, 3]);
    expect(half.graph.initializers.get('fc.weight')!.dims).toEqual([10, 32]);
    const whole = buildArchitecture('resnet-8', { ...cifar, width: 1 });
    expect(trainableSize(whole)).toBe(trainableSize(buildArchitecture('resnet-8', cifar)));
  });

  it('is refused where the architecture does not scale, or the factor is no width', () => {
    expect(() => buildArchitecture('lenet-5', { ...cifar, width: 0.5 })).toThrow(/cannot be 0.5 times as wide/);
    expect(() => buildArchitecture('resnet-8', { ...cifar, width: 0 })).toThrow(ArchitectureError);
  });
});

describe('refusals', () => {
  it('names the unknown architecture and lists the known ones', () => {
    expect(() => buildArchitecture('resnet-21', cifar)).toThrow(ArchitectureError);
    try {
      buildArchitecture('resnet-21', cifar);
    } catch (error) {
      expect((error as ArchitectureError).kind).toBe('usage');
      expect((error as ArchitectureError).hint).toContain('resnet-20');
    }
  });

  it('refuses images that are too small and class counts below two', () => {
    expect(() => buildArchitecture('lenet-5', { ...cifar, input: [1, 8, 8] })).toThrow(/1×8×8/);
    expect(() => buildArchitecture('resnet-8', { ...cifar, classes: 1 })).toThrow(/1 classes/);
  });
});
