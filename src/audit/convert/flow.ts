/** @file A value on its way from a foreign model to ONNX: what is known of it, and the forms in which ONNX nodes have it already. */
import type { DataType, Dim, Tensor } from '../../ir/index.js';

/**
 * In which order a value's axes stand: as in the foreign file (`stated`, channels last for images), or with the last axis
 * moved behind the batch, as ONNX's convolutions want it (`channelsFirst`).
 */
export type Layout = 'stated' | 'channelsFirst';

/** What the integers of a quantised value mean: real = scale × (integer − zero), one pair for all or one per index of `axis`. */
export interface Quantisation {
  readonly scales: readonly number[];
  readonly zeros: readonly number[];
  readonly axis: number;
}

/** What the foreign file says of a value. Shapes are in the file's order of axes. */
export interface Stated {
  readonly name: string;
  readonly type: DataType;
  /** `undefined` where not even the rank is known. */
  readonly shape: readonly Dim[] | undefined;
  readonly quantisation?: Quantisation | undefined;
}

/** Zeros (for quantised values, what stands for zero) around the spatial axes: begin and end of each, height first. */
export interface SpatialPadding {
  readonly of: Flow;
  readonly pads: readonly (readonly [begin: number, end: number])[];
}

/**
 * A value while a model is converted. Names of ONNX values are filled in as they are asked for, so that a chain of
 * convolutions never leaves channels first and nobody transposes a value twice.
 */
export interface Flow extends Stated {
  /** Contents in the file's order, where they are known at conversion. */
  readonly constant?: Tensor | undefined;
  /** The value as stored: integers where it is quantised. */
  readonly stored: Partial<Record<Layout, string>>;
  /** The value as real numbers; only for quantised ones. */
  readonly real: Partial<Record<Layout, string>>;
  /** It is another value with zeros around, which a convolution may take over. */
  readonly padding?: SpatialPadding | undefined;
  /** Declares the graph input of this name in the layout that is first asked for. */
  readonly declare?: ((layout: Layout) => string) | undefined;
}

/** Axes of `rank` from the file's order to channels first: entry i of the result is the old place of new axis i. */
export function toChannelsFirst(rank: number): readonly number[] {
  return [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)];
}

/** The inverse of `toChannelsFirst`. */
export function fromChannelsFirst(rank: number): readonly number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
}

/** Where axis `axis` of the file's order (negative: from the end) stands in a layout. */
export function axisIn(layout: Layout, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  return layout === 'stated' ? positive : toChannelsFirst(rank).indexOf(positive);
}

/** One entry per axis of the file's order, brought into a layout. */
export function arranged<T>(layout: Layout, perAxis: readonly T[]): readonly T[] {
  return layout === 'stated' ? perAxis : toChannelsFirst(perAxis.length).map((axis) => perAxis[axis]!);
}

/** Whether moving the channels changes no element's place: one channel, or one position. */
export function sameOrder(shape: readonly Dim[] | undefined): boolean {
  return shape !== undefined && (shape.at(-1) === 1 || shape.slice(1, -1).every((dim) => dim === 1));
}
