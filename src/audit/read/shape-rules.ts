/** @file Shapes of what layers make, for formats whose files hold no shapes: small rules that several readers share. */

/** Static sizes; what is not known is `undefined` as a whole. */
export type Shape = readonly number[];

/** Product of dims. */
export function elementsOf(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Strides of numbers that stand row after row. */
export function rowMajor(shape: Shape): Shape {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** Positions of a window over one axis with explicit padding; `ceil` rounds up, as Caffe's pooling does. */
export function windowCount(
  input: number,
  window: { readonly kernel: number; readonly stride: number; readonly dilation?: number; readonly pad: number },
  ceil = false,
): number {
  const extent = (window.dilation ?? 1) * (window.kernel - 1) + 1;
  const steps = (input + window.pad - extent) / Math.max(1, window.stride);
  return Math.max(0, (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1);
}

/** Positions under TensorFlow's `SAME` (padding as needed) and `VALID` (none). */
export function paddedCount(
  input: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: 'SAME' | 'VALID',
): number {
  if (padding === 'SAME') return Math.ceil(input / Math.max(1, stride));
  return windowCount(input, { kernel, stride, dilation, pad: 0 });
}

/** Numpy broadcasting of two shapes; `undefined` where they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    result.push(x === 1 ? y : x);
  }
  return result;
}

/** Shapes joined on an axis, which may count from the end. */
export function concatenated(shapes: readonly Shape[], axis: number): Shape | undefined {
  const first = shapes[0];
  if (first === undefined) return undefined;
  const at = axis < 0 ? axis + first.length : axis;
  if (at < 0 || at >= first.length || shapes.some((shape) => shape.length !== first.length)) return undefined;
  return first.map((dim, i) => (i === at ? shapes.reduce((sum, shape) => sum + shape[i]!, 0) : dim));
}

/** A shape with `-1` for what is left and, where `zeroCopies`, `0` for the input's own dim. */
export function reshaped(input: Shape, dims: readonly number[], zeroCopies = true): Shape | undefined {
  const result = dims.map((dim, i) => (dim === 0 && zeroCopies ? (input[i] ?? 1) : dim));
  const open = result.indexOf(-1);
  if (open < 0) return result;
  const known = result.reduce((product, dim, i) => (i === open ? product : product * dim), 1);
  const left = known === 0 ? 0 : elementsOf(input) / known;
  return Number.isInteger(left) ? result.with(open, left) : undefined;
}

/** Axes in a new order. */
export function transposed(input: Shape, order: readonly number[]): Shape | undefined {
  return order.length === input.length && order.every((axis) => input[axis] !== undefined)
    ? order.map((axis) => input[axis]!)
    : undefined;
}

/** Shape of a batched matrix product. */
export function matrixProduct(a: Shape, b: Shape, transposeA = false, transposeB = false): Shape | undefined {
  if (a.length < 2 || b.length < 2) return undefined;
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2));
  return batch && [...batch, a.at(transposeA ? -1 : -2)!, b.at(transposeB ? -2 : -1)!];
}

/** MACs of a batched matrix product: elements of the result times the length of the rows. */
export function matrixMacs(a: Shape, b: Shape, transposeA = false, transposeB = false): number | null {
  const result = matrixProduct(a, b, transposeA, transposeB);
  return result ? elementsOf(result) * a.at(transposeA ? -2 : -1)! : null;
}

/**
 * MACs of a convolution or dense layer: every weight of the kernel is used once at each position of the result
 * (of the input, for a transposed convolution). `channels` is the number of channels of `positionsOf`.
 */
export function kernelMacs(kernelSize: number, positionsOf: Shape | undefined, channels: number): number | null {
  if (positionsOf === undefined || channels <= 0) return null;
  return Math.round(kernelSize * (elementsOf(positionsOf) / channels));
}
