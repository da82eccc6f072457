/** @file Contents of small integer matrices on their way through shape inference: PyTorch exports paddings that way. */
import { intsOf, sizeOf, Tensor, type Node, type ValueType } from '../ir/index.js';

/** Whole numbers in a known shape, row by row. */
export interface SmallMatrix {
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

/**
 * What a Reshape, Transpose, Slice (10 and newer), Cast or Identity node gives, where its inputs are known whole numbers and its input or
 * output has two axes or more; shorter ones shape inference follows by itself. `read` gives the known contents of input `i`, `type` is the
 * output's inferred type.
 */
export function smallMatrix(
  node: Node,
  type: ValueType | undefined,
  read: (i: number) => SmallMatrix | undefined,
): Tensor | undefined {
  if (node.domain !== '' || type?.kind !== 'tensor' || (type.dtype !== 'int64' && type.dtype !== 'int32'))
    return undefined;
  const given = read(0);
  if (given === undefined) return undefined;
  const found = contentsOf(node, given, type.shape, read);
  if (found === undefined || Math.max(given.dims.length, found.dims.length) < 2) return undefined;
  return Tensor.of(type.dtype, found.dims, found.values);
}

function contentsOf(
  node: Node,
  given: SmallMatrix,
  shape: readonly unknown[] | undefined,
  read: (i: number) => SmallMatrix | undefined,
): SmallMatrix | undefined {
  switch (node.op) {
    case 'Cast':
    case 'Identity':
      return given;
    case 'Reshape': {
      const dims = shape?.filter((dim) => typeof dim === 'number');
      const fits = dims !== undefined && dims.length === shape!.length && sizeOf(dims) === given.values.length;
      return fits ? { dims, values: given.values } : undefined;
    }
    case 'Transpose': {
      const perm = intsOf(node, 'perm', given.dims.map((_, axis) => axis).reverse());
      const picks = perm.map((axis) => ({ axis, indices: range(given.dims[axis]!) }));
      return picked(given, picks);
    }
    case 'Slice': {
      const [starts, ends] = [read(1)?.values, read(2)?.values];
      const axes = node.inputs[3] ? read(3)?.values : starts?.map((_, i) => i);
      const steps = node.inputs[4] ? read(4)?.values : starts?.map(() => 1);
      if (starts === undefined || ends === undefined || axes === undefined || steps === undefined) return undefined;
      const picks = given.dims.map((dim, axis) => ({ axis, indices: range(dim) }));
      axes.forEach((axis, i) => {
        const at = axis < 0 ? axis + given.dims.length : axis;
        picks[at] = { axis: at, indices: cut(given.dims[at]!, starts[i]!, ends[i]!, steps[i]!) };
      });
      return picked(given, picks);
    }
    default:
      return undefined;
  }
}

/** The elements at the given indices of each axis, the axes in the given order. */
function picked(
  { dims, values }: SmallMatrix,
  picks: readonly { readonly axis: number; readonly indices: readonly number[] }[],
): SmallMatrix {
  const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
  let offsets = [0];
  for (const { axis, indices } of picks)
    offsets = offsets.flatMap((offset) => indices.map((index) => offset + index * strides[axis]!));
  return { dims: picks.map(({ indices }) => indices.length), values: offsets.map((offset) => values[offset]!) };
}

/** The indices that a slice of an axis of size `dim` takes (ONNX Slice-13 clamping). */
function cut(dim: number, start: number, end: number, step: number): readonly number[] {
  const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
  const [from, to] = [start < 0 ? start + dim : start, end < 0 ? end + dim : end];
  const indices: number[] = [];
  if (step > 0) for (let i = clamp(from, 0, dim); i < clamp(to, 0, dim); i += step) indices.push(i);
  if (step < 0) for (let i = clamp(from, 0, dim - 1); i > clamp(to, -1, dim - 1); i += step) indices.push(i);
  return indices;
}

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
