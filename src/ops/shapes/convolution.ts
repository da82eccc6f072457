/** @file Shape rules of convolutions, plain, transposed, quantised and deformable. */
import {
  addDims,
  divideExactly,
  formatShape,
  intOf,
  intsOf,
  mulDims,
  productOfDims,
  subDims,
  type Dim,
  type Node,
  type Shape,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import {
  dimsAt,
  dtypeOf,
  listLength,
  requireRank,
  sameDim,
  shapeOf,
  single,
  unknownDims,
  type RuleTable,
} from './support.js';
import { extentOf, slide, windowOf } from './window.js';

/** Kernel dims: the weight's, checked against the attribute `kernel_shape`. */
function kernelOf(node: Node, weight: Shape): readonly Dim[] {
  const stated = intsOf(node, 'kernel_shape', undefined);
  const found = weight.slice(2);
  if (stated && stated.length !== found.length)
    throw new ShapeError(node, `kernel_shape [${stated.join(', ')}] does not fit the weight ${formatShape(weight)}`);
  return found.map((dim, axis) => (stated ? sameDim(node, 'kernel_shape and weight', dim, stated[axis]!) : dim));
}

/** Output shape of Conv-1 … 22: x [N, C, …], weight [M, C/group, …k] → [N, M, …]. */
function convolve(node: Node, x: Shape | undefined, weight: Shape | undefined): Shape | undefined {
  requireRank(node, 'the input', x, 3);
  if (x === undefined) return undefined;
  if (weight === undefined) return [x[0]!, null, ...unknownDims(x.length - 2)];
  if (weight.length !== x.length)
    throw new ShapeError(node, `input ${formatShape(x)} and weight ${formatShape(weight)} differ in rank`);
  const group = intOf(node, 'group', 1);
  const needed = mulDims(weight[1]!, group);
  if (typeof x[1] === 'number' && typeof needed === 'number' && x[1] !== needed)
    throw new ShapeError(
      node,
      `input ${formatShape(x)} has ${x[1]} channels, but weight ${formatShape(weight)} in ${group} group(s) needs ${needed}`,
    );
  if (typeof weight[0] === 'number' && (group < 1 || weight[0] % group !== 0))
    throw new ShapeError(node, `${weight[0]} output channels do not part into ${group} groups`);
  return [x[0]!, weight[0]!, ...slide(node, x.slice(2), windowOf(node, kernelOf(node, weight)))];
}

/** A convolution whose weight is input `at`; `dtype` names the element type of the result. */
const conv =
  (at: number, dtype: (inputs: Parameters<InferRule>[0]['inputs']) => ReturnType<typeof dtypeOf>): InferRule =>
  ({ node, inputs }) =>
    single(dtype(inputs), convolve(node, shapeOf(inputs[0]), shapeOf(inputs[at])));

/** ConvTranspose-1 … 22: x [N, C, …], weight [C, M/group, …k] → [N, M, …]. */
const convTranspose: InferRule = ({ node, inputs }) => {
  const [x, weight] = inputs.map(shapeOf);
  requireRank(node, 'the input', x, 3);
  const dtype = dtypeOf(inputs[0]);
  if (x === undefined) return single(dtype, undefined);
  if (weight === undefined) return single(dtype, [x[0]!, null, ...unknownDims(x.length - 2)]);
  if (weight.length !== x.length)
    throw new ShapeError(node, `input ${formatShape(x)} and weight ${formatShape(weight)} differ in rank`);
  sameDim(node, 'channels of input and weight', x[1]!, weight[0]!);
  const window = windowOf(node, kernelOf(node, weight));
  const rank = x.length - 2;
  const stated = intsOf(node, 'output_shape', undefined);
  const extra = intsOf(node, 'output_padding', undefined) ?? Array<number>(rank).fill(0);
  if (extra.length !== rank || (stated && stated.length < rank))
    throw new ShapeError(node, `output_shape and output_padding need ${rank} entries`);
  const spatial = x.slice(2).map((dim, axis): Dim => {
    if (stated) return stated[stated.length - rank + axis]!;
    const stride = window.strides[axis]!;
    if (window.autoPad.startsWith('SAME')) return mulDims(dim, stride);
    const pads = window.autoPad === 'VALID' ? 0 : window.pads[axis]! + window.pads[axis + rank]!;
    const size = addDims(mulDims(subDims(dim, 1), stride), addDims(extentOf(window, axis), extra[axis]! - pads));
    if (typeof size === 'number' && size < 0)
      throw new ShapeError(node, `axis ${axis + 2} would have ${size} elements`);
    return size;
  });
  return single(dtype, [x[0]!, mulDims(weight[1]!, intOf(node, 'group', 1)), ...spatial]);
};

/** Col2Im-18: [N, C·∏block, L] → [N, C, …image]. */
const col2im: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 3, 3);
  const image = dimsAt(context, 1);
  const block = dimsAt(context, 2);
  const rank = image?.length ?? listLength(context, 1) ?? listLength(context, 2);
  if (x === undefined || rank === undefined) return single(dtypeOf(inputs[0]), undefined);
  const channels = block ? divideExactly(x[1]!, productOfDims(block)) : null;
  if (typeof x[1] === 'number' && block?.every((dim) => typeof dim === 'number') && channels === null)
    throw new ShapeError(node, `${x[1]} rows are no multiple of the block [${block.join(', ')}]`);
  return single(dtypeOf(inputs[0]), [x[0]!, channels, ...(image ?? unknownDims(rank))]);
};

export const convolutionShapes: RuleTable = {
  Conv: conv(1, ([x]) => dtypeOf(x)),
  ConvInteger: conv(1, () => 'int32'),
  QLinearConv: conv(3, (inputs) => dtypeOf(inputs[7])),
  DeformConv: conv(1, ([x]) => dtypeOf(x)),
  ConvTranspose: convTranspose,
  Col2Im: col2im,
  'com.microsoft:FusedConv': conv(1, ([x]) => dtypeOf(x)),
};
