/** @file Optimisers: each emits its update as graph nodes and says which scalars the host feeds at every step. */
import type { GraphBuilder } from '../ir/index.js';

export type OptimizerSpec =
  | { readonly kind: 'sgd'; readonly momentum?: number; readonly nesterov?: boolean }
  | {
      readonly kind: 'adam' | 'adamw';
      readonly beta1?: number;
      readonly beta2?: number;
      readonly epsilon?: number;
    };

export type OptimizerKind = OptimizerSpec['kind'];

/** What an update rule reads and emits. Every name is a value of the step graph. */
export interface UpdateContext {
  readonly b: GraphBuilder;
  readonly parameter: string;
  readonly gradient: string;
  /** Decoupled or L2 weight decay of this parameter; 0 for none. */
  readonly weightDecay: number;
  /** Scalars by the names that the optimiser declares. */
  readonly scalars: Readonly<Record<string, string>>;
  /** Old state by slot name, each of the parameter's shape, zero at the start. */
  readonly state: Readonly<Record<string, string>>;
}

export interface Update {
  readonly parameter: string;
  readonly state: Readonly<Record<string, string>>;
}

/** What the host knows at a step. `iteration` counts from 1. */
export interface StepScalars {
  readonly learningRate: number;
  readonly iteration: number;
  /** Replaces the specification's momentum at this step. */
  readonly momentum?: number;
}

export interface Optimizer {
  /** Slots of state per parameter. */
  readonly slots: readonly string[];
  readonly scalars: readonly string[];
  /** The scalars' values at a step. */
  values(step: StepScalars): Readonly<Record<string, number>>;
  update(context: UpdateContext): Update;
}

/** The rules of an optimiser. */
export function optimizerOf(spec: OptimizerSpec): Optimizer {
  return spec.kind === 'sgd' ? sgd(spec) : adam(spec);
}

/**
 * Stochastic gradient descent, with momentum and Nesterov's form as torch.optim.SGD (dampening 0):
 * g ← g + λw, v ← μv + g, w ← w − η(v), or η(g + μv) with Nesterov.
 */
function sgd(spec: Extract<OptimizerSpec, { kind: 'sgd' }>): Optimizer {
  const { momentum = 0, nesterov = false } = spec;
  const heavy = momentum > 0;
  return {
    slots: heavy ? ['momentum'] : [],
    scalars: heavy ? ['learning_rate', 'momentum'] : ['learning_rate'],
    values: (step) => ({ learning_rate: step.learningRate, ...(heavy && { momentum: step.momentum ?? momentum }) }),
    update({ b, parameter, gradient, weightDecay, scalars, state }) {
      const g = withL2(b, parameter, gradient, weightDecay);
      let direction = g;
      const next: Record<string, string> = {};
      if (heavy) {
        const mu = scalars.momentum!;
        const v = b.op('Add', [b.op('Mul', [state.momentum!, mu]), g]);
        next.momentum = v;
        direction = nesterov ? b.op('Add', [g, b.op('Mul', [v, mu])]) : v;
      }
      return {
        parameter: b.op('Sub', [parameter, b.op('Mul', [direction, scalars.learning_rate!])]),
        state: next,
      };
    },
  };
}

/**
 * Adam (Kingma and Ba 2015, algorithm 1) with L2 decay, or AdamW (Loshchilov and Hutter 2019, algorithm 2), in
 * PyTorch's form: w ← w(1 − ηλ) for AdamW, m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g²,
 * w ← w − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε). The corrections are scalars of the host.
 */
function adam(spec: Extract<OptimizerSpec, { kind: 'adam' | 'adamw' }>): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = spec;
  return {
    slots: ['mean', 'square'],
    scalars: ['learning_rate', 'step_size', 'root_correction'],
    values: ({ learningRate, iteration }) => ({
      learning_rate: learningRate,
      step_size: learningRate / (1 - beta1 ** iteration),
      root_correction: 1 / Math.sqrt(1 - beta2 ** iteration),
    }),
    update({ b, parameter, gradient, weightDecay, scalars, state }) {
      const decoupled = spec.kind === 'adamw';
      const g = decoupled ? gradient : withL2(b, parameter, gradient, weightDecay);
      const shrunk =
        decoupled && weightDecay > 0
          ? b.op('Sub', [
              parameter,
              b.op('Mul', [parameter, b.op('Mul', [scalars.learning_rate!, b.scalar(weightDecay)])]),
            ])
          : parameter;
      const mean = average(b, state.mean!, g, beta1);
      const square = average(b, state.square!, b.op('Mul', [g, g]), beta2);
      const root = b.op('Mul', [b.op('Sqrt', [square]), scalars.root_correction!]);
      const change = b.op('Div', [b.op('Mul', [mean, scalars.step_size!]), b.op('Add', [root, b.scalar(epsilon)])]);
      return { parameter: b.op('Sub', [shrunk, change]), state: { mean, square } };
    },
  };
}

function withL2(b: GraphBuilder, parameter: string, gradient: string, weightDecay: number): string {
  return weightDecay === 0 ? gradient : b.op('Add', [gradient, b.op('Mul', [parameter, b.scalar(weightDecay)])]);
}

/** share · old + (1 − share) · fresh. */
function average(b: GraphBuilder, old: string, fresh: string, share: number): string {
  return b.op('Add', [b.op('Mul', [old, b.scalar(share)]), b.op('Mul', [fresh, b.scalar(1 - share)])]);
}
