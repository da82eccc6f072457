/** @file What shape rules share: reading types, axes and integer inputs, and refusing what does not fit. */
import {
  formatShape,
  intsOf,
  tensorType,
  type DataType,
  type Dim,
  type Node,
  type Shape,
  type ValueType,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferContext, InferResult, InferRule } from '../record.js';

export type RuleTable = Readonly<Record<string, InferRule>>;

/** Shape of a tensor type; `undefined` where the rank is not known. */
export function shapeOf(type: ValueType | undefined): Shape | undefined {
  return type?.kind === 'tensor' ? type.shape : undefined;
}

/** Element type of a tensor type. */
export function dtypeOf(type: ValueType | undefined): DataType | undefined {
  return type?.kind === 'tensor' ? type.dtype : undefined;
}

/** A tensor type, or nothing where the element type is not known. */
export function typed(dtype: DataType | undefined, shape: Shape | undefined): ValueType | undefined {
  return dtype === undefined ? undefined : tensorType(dtype, shape);
}

/** A result of one output. */
export function single(dtype: DataType | undefined, shape: Shape | undefined, dims?: readonly Dim[]): InferResult {
  return { types: [typed(dtype, shape)], ...(dims ? { dims: [dims] } : {}) };
}

/** The same rule under several names. */
export function table(names: readonly string[], rule: InferRule): RuleTable {
  return Object.fromEntries(names.map((name) => [name, rule]));
}

/** An axis counted from the front. Throws ShapeError outside −rank … rank−1. */
export function axisOf(node: Node, axis: number, rank: number): number {
  if (axis < -rank || axis >= rank) throw new ShapeError(node, `axis ${axis} is outside the rank ${rank} of its input`);
  return axis < 0 ? axis + rank : axis;
}

/** Axes counted from the front, none twice. */
export function axesOf(node: Node, axes: readonly number[], rank: number): readonly number[] {
  const normal = axes.map((axis) => axisOf(node, axis, rank));
  if (new Set(normal).size !== normal.length)
    throw new ShapeError(node, `axes [${axes.join(', ')}] name one axis twice`);
  return normal;
}

/** The elements of integer input `i`, where all are known numbers. */
export function numbersAt(context: InferContext, i: number): readonly number[] | undefined {
  const constant = context.constant(i);
  if (constant && constant.dtype !== 'string') return constant.numbers();
  const dims = context.dims(i);
  return dims?.every((dim) => typeof dim === 'number') ? dims : undefined;
}

/** The elements of integer input `i` as dims: symbolic ones included. */
export function dimsAt(context: InferContext, i: number): readonly Dim[] | undefined {
  return context.dims(i) ?? numbersAt(context, i);
}

/** True where the node has a (non-empty) input `i`. */
export function hasInput(node: Node, i: number): boolean {
  return (node.inputs[i] ?? '') !== '';
}

/** Number of elements in input `i` where it is a list of known length. */
export function listLength(context: InferContext, i: number): number | undefined {
  const known = dimsAt(context, i)?.length;
  const shape = shapeOf(context.inputs[i]);
  const [length] = shape ?? [];
  return known ?? (shape?.length === 1 && typeof length === 'number' ? length : undefined);
}

/**
 * Axes that older opsets give as an attribute and newer ones as input `i`: the numbers, `'unknown'` where the input is
 * computed at run time, `undefined` where neither is given.
 */
export function givenAxes(context: InferContext, i: number, name = 'axes'): readonly number[] | 'unknown' | undefined {
  const attribute = intsOf(context.node, name, undefined);
  if (attribute) return attribute;
  if (!hasInput(context.node, i)) return undefined;
  return numbersAt(context, i) ?? 'unknown';
}

/** Throws ShapeError unless the shape, where known, has one of the allowed ranks. */
export function requireRank(node: Node, what: string, shape: Shape | undefined, min: number, max = Infinity): void {
  if (shape !== undefined && (shape.length < min || shape.length > max))
    throw new ShapeError(
      node,
      `${what} has shape ${formatShape(shape)}, but needs rank ${min === max ? min : max === Infinity ? `≥ ${min}` : `${min}–${max}`}`,
    );
}

/**
 * What two dims that must be equal are: the more precise one. Two different symbols stay the first one's.
 * Throws ShapeError where both are numbers and differ.
 */
export function sameDim(node: Node, what: string, a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number' && a !== b)
    throw new ShapeError(node, `${what}: ${a} and ${b} must be equal`);
  if (typeof a === 'number') return a;
  if (typeof b === 'number') return b;
  return a ?? b;
}

/** A shape of the same rank of which nothing else is known. */
export function unknownDims(rank: number): readonly Dim[] {
  return Array<Dim>(rank).fill(null);
}

/** What holds for both of two types: equal dims stay, others are unknown; `undefined` where the kinds differ. */
export function commonType(a: ValueType | undefined, b: ValueType | undefined): ValueType | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (a.kind === 'tensor' && b.kind === 'tensor') {
    if (a.dtype !== b.dtype) return undefined;
    return tensorType(a.dtype, commonShape(a.shape, b.shape));
  }
  if ((a.kind === 'sequence' && b.kind === 'sequence') || (a.kind === 'optional' && b.kind === 'optional'))
    return { kind: a.kind, element: commonType(a.element, b.element) };
  if (a.kind === 'optional') return { kind: 'optional', element: commonType(a.element, b) };
  if (b.kind === 'optional') return { kind: 'optional', element: commonType(a, b.element) };
  return a.kind === b.kind ? a : undefined;
}

/** Equal dims of two shapes of one rank, `null` elsewhere; `undefined` where the ranks differ. */
export function commonShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (a?.length !== b?.length) return undefined;
  return a?.map((dim, axis) => (dim === b![axis] ? dim : null));
}
