/** @file Shape rules of operators that resample images. */
import {
  divDims,
  floatsOf,
  formatShape,
  intOf,
  intsOf,
  mulDims,
  stringOf,
  type Dim,
  type Node,
  type Shape,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferContext, InferRule } from '../record.js';
import {
  axesOf,
  dimsAt,
  dtypeOf,
  hasInput,
  numbersAt,
  requireRank,
  shapeOf,
  single,
  unknownDims,
  type RuleTable,
} from './support.js';

/** ⌊dim × scale⌋ in float32, as runtimes compute it. A symbolic dim survives whole scales and their inverses. */
function scaled(dim: Dim, scale: number): Dim {
  if (typeof dim === 'number') return Math.floor(Math.fround(dim * Math.fround(scale)));
  if (dim === null || Number.isInteger(scale)) return mulDims(dim, scale);
  const inverse = 1 / scale;
  return Number.isInteger(inverse) ? divDims(dim, inverse) : null;
}

function scaledShape(node: Node, x: Shape | undefined, scales: readonly number[] | undefined): Shape | undefined {
  if (x === undefined) return scales && unknownDims(scales.length);
  if (scales === undefined) return unknownDims(x.length);
  if (scales.length !== x.length)
    throw new ShapeError(node, `scales [${scales.join(', ')}] do not fit input ${formatShape(x)}`);
  return x.map((dim, axis) => scaled(dim, scales[axis]!));
}

/** Upsample-7 (attribute) and 9 (input 1); Resize-10 has the same form as Upsample-9. */
const upsample: InferRule = (context) => {
  const { node, inputs } = context;
  const scales = floatsOf(node, 'scales', undefined) ?? numbersAt(context, 1);
  return single(dtypeOf(inputs[0]), scaledShape(node, shapeOf(inputs[0]), scales));
};

/** Resize-11 … 19: by scales (input 2) or sizes (input 3), on the named axes since 18, keeping the aspect ratio on demand. */
const resize: InferRule = (context) => {
  const { node, inputs, opset } = context;
  if (opset < 11) return upsample(context);
  const x = shapeOf(inputs[0]);
  const dtype = dtypeOf(inputs[0]);
  if (x === undefined) return single(dtype, undefined);
  const axes = axesOf(node, intsOf(node, 'axes', undefined) ?? [...x.keys()], x.length);
  const sizes = hasInput(node, 3) ? dimsAt(context, 3) : undefined;
  const scales = hasInput(node, 2) ? numbersAt(context, 2) : undefined;
  const shape = [...x];
  const fits = (list: readonly unknown[], what: string): void => {
    if (list.length !== axes.length)
      throw new ShapeError(
        node,
        `${what} [${list.join(', ')}] need ${axes.length} entries for input ${formatShape(x)}`,
      );
  };
  // An empty list of scales, as exporters write it, means that sizes are given.
  if (sizes && sizes.length > 0) {
    fits(sizes, 'sizes');
    const kept = fitted(
      node,
      axes.map((axis) => x[axis]!),
      sizes,
    );
    axes.forEach((axis, at) => (shape[axis] = kept[at]!));
  } else if (scales && scales.length > 0) {
    fits(scales, 'scales');
    const region = regionOf(context, axes.length);
    axes.forEach((axis, at) => {
      const dim = x[axis]!;
      if (region === undefined) shape[axis] = scaled(dim, scales[at]!);
      else if (region === 'unknown' || typeof dim !== 'number') shape[axis] = null;
      else shape[axis] = Math.floor(dim * (region[at + axes.length]! - region[at]!) * scales[at]!);
    });
  } else axes.forEach((axis) => (shape[axis] = null));
  return single(dtype, shape);
};

/** The region of interest, where the coordinate transformation crops; `'unknown'` where it is computed at run time. */
function regionOf(context: InferContext, axes: number): readonly number[] | 'unknown' | undefined {
  if (stringOf(context.node, 'coordinate_transformation_mode', 'half_pixel') !== 'tf_crop_and_resize') return undefined;
  const region = numbersAt(context, 1);
  return region?.length === 2 * axes ? region : 'unknown';
}

/** Sizes under `keep_aspect_ratio_policy`: one scale for all axes, the smallest or the largest of those asked for. */
function fitted(node: Node, dims: readonly Dim[], sizes: readonly Dim[]): readonly Dim[] {
  const policy = stringOf(node, 'keep_aspect_ratio_policy', 'stretch');
  if (policy === 'stretch') return sizes;
  if (policy !== 'not_larger' && policy !== 'not_smaller')
    throw new ShapeError(node, `keep_aspect_ratio_policy '${policy}' is unknown`);
  if (![...dims, ...sizes].every((dim) => typeof dim === 'number')) return unknownDims(sizes.length);
  const ratios = sizes.map((size, at) => (size as number) / (dims[at] as number));
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return dims.map((dim) => Math.round(scale * (dim as number)));
}

/** GridSample-16 … 22: x [N, C, …in], grid [N, …out, rank] → [N, C, …out]. */
const gridSample: InferRule = ({ node, inputs }) => {
  const [x, grid] = inputs.map(shapeOf);
  requireRank(node, 'the input', x, 3);
  requireRank(node, 'the grid', grid, 3);
  if (x === undefined && grid === undefined) return single(dtypeOf(inputs[0]), undefined);
  if (x && grid && x.length !== grid.length)
    throw new ShapeError(node, `input ${formatShape(x)} and grid ${formatShape(grid)} differ in rank`);
  const rank = (x ?? grid)!.length;
  return single(dtypeOf(inputs[0]), [
    x?.[0] ?? grid?.[0] ?? null,
    x?.[1] ?? null,
    ...(grid?.slice(1, -1) ?? unknownDims(rank - 2)),
  ]);
};

/** AffineGrid-20: theta [N, r, r+1], size [N, C, …] → [N, …, r]. */
const affineGrid: InferRule = (context) => {
  const { inputs } = context;
  const target = dimsAt(context, 1);
  if (!target) return single(dtypeOf(inputs[0]), undefined);
  return single(dtypeOf(inputs[0]), [target[0]!, ...target.slice(2), target.length - 2]);
};

/** RoiAlign-10 … 22: x [N, C, H, W], rois [R, 4] → [R, C, output_height, output_width]. */
const roiAlign: InferRule = ({ node, inputs }) => {
  const [x, rois] = inputs.map(shapeOf);
  requireRank(node, 'the input', x, 4, 4);
  requireRank(node, 'rois', rois, 2, 2);
  return single(dtypeOf(inputs[0]), [
    rois?.[0] ?? null,
    x?.[1] ?? null,
    intOf(node, 'output_height', 1),
    intOf(node, 'output_width', 1),
  ]);
};

/** ImageDecoder-20: an encoded stream → [H, W, channels]. */
const imageDecoder: InferRule = ({ node, symbol }) =>
  single('uint8', [symbol('height'), symbol('width'), stringOf(node, 'pixel_format', 'RGB') === 'Grayscale' ? 1 : 3]);

export const imagingShapes: RuleTable = {
  Upsample: upsample,
  Resize: resize,
  GridSample: gridSample,
  AffineGrid: affineGrid,
  RoiAlign: roiAlign,
  ImageDecoder: imageDecoder,
};
