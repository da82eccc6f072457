/** @file Operators that move elements: integers of quantised values go through as they are. */
import { Tensor, type Dim } from '../../../ir/index.js';
import { CannotConvert, rankOf, reshapeTarget, type Emitter, type Form } from '../emitter.js';
import { arranged, axisIn, fromChannelsFirst, sameOrder, type Flow, type Layout, type Stated } from '../flow.js';
import { commonLayout } from './elementwise.js';
import { sameScale } from './windows.js';

/** Runs a movement on stored integers where both ends mean the same by them, else on real numbers. */
function moved(e: Emitter, out: Stated, x: Flow, layout: Layout, make: (name: string) => string): Flow {
  const form: Form = sameScale(x, out) ? 'stored' : 'real';
  return e.result(out, make(form === 'stored' ? e.stored(x, layout) : e.real(x, layout)), layout, form);
}

/** ONNX Reshape-14 to the stated shape, or to one computed at run time. */
export function reshape(e: Emitter, out: Stated, x: Flow, target: readonly number[] | Flow): Flow {
  const form: Form = sameScale(x, out) ? 'stored' : 'real';
  // One channel or one position: both orders are one, and the layout at hand will do.
  const layout = sameOrder(x.shape) ? e.layoutOf(x) : 'stated';
  const given = form === 'stored' ? e.stored(x, layout) : e.real(x, layout);
  const shape = 'name' in target ? e.int64(target) : e.builder.int64s(target);
  const allowzero = !('name' in target) && target.includes(0) ? 1 : undefined;
  return e.result(out, e.op('Reshape', [given, shape], { allowzero }), 'stated', form);
}

/** A reshape to what the file says of the result: SQUEEZE, EXPAND_DIMS and their like. `axes` serve where sizes are open. */
export function reshapeAsStated(
  e: Emitter,
  out: Stated,
  x: Flow,
  op: 'Squeeze' | 'Unsqueeze',
  axes: readonly number[],
): Flow {
  const target = out.shape && reshapeTarget(out.shape);
  if (target) return reshape(e, out, x, target);
  return moved(e, out, x, 'stated', (name) => e.op(op, [name, e.builder.int64s(axes)]));
}

/** ONNX Transpose-13; one that only undoes the layout disappears. */
export function transpose(e: Emitter, out: Stated, x: Flow, order: readonly number[]): Flow {
  const rank = order.length;
  const layout = rank >= 3 ? e.layoutOf(x) : 'stated';
  const from = layout === 'stated' ? order : order.map((axis) => fromChannelsFirst(rank)[axis]!);
  const form: Form = sameScale(x, out) ? 'stored' : 'real';
  const given = form === 'stored' ? e.stored(x, layout) : e.real(x, layout);
  if (from.every((axis, i) => axis === i)) return e.result(out, given, 'stated', form);
  return e.result(out, e.op('Transpose', [given], { perm: from }), 'stated', form);
}

/** ONNX Concat-13. */
export function concat(e: Emitter, out: Stated, parts: readonly Flow[], axis: number): Flow {
  const rank = rankOf(out);
  const layout = commonLayout(e, out, parts);
  const form: Form = parts.every((part) => sameScale(part, out)) ? 'stored' : 'real';
  const names = parts.map((part) => (form === 'stored' ? e.stored(part, layout) : e.real(part, layout)));
  return e.result(out, e.op('Concat', names, { axis: axisIn(layout, axis, rank) }), layout, form);
}

/** ONNX Pad-18. `value` is a stored number; `mode` as in ONNX. */
export function pad(
  e: Emitter,
  out: Stated,
  x: Flow,
  pads: readonly (readonly [number, number])[],
  mode: 'constant' | 'reflect' | 'edge' = 'constant',
  value?: string,
): Flow {
  const layout = e.layoutOf(x);
  const placed = arranged(layout, pads);
  const amounts = e.builder.int64s([...placed.map(([begin]) => begin), ...placed.map(([, end]) => end)]);
  const zero = (): string => e.builder.constant(Tensor.scalar(x.type as 'float32', x.quantisation?.zeros[0] ?? 0));
  const fill = mode === 'constant' ? (value ?? zero()) : undefined;
  const name = e.op('Pad', [e.stored(x, layout), amounts, fill], { mode });
  if (sameScale(x, out)) return e.result(out, name, layout, 'stored');
  const between: Flow = {
    ...x,
    constant: undefined,
    padding: undefined,
    declare: undefined,
    shape: out.shape,
    stored: { [layout]: name },
    real: {},
  };
  return e.result(out, e.real(between, layout), layout);
}

/** One axis of a slice; `step` may be negative. `undefined` ends are open. */
export interface AxisSlice {
  readonly axis: number;
  readonly begin: number | undefined;
  readonly end: number | undefined;
  readonly step: number;
}

const FAR = Number.MAX_SAFE_INTEGER;

/** ONNX Slice-13. */
export function slice(e: Emitter, out: Stated, x: Flow, slices: readonly AxisSlice[]): Flow {
  const rank = rankOf(x);
  const layout = e.layoutOf(x);
  const wanted = slices.filter(({ begin, end, step }) => begin !== undefined || end !== undefined || step !== 1);
  return moved(e, out, x, layout, (name) =>
    wanted.length === 0
      ? e.op('Identity', [name])
      : e.op('Slice', [
          name,
          e.builder.int64s(wanted.map(({ begin, step }) => begin ?? (step > 0 ? 0 : FAR))),
          e.builder.int64s(wanted.map(({ end, step }) => end ?? (step > 0 ? FAR : -FAR))),
          e.builder.int64s(wanted.map(({ axis }) => axisIn(layout, axis, rank))),
          e.builder.int64s(wanted.map(({ step }) => step)),
        ]),
  );
}

/** ONNX Split-18 into the given sizes. */
export function split(
  e: Emitter,
  outs: readonly Stated[],
  x: Flow,
  axis: number,
  sizes: readonly number[] | undefined,
): readonly Flow[] {
  const rank = rankOf(x);
  const layout = e.layoutOf(x);
  const names = e.ops('Split', [e.stored(x, layout), sizes && e.builder.int64s(sizes)], outs.length, {
    axis: axisIn(layout, axis, rank),
    num_outputs: sizes ? undefined : outs.length,
  });
  return outs.map((out, i) => {
    if (sameScale(x, out)) return e.result(out, names[i]!, layout, 'stored');
    const part: Flow = {
      ...x,
      constant: undefined,
      declare: undefined,
      padding: undefined,
      shape: out.shape,
      stored: { [layout]: names[i]! },
      real: {},
    };
    return e.result(out, e.real(part, layout), layout);
  });
}

/** ONNX Gather-13 and GatherND-13 (batched). */
export function gather(e: Emitter, out: Stated, x: Flow, indices: Flow, axis: number, batchDims: number): Flow {
  const index = e.int64(indices);
  if (batchDims === 0) return moved(e, out, x, 'stated', (name) => e.op('Gather', [name, index], { axis }));
  if (batchDims !== axis || rankOf(indices) !== batchDims + 1)
    throw new CannotConvert(`batch_dims ${batchDims} with axis ${axis}`);
  return moved(e, out, x, 'stated', (name) =>
    e.op('GatherND', [name, e.op('Unsqueeze', [index, e.builder.int64s([-1])])], { batch_dims: batchDims }),
  );
}

/** What `make` does to stored or real elements in the file's order. */
export function rearranged(
  e: Emitter,
  out: Stated,
  x: Flow,
  make: (name: string) => string,
  layout: Layout = 'stated',
): Flow {
  return moved(e, out, x, layout, make);
}

/** The sizes of a value in the file's order, as int64. */
export function shapeOf(e: Emitter, x: Flow): string {
  const layout = e.layoutOf(x);
  const shape = e.op('Shape', [e.stored(x, layout)]);
  return layout === 'stated'
    ? shape
    : e.op('Gather', [shape, e.builder.int64s(fromChannelsFirst(rankOf(x)))], { axis: 0 });
}

/** DEPTH_TO_SPACE and its inverse in ONNX's order (DCR, as TensorFlow has it). */
export function depthToSpace(e: Emitter, out: Stated, x: Flow, block: number): Flow {
  return moved(e, out, x, 'channelsFirst', (name) => e.op('DepthToSpace', [name], { blocksize: block, mode: 'DCR' }));
}

/** ONNX SpaceToDepth-13. */
export function spaceToDepth(e: Emitter, out: Stated, x: Flow, block: number): Flow {
  return moved(e, out, x, 'channelsFirst', (name) => e.op('SpaceToDepth', [name], { blocksize: block }));
}

/**
 * TensorFlow's SpaceToBatchND over the spatial axes: a pad, then blocks' offsets move into the batch (batch index = offset × N + n).
 * The inverse crops after moving them back.
 */
export function spaceToBatch(
  e: Emitter,
  out: Stated,
  x: Flow,
  block: readonly number[],
  pads: readonly (readonly [number, number])[],
): Flow {
  const rank = rankOf(x);
  const all = [[0, 0] as const, ...pads, ...new Array<readonly [number, number]>(rank - 1 - pads.length).fill([0, 0])];
  const padded = all.flat().some((amount) => amount !== 0)
    ? pad(e, { ...x, shape: x.shape!.map((dim, i) => grown(dim, all[i]!)) }, x, all)
    : x;
  const m = block.length;
  const spatial = padded.shape!.slice(1, 1 + m);
  const rest = padded.shape!.slice(1 + m);
  const inner = known([...spatial.map((dim, i) => (typeof dim === 'number' ? dim / block[i]! : null)), ...rest]);
  return moved(e, out, padded, 'stated', (name) => {
    const cut = e.op('Reshape', [
      name,
      e.builder.int64s([-1, ...block.flatMap((size, i) => [inner[i]!, size]), ...inner.slice(m)]),
    ]);
    // [N, s1, b1, s2, b2, …, rest] → [b1, b2, …, N, s1, s2, …, rest]
    const order = [
      ...block.map((_, i) => 2 + 2 * i),
      0,
      ...block.map((_, i) => 1 + 2 * i),
      ...rest.map((_, i) => 1 + 2 * m + i),
    ];
    return e.op('Reshape', [e.op('Transpose', [cut], { perm: order }), e.builder.int64s([-1, ...inner])]);
  });
}

/** TensorFlow's BatchToSpaceND; see `spaceToBatch`. */
export function batchToSpace(
  e: Emitter,
  out: Stated,
  x: Flow,
  block: readonly number[],
  crops: readonly (readonly [number, number])[],
): Flow {
  const m = block.length;
  const inner = known(x.shape!.slice(1));
  const spatial = inner.slice(0, m);
  return moved(e, out, x, 'stated', (name) => {
    const cut = e.op('Reshape', [name, e.builder.int64s([...block, -1, ...inner])]);
    const rest = inner.slice(m);
    const order = [m, ...block.flatMap((_, i) => [m + 1 + i, i]), ...rest.map((_, i) => 2 * m + 1 + i)];
    const full = e.op('Reshape', [
      e.op('Transpose', [cut], { perm: order }),
      e.builder.int64s([-1, ...spatial.map((size, i) => size * block[i]!), ...rest]),
    ]);
    const cropped = crops.map(([begin, end], i) => ({ axis: i + 1, begin, end: spatial[i]! * block[i]! - end }));
    if (crops.flat().every((amount) => amount === 0)) return full;
    return e.op('Slice', [
      full,
      e.builder.int64s(cropped.map(({ begin }) => begin)),
      e.builder.int64s(cropped.map(({ end }) => end)),
      e.builder.int64s(cropped.map(({ axis }) => axis)),
    ]);
  });
}

const grown = (dim: Dim, [begin, end]: readonly [number, number]): Dim =>
  typeof dim === 'number' ? dim + begin + end : begin + end === 0 ? dim : null;

function known(dims: readonly Dim[]): readonly number[] {
  if (!dims.every((dim) => typeof dim === 'number')) throw new CannotConvert('sizes are not known');
  return dims;
}
