/** @file How a value holds its features: a map, a vector or a sequence of vectors, and its way into the form that heads read. */
import { isFloat, type GraphBuilder, type ValueType } from '../ir/index.js';

/**
 * - `map`: [batch, C, H, W].
 * - `vector`: [batch, C]; a recurrent layer's state [directions, batch, C] too.
 * - `sequence`: [batch, T, C] (a Transformer's tokens) or [T, batch, C] (time first, as ONNX's recurrent layers hold it).
 */
export type LayoutKind = 'map' | 'vector' | 'sequence';

/** Where a value has its axes, and the map that heads read it as: a sequence has its steps along the height, width 1. */
export interface Layout {
  readonly kind: LayoutKind;
  readonly shape: readonly [channels: number, height: number, width: number];
  /** Order of the axes that brings the batch to the front, then features, then steps; undefined where they lie so. */
  readonly order: readonly number[] | undefined;
}

/**
 * The layout of a float value, all of its sizes fixed but the batch; `undefined` where it is none of the known ones. Of
 * three axes the one besides batch and features is time, or, in the state of a recurrent layer (`state`), the direction.
 */
export function layoutOf(type: ValueType | undefined, batch: string, state = false): Layout | undefined {
  if (type?.kind !== 'tensor' || !isFloat(type.dtype) || type.shape === undefined) return undefined;
  const at = type.shape.indexOf(batch);
  const rest = type.shape.filter((_, axis) => axis !== at);
  if (at < 0 || !rest.every((dim) => typeof dim === 'number')) return undefined;
  const [first = 0, second = 0, third = 0] = rest;
  if (rest.length === 1 && at === 0) return { kind: 'vector', shape: [first, 1, 1], order: undefined };
  if (rest.length === 3 && at === 0) return { kind: 'map', shape: [first, second, third], order: undefined };
  if (rest.length !== 2 || at > 1) return undefined;
  if (state) return { kind: 'vector', shape: [first * second, 1, 1], order: at === 0 ? undefined : [1, 0, 2] };
  return { kind: 'sequence', shape: [second, first, 1], order: [at, 2, 1 - at] };
}

/** Appends what turns a value into a map, [batch, C, H, W]; the value itself where it is one. */
export function asMap(b: GraphBuilder, value: string, { kind, shape, order }: Layout, name: string): string {
  if (kind === 'map') return value;
  const ordered = order === undefined ? value : b.op('Transpose', [value], { perm: order }, { name: `${name}/order` });
  return b.op('Reshape', [ordered, b.int64s([0, ...shape])], {}, { name: `${name}/map` });
}
