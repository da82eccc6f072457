/** @file Loss terms: each emits a scalar from values of the model; gradients come from autodiff. */
import { Tensor, type Dim, type GraphBuilder, type Shape } from '../ir/index.js';
import { StepSpecError } from './errors.js';

/** One term of the loss. The step graph weighs each term by an input of its own. */
export type LossTerm =
  /** Mean cross-entropy with integer labels, over samples and positions: nats per label. */
  | {
      readonly kind: 'cross-entropy';
      readonly name: string;
      readonly logits: string;
      /** Axis of the classes: 1 where omitted, as for images; −1 for sequences such as [batch, time, classes]. */
      readonly axis?: number;
      /** Share of the target spread evenly over all classes. */
      readonly labelSmoothing?: number;
      /** Name of the labels' input; `labels` where omitted. Terms may share it. */
      readonly labels?: string;
    }
  /**
   * T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over samples (Hinton et al. 2015, arXiv 1503.02531).
   * The teacher is another value of the same graph; no gradient flows into it.
   */
  | {
      readonly kind: 'distillation';
      readonly name: string;
      readonly student: string;
      readonly teacher: string;
      readonly temperature: number;
    }
  /**
   * Mean of −t·log p − (1 − t)·log(1 − p) with targets t of the prediction's shape, from 0 to 1. Probabilities are kept
   * 10⁻⁷ away from 0 and 1, beyond which no gradient flows.
   */
  | {
      readonly kind: 'binary-cross-entropy';
      readonly name: string;
      readonly prediction: string;
      /** What the prediction holds; `probabilities` where omitted. */
      readonly holds?: 'probabilities' | 'logits';
      /** Name of the target's input; `target` where omitted. */
      readonly target?: string;
    }
  /** Mean squared difference to a target of the prediction's shape. */
  | {
      readonly kind: 'mse';
      readonly name: string;
      readonly prediction: string;
      /** Name of the target's input; `target` where omitted. */
      readonly target?: string;
    };

/** What the builders of loss terms need. */
export interface LossContext {
  readonly b: GraphBuilder;
  shapeOf(value: string): Shape;
  /** Declares a target input once; later calls with the same name return it. */
  target(name: string, dtype: 'int64' | 'float32', shape: Shape): string;
  /** A view of a value through which no gradient flows. */
  stop(value: string): string;
}

export interface BuiltLoss {
  readonly loss: string;
  /** Number of samples that the term's logits classify rightly (int64 scalar), for cross-entropy. */
  readonly correct: string | undefined;
}

/** Emits a term. Throws StepSpecError where the shapes do not allow it. */
export function buildLoss(term: LossTerm, context: LossContext): BuiltLoss {
  switch (term.kind) {
    case 'cross-entropy':
      return crossEntropy(term, context);
    case 'distillation':
      return { loss: distillation(term, context), correct: undefined };
    case 'binary-cross-entropy':
      return { loss: binaryCrossEntropy(term, context), correct: undefined };
    case 'mse':
      return { loss: meanSquare(term, context), correct: undefined };
  }
}

/** −Σ_k t_k log softmax(logits)_k, mean over samples (and positions), with t = (1 − ε)·one-hot + ε / K. */
function crossEntropy(term: Extract<LossTerm, { kind: 'cross-entropy' }>, context: LossContext): BuiltLoss {
  const { b } = context;
  const shape = context.shapeOf(term.logits);
  const axis = axisOf(term, shape);
  const classes = classesOf(term.name, term.logits, shape, axis);
  const smoothing = term.labelSmoothing ?? 0;
  if (!(smoothing >= 0 && smoothing < 1))
    throw new StepSpecError(
      `loss '${term.name}': label smoothing of ${smoothing}`,
      'It must be at least 0 and below 1.',
    );
  const labels = context.target(term.labels ?? 'labels', 'int64', shape.toSpliced(axis, 1));
  const low = smoothing / classes;
  const targets = b.op(
    'OneHot',
    [labels, b.constant(Tensor.scalar('int64', classes)), b.constant(Tensor.floats([low, 1 - smoothing + low]))],
    { axis },
  );
  const logs = b.op('LogSoftmax', [term.logits], { axis });
  const perSample = b.op('ReduceSum', [b.op('Mul', [targets, logs]), b.int64s([axis])], { keepdims: 0 });
  const loss = b.op('Neg', [mean(b, perSample)]);
  const hits = b.op('Equal', [b.op('ArgMax', [term.logits], { axis, keepdims: 0 }), labels]);
  const correct = b.op('ReduceSum', [b.op('Cast', [hits], { to: 7 })], { keepdims: 0 });
  return { loss, correct };
}

function distillation(term: Extract<LossTerm, { kind: 'distillation' }>, context: LossContext): string {
  const { b } = context;
  const { temperature } = term;
  if (!(temperature > 0))
    throw new StepSpecError(`loss '${term.name}': temperature ${temperature}`, 'It must be above 0.');
  const classes = classesOf(term.name, term.student, context.shapeOf(term.student));
  if (classesOf(term.name, term.teacher, context.shapeOf(term.teacher)) !== classes)
    throw new StepSpecError(
      `loss '${term.name}': '${term.student}' and '${term.teacher}' have different numbers of classes`,
      'Distil between outputs over the same classes.',
    );
  const cooled = (value: string): string =>
    b.op('LogSoftmax', [temperature === 1 ? value : b.op('Mul', [value, b.scalar(1 / temperature)])], { axis: 1 });
  const teacher = cooled(context.stop(term.teacher));
  const difference = b.op('Sub', [teacher, cooled(term.student)]);
  const weighted = b.op('Mul', [b.op('Exp', [teacher]), difference]);
  const divergence = mean(b, b.op('ReduceSum', [weighted, b.int64s([1])], { keepdims: 0 }));
  return temperature === 1 ? divergence : b.op('Mul', [divergence, b.scalar(temperature * temperature)]);
}

function binaryCrossEntropy(term: Extract<LossTerm, { kind: 'binary-cross-entropy' }>, context: LossContext): string {
  const { b } = context;
  const target = context.target(term.target ?? 'target', 'float32', context.shapeOf(term.prediction));
  if (term.holds === 'logits') {
    const likely = b.op('Mul', [target, term.prediction]);
    return mean(b, b.op('Sub', [b.op('Softplus', [term.prediction]), likely]));
  }
  const p = b.op('Clip', [term.prediction, b.scalar(1e-7), b.scalar(1 - 1e-7)]);
  const yes = b.op('Mul', [target, b.op('Log', [p])]);
  const no = b.op('Mul', [b.op('Sub', [b.scalar(1), target]), b.op('Log', [b.op('Sub', [b.scalar(1), p])])]);
  return b.op('Neg', [mean(b, b.op('Add', [yes, no]))]);
}

function meanSquare(term: Extract<LossTerm, { kind: 'mse' }>, context: LossContext): string {
  const { b } = context;
  const target = context.target(term.target ?? 'target', 'float32', context.shapeOf(term.prediction));
  const difference = b.op('Sub', [term.prediction, target]);
  return mean(b, b.op('Mul', [difference, difference]));
}

const mean = (b: GraphBuilder, value: string): string => b.op('ReduceMean', [value], { keepdims: 0 });

/** The axis of a term's classes, counted from the front. */
function axisOf({ name, logits, axis = 1 }: Extract<LossTerm, { kind: 'cross-entropy' }>, shape: Shape): number {
  const found = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(found) || found < 0 || found >= shape.length)
    throw new StepSpecError(
      `loss '${name}': '${logits}' has shape [${shape.join(', ')}], so it has no axis ${axis}`,
      'Give the axis that holds the classes.',
    );
  return found;
}

function classesOf(term: string, value: string, shape: Shape, axis = 1): number {
  const classes: Dim | undefined = shape[axis];
  if (typeof classes !== 'number')
    throw new StepSpecError(
      `loss '${term}': '${value}' has shape [${shape.join(', ')}], with no fixed number of classes on axis ${axis}`,
      'Give logits of shape [batch, classes, …], or name the axis of the classes.',
    );
  return classes;
}
