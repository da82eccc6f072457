/** @file The small network and data of test/oracles/record-training.py, made again from the same generator. */
import { readFileSync } from 'node:fs';
import { float, GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';

export const SHAPE = { batch: 16, channels: 2, size: 8, classes: 5, steps: 20 } as const;

export interface RecordedRun {
  readonly losses: readonly number[];
  readonly correct: readonly number[];
  readonly norms: readonly number[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
}

export interface TrainingFixture {
  readonly runs: Readonly<Record<string, RecordedRun>>;
  readonly distillation: readonly {
    readonly temperature: number;
    readonly loss: number;
    readonly gradient: readonly number[];
  }[];
  readonly schedules: Readonly<Record<string, readonly number[]>>;
}

export const fixture = JSON.parse(
  readFileSync(new URL('../fixtures/training.json', import.meta.url), 'utf8'),
) as TrainingFixture;

/** The generator of the recording script. */
export class Lcg {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }

  tensor(dims: readonly number[], scale: number): Tensor<'float32'> {
    const size = dims.reduce((product, dim) => product * dim, 1);
    return Tensor.floats(
      Float32Array.from({ length: size }, () => (this.next() * 2 - 1) * scale),
      dims,
    );
  }
}

export function referenceNet(options: { readonly dropout?: number } = {}): Model {
  const { channels, size, classes } = SHAPE;
  const lcg = new Lcg(7);
  const b = new GraphBuilder();
  const filled = (value: number, length: number): Tensor => Tensor.floats(new Float32Array(length).fill(value));
  const norm = (name: string, x: string, length: number): string =>
    b.op(
      'BatchNormalization',
      [
        x,
        b.parameter(`${name}.weight`, filled(1, length)),
        b.parameter(`${name}.bias`, filled(0, length)),
        b.parameter(`${name}.running_mean`, filled(0, length)),
        b.parameter(`${name}.running_var`, filled(1, length)),
      ],
      { epsilon: float(1e-5), momentum: float(0.9) },
      { name },
    );
  const input = b.input('input', tensorType('float32', ['batch', channels, size, size]));
  const conv1 = b.op('Conv', [input, b.parameter('conv1.weight', lcg.tensor([6, channels, 3, 3], 0.5))], {
    kernel_shape: [3, 3],
    pads: [1, 1, 1, 1],
  });
  const pooled = b.op('MaxPool', [b.op('Relu', [norm('bn1', conv1, 6)])], { kernel_shape: [2, 2], strides: [2, 2] });
  const conv2 = b.op(
    'Conv',
    [
      pooled,
      b.parameter('conv2.weight', lcg.tensor([8, 6, 3, 3], 0.5)),
      b.parameter('conv2.bias', lcg.tensor([8], 0.5)),
    ],
    { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] },
  );
  const features = b.op('Flatten', [b.op('GlobalAveragePool', [b.op('Relu', [norm('bn2', conv2, 8)])])], { axis: 1 });
  const dropped =
    options.dropout === undefined
      ? features
      : b.op('Dropout', [features, b.scalar(options.dropout)], {}, { name: 'dropout' });
  const logits = b.op(
    'Gemm',
    [
      dropped,
      b.parameter('fc.weight', lcg.tensor([classes, 8], 0.5)),
      b.parameter('fc.bias', lcg.tensor([classes], 0.5)),
    ],
    { transB: 1 },
  );
  const type = tensorType('float32', ['batch', classes]);
  return makeModel(b.graph('reference', [{ name: b.alias(logits, 'logits'), type }]), {
    metadata: new Map([['note', 'kept']]),
  });
}

export interface ReferenceBatch {
  readonly input: Tensor<'float32'>;
  readonly labels: Tensor<'int64'>;
}

export function referenceBatches(steps: number = SHAPE.steps): readonly ReferenceBatch[] {
  const { batch, channels, size, classes } = SHAPE;
  const lcg = new Lcg(11);
  return Array.from({ length: steps }, () => {
    const input = lcg.tensor([batch, channels, size, size], 1.5);
    const labels = Array.from({ length: batch }, () => Math.floor(lcg.next() * classes));
    labels.forEach((label, sample) => {
      for (let row = 0; row < 4; row++)
        for (let column = 0; column < 4; column++)
          input.data[sample * channels * size * size + row * size + column]! += label * 0.5 - 1;
    });
    return { input, labels: Tensor.of('int64', [batch], labels) };
  });
}
