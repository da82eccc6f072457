/** @file Loss terms: distillation against PyTorch, stopped gradients, run-time weights, several targets. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { buildStep, createTrainer, type LossTerm } from '../../src/train/index.js';
import { fixture, Lcg } from './reference-net.js';

/** Two outputs that are parameters themselves, plus a zero input: their gradients are the loss's own. */
function parametersAsOutputs(student: Tensor, teacher: Tensor): Model {
  const b = new GraphBuilder();
  const zeros = b.input('input', tensorType('float32', ['batch', 5]));
  const identity = (): Tensor =>
    Tensor.floats(
      Float32Array.from({ length: 25 }, (_, i) => (i % 6 === 0 ? 1 : 0)),
      [5, 5],
    );
  const one = b.op('MatMul', [zeros, b.parameter('unit', identity())]);
  const outputs = [
    b.alias(b.op('Add', [one, b.parameter('student', student)]), 'student_out'),
    b.alias(b.op('Add', [one, b.parameter('teacher', teacher)]), 'teacher_out'),
  ];
  const type = tensorType('float32', ['batch', 5]);
  return makeModel(
    b.graph(
      'outputs',
      outputs.map((name) => ({ name, type })),
    ),
  );
}

async function descend(
  model: Model,
  losses: readonly LossTerm[],
  feeds: Readonly<Record<string, Tensor>>,
  lossWeights: Readonly<Record<string, number>> = {},
) {
  const step = buildStep(model, { losses, optimizer: { kind: 'sgd' }, trains: ({ name }) => name !== 'unit' });
  await using trainer = await createTrainer(step, { threads: 1 });
  const input = Tensor.floats(new Float32Array(30), [6, 5]);
  const result = await trainer.run({ input, ...feeds }, { learningRate: 1, lossWeights });
  return { result, constants: await trainer.constants() };
}

const lcg = new Lcg(3);
const student = lcg.tensor([6, 5], 3);
const teacher = lcg.tensor([6, 5], 3);

describe('distillation', () => {
  it.each(fixture.distillation)('has PyTorch’s loss and gradient at temperature $temperature', async (recorded) => {
    const { temperature } = recorded;
    const term = {
      kind: 'distillation',
      name: 'kd',
      student: 'student_out',
      teacher: 'teacher_out',
      temperature,
    } as const;
    const { result, constants } = await descend(parametersAsOutputs(student, teacher), [term], {});
    expect(result.terms.kd).toBeCloseTo(recorded.loss, 4);
    recorded.gradient.forEach((gradient, index) =>
      expect(student.data[index]! - Number(constants.get('student')!.data[index])).toBeCloseTo(gradient, 4),
    );
    // No gradient reaches the teacher, so it is no part of what trains.
    expect(constants.has('teacher')).toBe(false);
  });
});

describe('weighted sums', () => {
  const labels = Tensor.of('int64', [6], [0, 1, 2, 3, 4, 0]);
  const terms: readonly LossTerm[] = [
    { kind: 'cross-entropy', name: 'first', logits: 'student_out' },
    { kind: 'cross-entropy', name: 'second', logits: 'teacher_out' },
    { kind: 'mse', name: 'difference', prediction: 'student_out', target: 'goal' },
  ];

  it('follow weights that are given at run time', async () => {
    const goal = lcg.tensor([6, 5], 1);
    const weights = { first: 0.25, second: 0, difference: 2 };
    const { result, constants } = await descend(
      parametersAsOutputs(student, teacher),
      terms,
      { labels, goal },
      weights,
    );
    const squares = Array.from(student.data, (value, index) => (value - goal.data[index]!) ** 2);
    const meanSquare = squares.reduce((sum, value) => sum + value, 0) / 30;
    expect(result.terms.difference).toBeCloseTo(meanSquare, 4);
    expect(result.loss).toBeCloseTo(0.25 * result.terms.first! + 2 * meanSquare, 4);
    expect(constants.get('teacher')!.data).toEqual(teacher.data);
  });

  it('count the hits of each term', async () => {
    const goal = lcg.tensor([6, 5], 1);
    const { result } = await descend(parametersAsOutputs(student, teacher), terms, { labels, goal });
    const hits = (scores: Tensor): number =>
      Array.from({ length: 6 }, (_, row) => {
        const values = Array.from(scores.data.slice(row * 5, row * 5 + 5), Number);
        return values.indexOf(Math.max(...values)) === Number(labels.data[row]);
      }).filter(Boolean).length;
    expect(result.correct).toEqual({ first: hits(student), second: hits(teacher) });
  });
});

describe('binary cross-entropy', () => {
  const target = Tensor.floats(
    Float32Array.from({ length: 30 }, (_, i) => (i % 3) / 2),
    [6, 5],
  );
  const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

  it('of logits has the slope sigmoid(z) − t', async () => {
    const term = { kind: 'binary-cross-entropy', name: 'b', prediction: 'student_out', holds: 'logits' } as const;
    const { result, constants } = await descend(parametersAsOutputs(student, teacher), [term], { target });
    const terms = Array.from(student.data, (z, i) => Math.log1p(Math.exp(z)) - target.data[i]! * z);
    expect(result.terms.b).toBeCloseTo(terms.reduce((sum, value) => sum + value, 0) / 30, 5);
    student.data.forEach((z, i) => {
      const moved = z - Number(constants.get('student')!.data[i]);
      expect(moved).toBeCloseTo((sigmoid(z) - target.data[i]!) / 30, 5);
    });
  });

  it('of probabilities stays finite at 0 and 1', async () => {
    const probabilities = Tensor.floats(
      Float32Array.from({ length: 30 }, (_, i) => (i % 4) / 3),
      [6, 5],
    );
    const term = { kind: 'binary-cross-entropy', name: 'b', prediction: 'student_out' } as const;
    const { result, constants } = await descend(parametersAsOutputs(probabilities, teacher), [term], { target });
    expect(Number.isFinite(result.loss)).toBe(true);
    probabilities.data.forEach((p, i) => {
      const moved = p - Number(constants.get('student')!.data[i]);
      const t = target.data[i]!;
      expect(moved).toBeCloseTo(p === 0 || p === 1 ? 0 : (p - t) / (p * (1 - p)) / 30, 4);
    });
  });
});
