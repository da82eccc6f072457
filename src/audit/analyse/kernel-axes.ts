/** @file Where a kernel's outputs, inputs and window lie in its bytes: the same view of every layout. */
import type { AuditLayer, AuditWeight } from '../read/model.js';

/** Sizes and strides (in elements) of a kernel seen as [outputs, inputs, window]. */
export interface KernelAxes {
  readonly outputs: number;
  readonly inputs: number;
  /** Sizes of the window, height before width; empty for matrices. */
  readonly window: readonly number[];
  readonly strides: { readonly output: number; readonly input: number; readonly window: number };
}

const product = (dims: readonly number[]): number => dims.reduce((size, dim) => size * dim, 1);

/** The axes of a weight whose layout is known; `undefined` for vectors and others. */
export function kernelAxes({ shape, layout }: AuditWeight): KernelAxes | undefined {
  const rank = shape.length;
  if (layout === undefined || rank < 2) return undefined;
  const [first = 1, second = 1] = shape;
  const [beforeLast = 1, last = 1] = shape.slice(-2);
  switch (layout) {
    case 'OIHW':
    case 'OI': {
      const window = shape.slice(2);
      const size = product(window);
      return { outputs: first, inputs: second, window, strides: { output: second * size, input: size, window: 1 } };
    }
    case 'IOHW': {
      const window = shape.slice(2);
      const size = product(window);
      return { outputs: second, inputs: first, window, strides: { output: size, input: second * size, window: 1 } };
    }
    case 'OHWI': {
      const window = shape.slice(1, -1);
      return {
        outputs: first,
        inputs: last,
        window,
        strides: { output: product(window) * last, input: 1, window: last },
      };
    }
    case 'HWIO':
    case 'IO':
      return {
        outputs: last,
        inputs: beforeLast,
        window: shape.slice(0, -2),
        strides: { output: 1, input: last, window: beforeLast * last },
      };
    case 'HWOI':
      return {
        outputs: beforeLast,
        inputs: last,
        window: shape.slice(0, -2),
        strides: { output: last, input: 1, window: beforeLast * last },
      };
    case 'HWCM':
      return {
        outputs: beforeLast * last,
        inputs: 1,
        window: shape.slice(0, -2),
        strides: { output: 1, input: 0, window: beforeLast * last },
      };
    case '1HWC':
      return {
        outputs: first * last,
        inputs: 1,
        window: shape.slice(1, -1),
        strides: { output: 1, input: 0, window: last },
      };
  }
}

/** Whether the elements already stand in the order outputs, inputs, window. */
export function isCanonical({ layout }: AuditWeight): boolean {
  return layout === undefined || layout === 'OIHW' || layout === 'OI';
}

/** The weight of a layer that does its work: the largest learned one with a known layout, else the largest of two axes or more. */
export function kernelOf(layer: AuditLayer): AuditWeight | undefined {
  let best: AuditWeight | undefined;
  for (const weight of layer.weights) {
    if (!weight.learned || weight.shape.filter((dim) => dim > 1).length + (weight.layout ? 2 : 0) < 2) continue;
    if (best === undefined || rank(weight) > rank(best)) best = weight;
  }
  return best;
}

const rank = ({ layout, size }: AuditWeight): number => size + (layout === undefined ? 0 : Number.MAX_SAFE_INTEGER / 2);
