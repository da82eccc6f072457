/** @file Shape rules of matrix products. */
import { formatShape, intOf, stringOf, type DataType, type Dim, type Node, type Shape } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferContext, InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';
import { einsumShape } from './einsum.js';
import { dtypeOf, requireRank, sameDim, shapeOf, single, type RuleTable } from './support.js';

/** numpy.matmul: vectors gain a dim for the product and lose it again; leading dims broadcast. */
function product(node: Node, a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  requireRank(node, 'the first input', a, 1);
  requireRank(node, 'the second input', b, 1);
  if (a === undefined || b === undefined) return undefined;
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const [inner, other] = [left.at(-1)!, right.at(-2)!];
  if (typeof inner === 'number' && typeof other === 'number' && inner !== other)
    throw new ShapeError(node, `inner dims of ${formatShape(a)} and ${formatShape(b)} differ: ${inner} and ${other}`);
  const batch = broadcastShapes(node, [left.slice(0, -2), right.slice(0, -2)])!;
  return [...batch, ...(a.length === 1 ? [] : [left.at(-2)!]), ...(b.length === 1 ? [] : [right.at(-1)!])];
}

/** A product whose second factor is input `second`. */
const matMul =
  (second: number, dtype: (context: InferContext) => DataType | undefined): InferRule =>
  (context) =>
    single(dtype(context), product(context.node, shapeOf(context.inputs[0]), shapeOf(context.inputs[second])));

const ofFirst = ({ inputs }: InferContext): DataType | undefined => dtypeOf(inputs[0]);

/** Gemm-7 … 13: [M, K] × [K, N] + C → [M, N], either factor transposed on demand. */
const gemm: InferRule = ({ node, inputs }) => {
  const [a, b, c] = inputs.map(shapeOf);
  requireRank(node, 'A', a, 2, 2);
  requireRank(node, 'B', b, 2, 2);
  const [m, k] = a === undefined ? [null, null] : flip(a, intOf(node, 'transA', 0) === 1);
  const [other, n] = b === undefined ? [null, null] : flip(b, intOf(node, 'transB', 0) === 1);
  if (typeof k === 'number' && typeof other === 'number' && k !== other)
    throw new ShapeError(node, `inner dims of ${formatShape(a)} and ${formatShape(b)} differ: ${k} and ${other}`);
  if (c && a && b) {
    const sum = broadcastShapes(node, [[m, n], c])!;
    if (
      sum.length > 2 ||
      !sum.every((dim, axis) => dim === [m, n][axis] || typeof dim !== 'number' || typeof [m, n][axis] !== 'number')
    )
      throw new ShapeError(node, `C ${formatShape(c)} does not broadcast to ${formatShape([m, n])}`);
  }
  return single(dtypeOf(inputs[0]), [m, n]);
};

const flip = (shape: Shape, transposed: boolean): readonly [Dim, Dim] =>
  transposed ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];

/** com.microsoft FusedMatMul: MatMul with the last two dims, or the batch and row dims, of a factor swapped on demand. */
const fusedMatMul: InferRule = ({ node, inputs }) => {
  const arranged = ['A', 'B'].map((which, index): Shape | undefined => {
    const shape = shapeOf(inputs[index]);
    if (shape === undefined || shape.length < 2) return shape;
    const dims = [...shape];
    if (intOf(node, `transBatch${which}`, 0) === 1) dims.splice(dims.length - 2, 0, dims.shift()!);
    if (intOf(node, `trans${which}`, 0) === 1) dims.push(dims.splice(dims.length - 2, 1)[0]!);
    return dims;
  });
  return single(dtypeOf(inputs[0]), product(node, arranged[0], arranged[1]));
};

/** Det-11: [*, M, M] → [*]. */
const det: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 2);
  if (x) sameDim(node, 'rows and columns', x.at(-1)!, x.at(-2)!);
  return single(dtypeOf(inputs[0]), x?.slice(0, -2));
};

/** com.microsoft MatMulNBits: x [*, K], weight packed in blocks → [*, N]; K and N are attributes. */
const matMulNBits: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 1);
  return single(dtypeOf(inputs[0]), x && [...x.slice(0, -1), intOf(node, 'N', undefined) ?? null]);
};

export const linalgShapes: RuleTable = {
  MatMul: matMul(1, ofFirst),
  MatMulInteger: matMul(1, () => 'int32'),
  QLinearMatMul: matMul(3, ({ inputs }) => dtypeOf(inputs[7])),
  Gemm: gemm,
  Einsum: ({ node, inputs }) =>
    single(dtypeOf(inputs[0]), einsumShape(node, stringOf(node, 'equation', ''), inputs.map(shapeOf))),
  Det: det,
  'com.microsoft:FusedMatMul': fusedMatMul,
  'com.microsoft:FusedGemm': gemm,
  'com.microsoft:TransposeMatMul': fusedMatMul,
  'com.microsoft:DynamicQuantizeMatMul': matMul(1, ofFirst),
  'com.microsoft:MatMulIntegerToFloat': matMul(1, ({ inputs }) => dtypeOf(inputs[2])),
  'com.microsoft:MatMulNBits': matMulNBits,
};
