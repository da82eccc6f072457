/** @file Gradients of pooling, local and global. */
import { intOf, intsOf, Tensor, type Shape } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { arrayOf } from './arith.js';
import { reach, windowOf, type Window } from './conv-geometry.js';
import { arithOf, countAlong, expandLike, needStatic, range, reshape, reshapeLike } from './shaping.js';

/**
 * MaxPool-12: the gradient goes back to the first maximum of each window (its `Indices`), summed where windows overlap.
 * The pooling is done once more where the node itself does not give the indices.
 */
const maxPool: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const { b } = c;
  const x = c.inputs[0]!;
  if (intOf(c.node, 'storage_order', 0) !== 0 && c.outputs[1] !== undefined)
    c.refuse('its indices are column-major (storage_order 1)');
  const { node } = c;
  const indices =
    c.outputs[1] ??
    b.ops('MaxPool', [x], Object.fromEntries([...node.attributes].filter(([name]) => name !== 'storage_order')), {
      outputs: 2,
      name: 'grad_pool_indices',
    })[1]!;
  const flat = b.int64s([-1]);
  const zeros = b.op('ConstantOfShape', [b.op('Reshape', [b.op('Size', [x]), b.int64s([1])])], {
    value: Tensor.of(c.type(x).dtype === 'float64' ? 'float64' : 'float32', [1], [0]),
  });
  const scattered = b.op('ScatterElements', [zeros, b.op('Reshape', [indices, flat]), b.op('Reshape', [g, flat])], {
    axis: 0,
    reduction: 'add',
  });
  return [reshapeLike(c, scattered, x)];
};

/** How many elements each window position of AveragePool divides by, [out…]. */
function divisors(input: readonly number[], output: readonly number[], window: Window, countPads: boolean): number[] {
  const { kernel, strides, dilations, padBegin, padEnd } = window;
  const perAxis = output.map((size, d) =>
    range(size).map((o) => {
      let count = 0;
      for (let k = 0; k < kernel[d]!; k++) {
        const at = o * strides[d]! - padBegin[d]! + k * dilations[d]!;
        // With ceil_mode a window may reach past the padding: those positions never count.
        if (countPads ? at < input[d]! + padEnd[d]! : at >= 0 && at < input[d]!) count++;
      }
      return count;
    }),
  );
  return perAxis.reduce<number[]>((grid, axis) => grid.flatMap((a) => axis.map((b) => a * b)), [1]);
}

/** AveragePool-19: each window spreads its gradient evenly: a transposed convolution with ones, per channel. */
const averagePool: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const kernel = intsOf(c.node, 'kernel_shape', []);
  const window = windowOf(c, kernel, c.shape(x));
  const input = needStatic(c, c.shape(x).slice(2), 'the spatial dims of AveragePool');
  const output = needStatic(c, c.shape(c.outputs[0]!).slice(2), 'the spatial dims of AveragePool');
  const counts = divisors(input, output, window, intOf(c.node, 'count_include_pad', 0) === 1);
  const even = counts.every((count) => count === counts[0]);
  const scaled = even
    ? e.mul(g, 1 / counts[0]!)
    : e.mul(
        g,
        arrayOf(
          c.b,
          e.dtype,
          output,
          counts.map((count) => 1 / count),
        ),
      );
  return [spreadWindows(c, scaled, x, input, output, window)];
};

/** Adds every element of [N, C, out…] to all the inputs that its window covers, giving the shape of `x`. */
function spreadWindows(
  c: VjpContext,
  value: string,
  x: string,
  input: readonly number[],
  output: readonly number[],
  window: Window,
): string {
  const { kernel, strides, dilations, padBegin } = window;
  const rest = input.map(
    (size, d) => size - ((output[d]! - 1) * strides[d]! + reach(kernel[d]!, dilations[d]!) - padBegin[d]!),
  );
  const ones = arrayOf(
    c.b,
    c.type(x).dtype,
    [1, 1, ...kernel],
    range(kernel.reduce((a, b) => a * b, 1)).map(() => 1),
  );
  // Channels join the batch, so that no group count is needed and both may be symbolic.
  const joined = reshape(c, value, [-1, 1, ...output]);
  const spread = c.b.op('ConvTranspose', [joined, ones], {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: [...padBegin, ...rest.map((size) => Math.max(0, -size))],
    output_padding: rest.map((size) => Math.max(0, size)),
  });
  return reshapeLike(c, spread, x);
}

const spatialAxes = (shape: Shape): readonly number[] => range(shape.length - 2).map((d) => d + 2);

const globalAveragePool: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const x = c.inputs[0]!;
  return [expandLike(c, arithOf(c).div(g, countAlong(c, x, spatialAxes(c.shape(x)))), x)];
};

/** Ties share the gradient equally, as PyTorch's amax does. */
const globalMaxPool: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const e = arithOf(c);
  const x = c.inputs[0]!;
  const chosen = e.cast(e.equal(x, c.outputs[0]!));
  return [e.mul(chosen, e.div(g, e.sum(chosen, spatialAxes(c.shape(x)))))];
};

/** d‖x‖ₚ of a window is sign(x)·|x|ᵖ⁻¹·‖x‖ₚ¹⁻ᵖ: this is the second factor times g, 0 for an all-zero window. */
function lpFactor(c: VjpContext, g: string, p: number): string {
  const e = arithOf(c);
  const y = c.outputs[0]!;
  if (p === 1) return g;
  return e.where(e.equal(y, 0), 0, e.mul(g, e.pow(y, 1 - p)));
}

/** The first factor. */
function lpSlope(c: VjpContext, p: number): string {
  const e = arithOf(c);
  const x = c.inputs[0]!;
  if (p === 1) return e.sign(x);
  return p === 2 ? x : e.mul(e.sign(x), e.pow(e.abs(x), p - 1));
}

/** LpPool-18. */
const lpPool: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const x = c.inputs[0]!;
  const p = intOf(c.node, 'p', 2);
  const window = windowOf(c, intsOf(c.node, 'kernel_shape', []), c.shape(x));
  const input = needStatic(c, c.shape(x).slice(2), 'the spatial dims of LpPool');
  const output = needStatic(c, c.shape(c.outputs[0]!).slice(2), 'the spatial dims of LpPool');
  const spread = spreadWindows(c, lpFactor(c, g, p), x, input, output, window);
  return [arithOf(c).mul(lpSlope(c, p), spread)];
};

const globalLpPool: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(0)) return [];
  const p = intOf(c.node, 'p', 2);
  return [arithOf(c).mul(lpSlope(c, p), lpFactor(c, g, p))];
};

export const poolingGradients: Readonly<Record<string, VjpRule>> = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
  LpPool: lpPool,
  GlobalLpPool: globalLpPool,
};
