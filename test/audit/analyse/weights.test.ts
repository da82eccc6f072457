/** @file Quantised, sparse, clustered and marked weights counted exactly (G5). */
import { describe, expect, test } from 'vitest';
import { analyseModel, type AuditModel, type AuditWeight } from '../../../src/audit/index.js';
import { haveModels, modelBytes } from '../models.js';
import { readAuditModel } from '../../../src/audit/index.js';
import { analyse, network, read, renamed, withWeights } from './networks.js';

const base = network();
const kernels = [...base.graph.initializers].filter(([, { dims }]) => dims.length >= 2);
const [kernel] = kernels.find(([, { dims }]) => dims.length === 4)!;
const [matrix] = kernels.find(([, { dims }]) => dims.length === 2)!;
const sizeOf = (name: string): number => base.graph.initializers.get(name)!.size;

describe('float models', () => {
  test('dense weights are none of all this', () => {
    const { weights } = analyse(base);
    expect(weights).toMatchObject({ sparseLayers: 0, zeroChannels: 0, clusteredLayers: 0, markedLayers: 0 });
    expect(weights.numbers).toBe(
      [...base.graph.initializers.values()]
        .filter(({ dtype }) => dtype === 'float32')
        .reduce((sum, { size }) => sum + size, 0),
    );
  });

  test('zeros and near zeros are counted one by one', () => {
    const before = analyse(base).weights;
    const sparse = withWeights(base, (name, values) =>
      name === matrix ? values.map((value, i) => (i % 4 === 0 ? value || 1 : i % 4 === 1 ? 1e-10 : 0)) : undefined,
    );
    const { weights } = analyse(sparse);
    const quarter = sizeOf(matrix) / 4;
    expect(weights.zeros - before.zeros).toBe(2 * quarter);
    expect(weights.nearZeros - before.nearZeros).toBe(3 * quarter);
    expect(weights).toMatchObject({ sparseLayers: 1, clusteredLayers: 0 });
  });

  test('just below half is not sparse, half is', () => {
    const sparse = (share: number): number =>
      analyse(
        withWeights(base, (name, values) =>
          name === matrix ? values.map((value, i) => (i < values.length * share ? 0 : value || 1)) : undefined,
        ),
      ).weights.sparseLayers;
    expect(sparse(0.49)).toBe(0);
    expect(sparse(0.5)).toBe(1);
  });

  test('zero channels: three of a kernel', () => {
    const { dims } = base.graph.initializers.get(kernel)!;
    const perChannel = sizeOf(kernel) / dims[0]!;
    const pruned = withWeights(base, (name, values) =>
      name === kernel ? values.map((value, i) => (i < 3 * perChannel ? 0 : value || 1)) : undefined,
    );
    expect(analyse(pruned).weights.zeroChannels).toBe(3);
  });

  test.each([
    [16, 1],
    [256, 1],
    [257, 0],
  ])('%d values in a matrix: %d clustered layers', (clusters, layers) => {
    const made = withWeights(base, (name, values) =>
      name === matrix ? values.map((_, i) => Math.fround(((i * 7919) % clusters) / clusters + 0.01)) : undefined,
    );
    expect(analyse(made).weights.clusteredLayers).toBe(layers);
  });

  test('names that tools leave behind', () => {
    expect(analyse(renamed(base, 'prune_low_magnitude_')).weights.markedLayers).toBeGreaterThan(3);
    expect(analyse(renamed(base, 'cluster_')).weights.markedLayers).toBeGreaterThan(3);
    expect(analyse(renamed(base, 'pruned')).weights.markedLayers).toBe(0);
  });
});

/** The same network with one weight replaced after reading. */
function replaced(change: (weight: AuditWeight) => AuditWeight): AuditModel {
  const model = read(base);
  return {
    ...model,
    layers: model.layers.map((layer) => ({
      ...layer,
      weights: layer.weights.map((weight) => (weight.name === matrix ? change(weight) : weight)),
    })),
  };
}

describe('stored in other types', () => {
  const statistics = (model: AuditModel) => analyseModel(model, { path: 'm' }).weights;
  const others = statistics(replaced((weight) => ({ ...weight, learned: false })));

  test('the zero point is zero', () => {
    const bytes = Uint8Array.from({ length: sizeOf(matrix) }, (_, i) => (i % 3 === 0 ? 128 : i % 256));
    const zeros = bytes.filter((byte) => byte === 128).length;
    const made = statistics(replaced((weight) => ({ ...weight, dtype: 'uint8', bytes, zeroPoint: 128 })));
    expect(made.zeros - others.zeros).toBe(zeros);
  });

  test('half precision', () => {
    const halves = new Uint16Array(sizeOf(matrix)).map((_, i) => (i % 2 === 0 ? 0x8000 : 0x3c00));
    const made = statistics(
      replaced((weight) => ({ ...weight, dtype: 'float16', bytes: new Uint8Array(halves.buffer) })),
    );
    expect(made.zeros - others.zeros).toBe(Math.ceil(halves.length / 2));
    expect(made.sparseLayers).toBe(1);
  });

  test('a sparse tensor leaves out its zeros', () => {
    const stored = new Float32Array(100).fill(0.5);
    const made = statistics(
      replaced((weight) => ({ ...weight, sparse: true as const, bytes: new Uint8Array(stored.buffer) })),
    );
    expect(made.zeros - others.zeros).toBe(sizeOf(matrix) - 100);
    expect(made.sparseLayers).toBe(1);
  });

  test('few integers with gaps between are clusters, neighbours are not', () => {
    const integers = (gap: number): number => {
      const bytes = Uint8Array.from({ length: sizeOf(matrix) }, (_, i) => 10 + gap * (i % 16));
      return statistics(replaced((weight) => ({ ...weight, dtype: 'uint8', bytes }))).clusteredLayers;
    };
    expect(integers(9)).toBe(1);
    expect(integers(1)).toBe(0);
  });
});

describe.skipIf(!haveModels())('models at hand', () => {
  const of = (name: string) => readAuditModel('tflite', modelBytes(`mlperf-tiny/${name}.tflite`));

  test('schemes of quantisation', () => {
    expect(of('vww_96_int8').quantisation.scheme).toBe('full');
    expect(of('vww_96_float').quantisation.scheme).toBe('none');
  });

  test('the visual wake words network died in most of its channels', () => {
    const float = analyseModel(of('vww_96_float'), { path: 'm' }).weights;
    const int8 = analyseModel(of('vww_96_int8'), { path: 'm' }).weights;
    expect(float.zeros).toBe(0);
    expect(float.nearZeros / float.numbers).toBeGreaterThan(0.8);
    expect(int8.zeros).toBeGreaterThanOrEqual(float.nearZeros);
    expect(int8.sparseLayers).toBe(7);
  });
});
