/** @file TensorFlow Lite: operators that move, select and summarise elements. */
import { Tensor } from '../../../ir/index.js';
import {
  batchToSpace,
  concat,
  depthToSpace,
  gather,
  pad,
  rearranged,
  reshape,
  reshapeAsStated,
  shapeOf,
  slice,
  spaceToBatch,
  spaceToDepth,
  split,
  transpose,
} from '../emit/shaping.js';
import { stridedSlice } from '../emit/strided-slice.js';
import { reduce } from '../emit/summaries.js';
import { sameScale, spatialPadding } from '../emit/windows.js';
import { CannotConvert, rankOf, reshapeTarget, type Emitter } from '../emitter.js';
import type { Flow, Stated } from '../flow.js';
import { activated } from '../emit/activation.js';
import type { Call, TfliteRule } from './call.js';

const pairs = (numbers: readonly number[]): readonly (readonly [number, number])[] =>
  Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i]!, numbers[2 * i + 1]!] as const);

/** A constant target says what is open; then the stated shape; then what is computed at run time. */
function reshaped(e: Emitter, call: Call): readonly Flow[] {
  const [x, shape] = [call.input(0), call.inputs[1]];
  const listed = shape?.constant?.numbers() ?? (shape === undefined ? call.ints(0) : undefined);
  const stated = call.out.shape && reshapeTarget(call.out.shape);
  // An old file lists [0] for a scalar.
  if (listed && listed.length > 0 && !(listed.length === 1 && listed[0] === 0)) {
    const open = x.shape?.[0] === 'batch' && listed[0] === 1 && !listed.includes(-1);
    // Exporters write the batch that they saw: a batch that was left open goes on being open.
    return [reshape(e, call.out, x, open && call.out.shape?.[0] === 'batch' ? [-1, ...listed.slice(1)] : listed)];
  }
  if (stated) return [reshape(e, call.out, x, stated)];
  if (shape === undefined) throw new CannotConvert('its new shape is not known');
  return [reshape(e, call.out, x, shape)];
}

function padded(e: Emitter, call: Call): readonly Flow[] {
  const [x, value] = [call.input(0), call.inputs[2]];
  const pads = pairs(e.numbers(call.input(1), 'its padding'));
  const zero = x.quantisation?.zeros[0] ?? 0;
  const number = value && e.numbers(value, 'its value')[0]!;
  if (number === undefined || number === zero) {
    const kept = spatialPadding(call.out, x, pads);
    if (kept) return [kept];
  }
  const fill = number === undefined ? undefined : e.builder.constant(Tensor.scalar(x.type as 'float32', number));
  return [pad(e, call.out, x, pads, 'constant', fill)];
}

/** MIRROR_PAD: 0 REFLECT leaves the edge out, 1 SYMMETRIC repeats it. */
function mirrorPadded(e: Emitter, call: Call): readonly Flow[] {
  const pads = pairs(e.numbers(call.input(1), 'its padding'));
  if (call.byte(0) === 0) return [pad(e, call.out, call.input(0), pads, 'reflect')];
  if (pads.flat().some((amount) => amount > 1)) throw new CannotConvert('symmetric padding of more than 1');
  return [pad(e, call.out, call.input(0), pads, 'edge')];
}

const reducing =
  (op: string): TfliteRule =>
  (e, call) => [reduce(e, call.out, op, call.input(0), axesOf(e, call), call.flag(0))];

function axesOf(e: Emitter, call: Call): readonly number[] {
  return e.numbers(call.input(1), 'its axes');
}

/** REDUCE_ALL and REDUCE_ANY over truth values, as minimum and maximum of bytes. */
const reducingTruth =
  (op: string): TfliteRule =>
  (e, call) => {
    const x = call.input(0);
    const bytes: Flow = {
      ...x,
      type: 'int32',
      constant: undefined,
      declare: undefined,
      stored: { stated: e.op('Cast', [e.stored(x)], { to: 6 }) },
      real: {},
    };
    const made = reduce(e, { ...call.out, type: 'int32' }, op, bytes, axesOf(e, call), call.flag(0));
    return [e.result(call.out, e.op('Cast', [e.stored(made)], { to: 9 }), 'stated')];
  };

const arg =
  (op: string): TfliteRule =>
  (e, call) => {
    const x = call.input(0);
    const axis = e.numbers(call.input(1), 'its axis')[0]!;
    const name = e.op(op, [e.real(x)], { axis, keepdims: 0 });
    return [e.result(call.out, call.out.type === 'int64' ? name : e.op('Cast', [name], { to: 6 }), 'stated')];
  };

function sliced(e: Emitter, call: Call): readonly Flow[] {
  const x = call.input(0);
  const [begin, size] = [call.input(1), call.input(2)];
  if (begin.constant && size.constant) {
    const [from, count] = [begin.constant.numbers(), size.constant.numbers()];
    return [
      slice(
        e,
        call.out,
        x,
        from.map((at, axis) => ({
          axis,
          begin: at === 0 ? undefined : at,
          end: endOf(at, count[axis]!, x, axis),
          step: 1,
        })),
      ),
    ];
  }
  const from = e.int64(begin);
  const count = e.int64(size);
  // A size of -1 goes to the end.
  const open = e.op('Less', [count, e.builder.constant(Tensor.scalar('int64', 0))]);
  const end = e.op('Where', [open, e.builder.constant(Tensor.scalar('int64', FAR)), e.op('Add', [from, count])]);
  return [rearranged(e, call.out, x, (name) => e.op('Slice', [name, from, end]))];
}

const FAR = 2 ** 31 - 1;

const endOf = (at: number, count: number, x: Stated, axis: number): number | undefined =>
  count < 0 || at + count === x.shape?.[axis] ? undefined : at + count;

function packed(e: Emitter, call: Call): readonly Flow[] {
  const axis = call.int(1);
  const rank = rankOf(call.out);
  const at = axis < 0 ? axis + rank : axis;
  const parts = call.inputs.map((_, i): Flow => {
    const part = call.input(i);
    const form = sameScale(part, call.out) ? 'stored' : 'real';
    const shape = part.shape && [...part.shape.slice(0, at), 1, ...part.shape.slice(at)];
    const stated: Stated = { ...call.out, shape };
    const name = e.op('Unsqueeze', [form === 'stored' ? e.stored(part) : e.real(part), e.builder.int64s([at])]);
    return e.result(stated, name, 'stated', form);
  });
  return [parts.length === 1 ? parts[0]! : concat(e, call.out, parts, at)];
}

function unpacked(e: Emitter, call: Call): readonly Flow[] {
  const x = call.input(0);
  const axis = call.int(1) < 0 ? call.int(1) + rankOf(x) : call.int(1);
  return call.outputs.map((out, i) =>
    rearranged(e, out, x, (name) => e.op('Gather', [name, e.builder.constant(Tensor.scalar('int64', i))], { axis })),
  );
}

function topK(e: Emitter, call: Call): readonly Flow[] {
  const k = e.op('Reshape', [e.int64(call.input(1)), e.builder.int64s([1])]);
  const [values, indices] = e.ops('TopK', [e.real(call.input(0)), k], 2, { axis: -1 });
  const [out, place] = call.outputs;
  return [e.result(out!, values!, 'stated'), e.result(place!, e.op('Cast', [indices!], { to: 6 }), 'stated')];
}

/** Rules of this family. */
export const shapingRules: Readonly<Record<string, TfliteRule>> = {
  RESHAPE: reshaped,
  SQUEEZE: (e, call) => [reshapeAsStated(e, call.out, call.input(0), 'Squeeze', call.ints(0))],
  EXPAND_DIMS: (e, call) => [
    reshapeAsStated(e, call.out, call.input(0), 'Unsqueeze', e.numbers(call.input(1), 'its axis')),
  ],
  TRANSPOSE: (e, call) => [transpose(e, call.out, call.input(0), e.numbers(call.input(1), 'its order'))],
  CONCATENATION: (e, call) => {
    const parts = call.inputs.map((_, i) => call.input(i));
    const activation = call.activation(1);
    if (activation === 'none') return [concat(e, call.out, parts, call.int(0))];
    const joined = concat(e, { ...call.out, quantisation: undefined, type: 'float32' }, parts, call.int(0));
    const layout = e.layoutOf(joined);
    return [activated(e, call.out, e.real(joined, layout), layout, activation)];
  },
  PAD: padded,
  PADV2: padded,
  MIRROR_PAD: mirrorPadded,
  SLICE: sliced,
  STRIDED_SLICE: (e, call) => [
    stridedSlice(
      e,
      call.out,
      [0, 1, 2, 3].map((i) => call.input(i)),
      {
        begin: call.int(0),
        end: call.int(1),
        ellipsis: call.int(2),
        newAxis: call.int(3),
        shrink: call.int(4),
      },
    ),
  ],
  SPLIT: (e, call) => split(e, call.outputs, call.input(1), e.numbers(call.input(0), 'its axis')[0]!, undefined),
  SPLIT_V: (e, call) => {
    const x = call.input(0);
    const axis = e.numbers(call.input(2), 'its axis')[0]!;
    const sizes = e.numbers(call.input(1), 'its sizes');
    const total = x.shape?.[axis < 0 ? axis + rankOf(x) : axis];
    const rest =
      typeof total === 'number' ? total - sizes.reduce((sum, size) => sum + Math.max(0, size), 0) : undefined;
    if (sizes.includes(-1) && rest === undefined) throw new CannotConvert('a size is left open');
    return split(
      e,
      call.outputs,
      x,
      axis,
      sizes.map((size) => (size < 0 ? rest! : size)),
    );
  },
  PACK: packed,
  UNPACK: unpacked,
  GATHER: (e, call) => {
    const axis = call.int(0);
    const x = call.input(0);
    return [gather(e, call.out, x, call.input(1), axis < 0 ? axis + rankOf(x) : axis, call.int(1))];
  },
  GATHER_ND: (e, call) => [
    rearranged(e, call.out, call.input(0), (name) => e.op('GatherND', [name, e.int64(call.input(1))])),
  ],
  EMBEDDING_LOOKUP: (e, call) => [gather(e, call.out, call.input(1), call.input(0), 0, 0)],
  TILE: (e, call) => [rearranged(e, call.out, call.input(0), (name) => e.op('Tile', [name, e.int64(call.input(1))]))],
  BROADCAST_TO: (e, call) => [
    rearranged(e, call.out, call.input(0), (name) => e.op('Expand', [name, e.int64(call.input(1))])),
  ],
  DEPTH_TO_SPACE: (e, call) => [depthToSpace(e, call.out, call.input(0), call.int(0))],
  SPACE_TO_DEPTH: (e, call) => [spaceToDepth(e, call.out, call.input(0), call.int(0))],
  SPACE_TO_BATCH_ND: (e, call) => [
    spaceToBatch(
      e,
      call.out,
      call.input(0),
      e.numbers(call.input(1), 'its block'),
      pairs(e.numbers(call.input(2), 'its padding')),
    ),
  ],
  BATCH_TO_SPACE_ND: (e, call) => [
    batchToSpace(
      e,
      call.out,
      call.input(0),
      e.numbers(call.input(1), 'its block'),
      pairs(e.numbers(call.input(2), 'its crops')),
    ),
  ],
  SHAPE: (e, call) => {
    const name = shapeOf(e, call.input(0));
    return [e.result(call.out, call.out.type === 'int64' ? name : e.op('Cast', [name], { to: 6 }), 'stated')];
  },
  RANK: (e, call) => [e.constant({ name: call.out.name }, Tensor.scalar('int32', rankOf(call.input(0))))],
  MEAN: reducing('ReduceMean'),
  SUM: reducing('ReduceSum'),
  REDUCE_PROD: reducing('ReduceProd'),
  REDUCE_MAX: reducing('ReduceMax'),
  REDUCE_MIN: reducing('ReduceMin'),
  REDUCE_ALL: reducingTruth('ReduceMin'),
  REDUCE_ANY: reducingTruth('ReduceMax'),
  ARG_MAX: arg('ArgMax'),
  ARG_MIN: arg('ArgMin'),
  TOPK_V2: topK,
  CUMSUM: (e, call) => [
    e.result(
      call.out,
      e.op('CumSum', [e.real(call.input(0)), e.int64(call.input(1))], {
        exclusive: call.flag(0) ? 1 : 0,
        reverse: call.flag(1) ? 1 : 0,
      }),
      'stated',
    ),
  ],
  REVERSE_V2: (e, call) => [
    slice(
      e,
      call.out,
      call.input(0),
      axesOf(e, call).map((axis) => ({ axis, begin: undefined, end: undefined, step: -1 })),
    ),
  ],
  SCATTER_ND: (e, call) => {
    const updates = call.input(1);
    const zero = Tensor.of(updates.type as 'float32', [1], [0]);
    const empty = e.builder.op('ConstantOfShape', [e.int64(call.input(2))], { value: zero });
    return [
      e.result(
        call.out,
        e.op('ScatterND', [empty, e.int64(call.input(0)), e.stored(updates)], { reduction: 'add' }),
        'stated',
        'stored',
      ),
    ];
  },
  WHERE: (e, call) => {
    if (call.inputs.length !== 1) throw new CannotConvert('three operands');
    const name = e.op('Transpose', [e.op('NonZero', [e.stored(call.input(0))])], { perm: [1, 0] });
    return [e.result(call.out, name, 'stated')];
  },
};
