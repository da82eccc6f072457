/** @file Low-rank factorisation: a convolution or matrix product becomes two thinner ones. */
import {
  applyPatch,
  floatOf,
  GraphBuilder,
  intOf,
  Tensor,
  type AttributeInput,
  type Graph,
  type Model,
  type Node,
} from '../ir/index.js';
import { removeDeadNodes } from './dead-nodes.js';
import { decompose, type Decomposition } from './singular-values.js';

/** A layer that can be factorised: a matrix of `rows` outputs and `columns` inputs (channels × kernel taps). */
export interface FactorisableLayer {
  readonly node: string;
  readonly op: string;
  readonly rows: number;
  readonly columns: number;
  /** Descending. */
  readonly singular: Float64Array;
  /** The largest rank with which two layers take fewer multiplications than one. */
  readonly breakEven: number;
}

export interface FactoriseOptions {
  /** Rank for a layer; `undefined`, or one that saves nothing (`rank > layer.breakEven`), leaves it as it is. */
  readonly rank: (layer: FactorisableLayer) => number | undefined;
}

export interface FactoriseResult {
  readonly model: Model;
  readonly changed: boolean;
  /** What was factorised: rank, and the share of the squared weights that it keeps. */
  readonly layers: readonly { readonly node: string; readonly rank: number; readonly energy: number }[];
}

/**
 * Replaces Conv (no groups), Gemm and MatMul with constant weights by two layers each, the best approximation of that rank in
 * the squared weights (Eckart and Young): a convolution to `rank` channels with the old kernel, stride and padding, then a 1×1
 * convolution with the old bias; a product with V, then with U. The singular values are shared out evenly, by their roots.
 * Contract: inputs and outputs keep names and types; at full rank the function is the same up to rounding.
 * Source: Denton et al. 2014; Zhang et al. 2016 (channel decomposition without data).
 */
export function factorise(model: Model, { rank }: FactoriseOptions): FactoriseResult {
  const layers: { node: string; rank: number; energy: number }[] = [];
  let { graph } = model;
  for (const node of model.graph.nodes) {
    const weight = weightOf(graph, node);
    if (weight === undefined) continue;
    const found = decompose(weight.matrix, weight.rows, weight.columns);
    const breakEven = Math.ceil((weight.rows * weight.columns) / (weight.rows + weight.columns)) - 1;
    const { rows, columns } = weight;
    const chosen = rank({ node: node.name, op: node.op, rows, columns, singular: found.singular, breakEven });
    if (chosen === undefined || chosen > breakEven || chosen < 1) continue;
    const kept = Math.floor(chosen);
    graph = replaced(graph, node, weight, factors(weight, found, kept));
    layers.push({ node: node.name, rank: kept, energy: energyOf(found.singular, kept) });
  }
  if (layers.length === 0) return { model, changed: false, layers };
  return { model: removeDeadNodes({ ...model, graph }).model, changed: true, layers };
}

/** The smallest rank that keeps a share of the squared weights. */
export function rankForEnergy(singular: ArrayLike<number>, share: number): number {
  let rank = 1;
  while (rank < singular.length && energyOf(singular, rank) < share) rank++;
  return rank;
}

function energyOf(singular: ArrayLike<number>, rank: number): number {
  const squares = Array.from(singular, (value) => value * value);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const all = sum(squares);
  return all === 0 ? 1 : sum(squares.slice(0, rank)) / all;
}

/** A layer's weights as a matrix, outputs × inputs, row-major. */
interface Weight {
  readonly matrix: Float64Array;
  readonly rows: number;
  readonly columns: number;
  readonly dims: readonly number[];
  /** The weight tensor lies inputs × outputs. */
  readonly turned: boolean;
}

function weightOf(graph: Graph, node: Node): Weight | undefined {
  if (node.domain !== '') return undefined;
  const tensor = graph.initializers.get(node.inputs[1] ?? '');
  if (tensor?.dtype !== 'float32' || tensor.dims.length < 2) return undefined;
  const data = Float64Array.from(tensor.data as Float32Array);
  if (node.op === 'Conv') {
    if (intOf(node, 'group', 1) !== 1) return undefined;
    const [rows = 1, ...rest] = tensor.dims;
    return { matrix: data, rows, columns: rest.reduce((a, b) => a * b, 1), dims: tensor.dims, turned: false };
  }
  const gemm = node.op === 'Gemm' && intOf(node, 'transA', 0) === 0 && floatOf(node, 'alpha', 1) === 1;
  if (tensor.dims.length !== 2 || (!gemm && node.op !== 'MatMul')) return undefined;
  const turned = node.op === 'MatMul' || intOf(node, 'transB', 0) === 0;
  const [first, second] = tensor.dims as [number, number];
  if (!turned) return { matrix: data, rows: first, columns: second, dims: tensor.dims, turned };
  const matrix = data.map((_, i) => data[(i % first) * second + Math.floor(i / first)]!);
  return { matrix, rows: second, columns: first, dims: tensor.dims, turned };
}

/** √s·Vᵀ, [rank, columns], and U·√s, [rows, rank]. */
function factors(
  { rows, columns }: Weight,
  { left, singular, right }: Decomposition,
  rank: number,
): { readonly inner: Float32Array; readonly outer: Float32Array; readonly rank: number } {
  const inner = new Float32Array(rank * columns);
  const outer = new Float32Array(rows * rank);
  for (let r = 0; r < rank; r++) {
    const root = Math.sqrt(singular[r]!);
    for (let c = 0; c < columns; c++) inner[r * columns + c] = root * right[c * singular.length + r]!;
    for (let o = 0; o < rows; o++) outer[o * rank + r] = root * left[o * singular.length + r]!;
  }
  return { inner, outer, rank };
}

function replaced(graph: Graph, node: Node, weight: Weight, { inner, outer, rank }: ReturnType<typeof factors>): Graph {
  const b = GraphBuilder.beside(graph);
  const { rows, columns, dims } = weight;
  const [x, name, bias] = node.inputs as [string, string, string?];
  const place = (stem: string, values: Float32Array, shape: readonly number[]): string =>
    b.parameter(`${name}.${stem}`, Tensor.floats(values, shape));
  const named = (stem: string): { readonly name: string } => ({ name: `${node.name}/${stem}` });
  const attributes = Object.fromEntries<AttributeInput>(node.attributes);
  let result: string;
  if (node.op === 'Conv') {
    const thin = b.op('Conv', [x, place('inner', inner, [rank, ...dims.slice(1)])], attributes, named('inner'));
    const ones = dims.slice(2).map(() => 1);
    const outerWeight = place('outer', outer, [rows, rank, ...ones]);
    result = b.op('Conv', [thin, outerWeight, bias || undefined], { kernel_shape: ones }, named('outer'));
  } else if (node.op === 'Gemm') {
    const thin = b.op('Gemm', [x, place('inner', inner, [rank, columns])], { transB: 1 }, named('inner'));
    const scale = node.attributes.get('beta');
    result = b.op(
      'Gemm',
      [thin, place('outer', outer, [rows, rank]), bias || undefined],
      { transB: 1, ...(scale && { beta: scale }) },
      named('outer'),
    );
  } else {
    const thin = b.op('MatMul', [x, place('inner', turn(inner, rank, columns), [columns, rank])], {}, named('inner'));
    result = b.op('MatMul', [thin, place('outer', turn(outer, rows, rank), [rank, rows])], {}, named('outer'));
  }
  // The second layer takes over the old output's name, so that readers and graph outputs stay as they are.
  const output = node.outputs[0]!;
  const nodes = b.nodes.map((made) => ({
    ...made,
    outputs: made.outputs.map((value) => (value === result ? output : value)),
  }));
  return applyPatch(graph, {
    reason: `factorise ${node.name} at rank ${rank}`,
    remove: [node.name],
    insert: nodes,
    initializers: b.initializers,
  });
}

function turn(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}
