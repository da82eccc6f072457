/** @file Shape rules of operators that view or rearrange a tensor without computing on its elements. */
import {
  divideExactly,
  equalDims,
  formatShape,
  intOf,
  intsOf,
  mulDims,
  productOfDims,
  stringOf,
  type Dim,
  type Node,
  type Shape,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';
import {
  axesOf,
  axisOf,
  dimsAt,
  dtypeOf,
  givenAxes,
  listLength,
  requireRank,
  shapeOf,
  single,
  unknownDims,
  type RuleTable,
} from './support.js';

/** Reshape-5 … 21: 0 copies a dim (unless `allowzero`), one −1 takes what is left; symbols cancel. */
const reshape: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const target = intsOf(node, 'shape', undefined) ?? dimsAt(context, 1);
  const dtype = dtypeOf(inputs[0]);
  if (target === undefined) {
    const rank = listLength(context, 1);
    return single(dtype, rank === undefined ? undefined : unknownDims(rank));
  }
  return single(dtype, reshaped(node, x, target, intOf(node, 'allowzero', 0) === 1), context.dims(0));
};

function reshaped(node: Node, x: Shape | undefined, target: readonly Dim[], allowZero: boolean): Shape {
  const rest = target.indexOf(-1);
  if (rest !== target.lastIndexOf(-1)) throw new ShapeError(node, `target [${target.join(', ')}] has more than one -1`);
  const dims = target.map((dim, axis): Dim => {
    if (typeof dim === 'number' && dim < -1)
      throw new ShapeError(node, `target [${target.join(', ')}] has a negative dim`);
    if (dim !== 0 || allowZero) return dim;
    if (x === undefined) return null;
    if (axis >= x.length)
      throw new ShapeError(node, `target [${target.join(', ')}] copies axis ${axis} of ${formatShape(x)}`);
    return x[axis]!;
  });
  const misfit = (): never => {
    throw new ShapeError(node, `input ${formatShape(x)} cannot take the shape [${target.join(', ')}]`);
  };
  if (rest < 0) {
    if (x) {
      const [from, to] = [productOfDims(x), productOfDims(dims)];
      if (typeof from === 'number' && typeof to === 'number' && from !== to) misfit();
      // One unknown dim is what the others leave over.
      const open = dims.indexOf(null);
      if (open >= 0 && open === dims.lastIndexOf(null)) return dims.with(open, leftOver(x, dims.toSpliced(open, 1)));
    }
    return dims;
  }
  if (x === undefined) return dims.with(rest, null);
  const others = dims.toSpliced(rest, 1);
  const size = leftOver(x, others);
  if (size === null && [...x, ...others].every((dim) => typeof dim === 'number') && !others.includes(0)) misfit();
  return dims.with(rest, size);
}

/** ∏ from / ∏ to. Unknown dims that stand in both cancel one for one only where they are symbols. */
function leftOver(from: Shape, to: Shape): Dim {
  const left = [...from];
  const right = to.filter((dim) => {
    const at = left.findIndex((candidate) => equalDims(candidate, dim) && dim !== 0);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return divideExactly(productOfDims(left), productOfDims(right));
}

/** Flatten-1 … 21: dims before `axis` and from `axis` on, each multiplied. */
const flatten: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  if (x === undefined) return single(dtypeOf(inputs[0]), [null, null]);
  const given = intOf(node, 'axis', 1);
  const axis = given === x.length ? given : axisOf(node, given, x.length);
  return single(dtypeOf(inputs[0]), [productOfDims(x.slice(0, axis)), productOfDims(x.slice(axis))]);
};

/** Transpose-1 … 21; the reverse order where `perm` is missing. */
const transpose: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  const perm = intsOf(node, 'perm', undefined);
  if (x === undefined) return single(dtypeOf(inputs[0]), perm && unknownDims(perm.length));
  const order = perm ?? [...x.keys()].reverse();
  if (
    order.length !== x.length ||
    new Set(order).size !== x.length ||
    order.some((axis) => axis < 0 || axis >= x.length)
  )
    throw new ShapeError(node, `perm [${order.join(', ')}] is no order of the axes of ${formatShape(x)}`);
  return single(
    dtypeOf(inputs[0]),
    order.map((axis) => x[axis]!),
  );
};

/** Squeeze-1 … 21: the named axes of size 1 go, or all of them. */
const squeeze: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const axes = givenAxes(context, 1);
  const dtype = dtypeOf(inputs[0]);
  const dims = context.dims(0);
  if (x === undefined) return single(dtype, undefined, dims);
  if (axes === 'unknown') {
    const count = listLength(context, 1);
    return single(dtype, count === undefined ? undefined : unknownDims(x.length - count));
  }
  // Without axes, a dim that is not known might or might not be 1.
  if (axes === undefined)
    return single(dtype, x.every((dim) => typeof dim === 'number') ? x.filter((dim) => dim !== 1) : undefined, dims);
  const gone = new Set(axesOf(node, axes, x.length));
  for (const axis of gone) {
    const dim = x[axis]!;
    if (typeof dim === 'number' && dim !== 1) throw new ShapeError(node, `axis ${axis} of ${formatShape(x)} is not 1`);
  }
  return single(
    dtype,
    x.filter((_, axis) => !gone.has(axis)),
    dims,
  );
};

/** Unsqueeze-1 … 21: axes count in the output's rank. */
const unsqueeze: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const axes = givenAxes(context, 1);
  const dtype = dtypeOf(inputs[0]);
  if (axes === undefined) throw new ShapeError(node, 'axes are missing');
  if (x === undefined) return single(dtype, undefined);
  if (axes === 'unknown') {
    const count = listLength(context, 1);
    return single(dtype, count === undefined ? undefined : unknownDims(x.length + count));
  }
  const rank = x.length + axes.length;
  const fresh = new Set(axesOf(node, axes, rank));
  const rest = x.values();
  const shape = Array.from({ length: rank }, (_, axis): Dim => (fresh.has(axis) ? 1 : rest.next().value!));
  return single(dtype, shape, context.dims(0));
};

/** Expand-8 … 13: two-way broadcast with the dims in input 1. */
const expand: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const target = dimsAt(context, 1);
  const dtype = dtypeOf(inputs[0]);
  if (target && x) {
    const content = context.dims(0);
    const shape = broadcastShapes(node, [x, target]);
    const length = shape?.length === 1 ? shape[0] : undefined;
    const repeated =
      content?.length === 1 && typeof length === 'number' && length <= 64
        ? Array<Dim>(length).fill(content[0]!)
        : undefined;
    return single(dtype, shape, repeated);
  }
  const rank = listLength(context, 1);
  return single(dtype, x && rank !== undefined ? unknownDims(Math.max(rank, x.length)) : undefined);
};

/** Tile-6 … 13: each dim times its repeats. */
const tile: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const repeats = dimsAt(context, 1);
  if (x && repeats && x.length !== repeats.length)
    throw new ShapeError(node, `repeats [${repeats.join(', ')}] do not fit input ${formatShape(x)}`);
  const rank = x?.length ?? listLength(context, 1);
  const shape =
    x && repeats
      ? x.map((dim, axis) => mulDims(dim, repeats[axis]!))
      : rank === undefined
        ? undefined
        : unknownDims(rank);
  return single(dtypeOf(inputs[0]), shape);
};

/** DepthToSpace-1 … 13: [N, C, H, W] → [N, C/b², H·b, W·b]. */
const depthToSpace: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 4, 4);
  const block = intOf(node, 'blocksize', 1);
  const mode = stringOf(node, 'mode', 'DCR');
  if (mode !== 'DCR' && mode !== 'CRD') throw new ShapeError(node, `mode '${mode}' is unknown`);
  if (x === undefined) return single(dtypeOf(inputs[0]), unknownDims(4));
  return single(dtypeOf(inputs[0]), [
    x[0]!,
    exact(node, x, 1, block * block),
    mulDims(x[2]!, block),
    mulDims(x[3]!, block),
  ]);
};

/** SpaceToDepth-1 … 13: [N, C, H, W] → [N, C·b², H/b, W/b]. */
const spaceToDepth: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 4, 4);
  const block = intOf(node, 'blocksize', 1);
  if (x === undefined) return single(dtypeOf(inputs[0]), unknownDims(4));
  return single(dtypeOf(inputs[0]), [
    x[0]!,
    mulDims(x[1]!, block * block),
    exact(node, x, 2, block),
    exact(node, x, 3, block),
  ]);
};

function exact(node: Node, shape: Shape, axis: number, divisor: number): Dim {
  const dim = shape[axis]!;
  const quotient = divideExactly(dim, divisor);
  if (typeof dim === 'number' && quotient === null)
    throw new ShapeError(node, `axis ${axis} of ${formatShape(shape)} is no multiple of ${divisor}`);
  return quotient ?? (typeof dim === 'string' ? `floor((${dim})/${divisor})` : null);
}

export const reshapingShapes: RuleTable = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
  Tile: tile,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
