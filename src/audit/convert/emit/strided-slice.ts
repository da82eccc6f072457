/** @file TensorFlow's StridedSlice: Python's indexing as masks, one bit per entry. */
import { CannotConvert, rankOf, reshapeTarget, type Emitter } from '../emitter.js';
import type { Flow, Stated } from '../flow.js';
import { rearranged, slice, type AxisSlice } from './shaping.js';

/** Bit i says that entry i is open (begin, end), stands for all axes in between, makes a new axis, or drops its axis. */
export interface SliceMasks {
  readonly begin: number;
  readonly end: number;
  readonly ellipsis: number;
  readonly newAxis: number;
  readonly shrink: number;
}

/** Slice-13, then Reshape, or Squeeze and Unsqueeze. `parts` are the value, begins, ends and steps. */
export function stridedSlice(e: Emitter, out: Stated, parts: readonly Flow[], masks: SliceMasks): Flow {
  const [x, begins, ends, steps] = parts as [Flow, Flow, Flow, Flow];
  const rank = rankOf(x);
  const from = e.numbers(begins, 'where it begins');
  const to = e.numbers(ends, 'where it ends');
  const step = e.numbers(steps, 'its step');
  const bit = (mask: number, i: number): boolean => ((mask >>> i) & 1) === 1;
  const slices: AxisSlice[] = [];
  const [dropped, added]: [number[], number[]] = [[], []];
  const newAxes = from.filter((_, i) => bit(masks.newAxis, i)).length;
  let axis = 0;
  let place = 0;
  for (let i = 0; i < from.length; i++) {
    if (bit(masks.ellipsis, i)) {
      const skipped = rank - (from.length - 1 - newAxes);
      axis += skipped;
      place += skipped;
    } else if (bit(masks.newAxis, i)) added.push(place++);
    else if (bit(masks.shrink, i)) {
      const at = from[i]!;
      slices.push({ axis, begin: at, end: at === -1 ? undefined : at + 1, step: 1 });
      dropped.push(axis++);
    } else {
      const by = step[i]!;
      const size = x.shape?.[axis];
      // A step back past the start cannot be said with a negative end.
      const end = bit(masks.end, i) || (by > 0 && to[i] === size) ? undefined : to[i]!;
      const begin = bit(masks.begin, i) || (by > 0 && from[i] === 0) ? undefined : from[i]!;
      slices.push({ axis: axis++, begin, end, step: by });
      place++;
    }
  }
  if (axis > rank) throw new CannotConvert(`${from.length} entries for ${rank} axes`);
  if (dropped.length === 0 && added.length === 0) return slice(e, out, x, slices);
  const between = slice(
    e,
    { ...x, shape: x.shape!.map((dim, i) => (dropped.includes(i) ? 1 : touched(slices, i) ? null : dim)) },
    x,
    slices,
  );
  const target = out.shape && reshapeTarget(out.shape);
  if (target && target.length > 0 && !(dropped.length > 0 && rank === 1))
    return rearranged(e, out, between, (name) => e.op('Reshape', [name, e.builder.int64s(target)]));
  return rearranged(e, out, between, (name) => {
    const squeezed = dropped.length === 0 ? name : e.op('Squeeze', [name, e.builder.int64s(dropped)]);
    return added.length === 0 ? squeezed : e.op('Unsqueeze', [squeezed, e.builder.int64s(added)]);
  });
}

const touched = (slices: readonly AxisSlice[], axis: number): boolean =>
  slices.some((each) => each.axis === axis && (each.begin !== undefined || each.end !== undefined || each.step !== 1));
