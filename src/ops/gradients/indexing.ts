/** @file Gradients of operators that pick elements or put them somewhere: Gather*, Scatter*, Compress, TopK, OneHot. */
import { intOf, stringOf, Tensor } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { back } from './movement.js';
import { placeAlong } from './scatter.js';
import { arithOf, dimValue, expandLike, fromFront, range, reshapeLike, zerosLike } from './shaping.js';
import { placed } from './slice.js';

/** Gather-13: gradients of repeated picks add up. */
const gather = back((c, g) => {
  const { b } = c;
  const x = c.inputs[0]!;
  const indices = c.inputs[1]!;
  const rank = c.shape(x).length;
  const axis = fromFront(intOf(c.node, 'axis', 0), rank);
  const indexRank = c.shape(indices).length;
  const dim = c.shape(x)[axis]!;
  const known = c.constant(indices);
  if (known !== undefined && indexRank <= 1 && typeof dim === 'number') {
    const positions = known.numbers().map((index) => fromFront(index, dim));
    const row = indexRank === 0 ? b.op('Unsqueeze', [g, b.int64s([axis])]) : g;
    if (new Set(positions).size === positions.length) return placed(c, row, axis, positions, dim);
  }
  // ScatterND adds along the first axis: bring the picked axis, and in g the axes of the indices, to the front.
  const others = range(rank).filter((a) => a !== axis);
  const front = [axis, ...others];
  const gRank = rank - 1 + indexRank;
  const gFront = [
    ...range(indexRank).map((i) => i + axis),
    ...range(gRank).filter((a) => a < axis || a >= axis + indexRank),
  ];
  const moved = axis === 0 ? g : b.op('Transpose', [g], { perm: gFront });
  const zeros = axis === 0 ? zerosLike(c, x) : b.op('Transpose', [zerosLike(c, x)], { perm: front });
  const at = b.op('Unsqueeze', [asInt64(c, indices), b.int64s([-1])]);
  const added = b.op('ScatterND', [zeros, at, moved], { reduction: 'add' });
  return axis === 0 ? added : b.op('Transpose', [added], { perm: range(rank).map((a) => front.indexOf(a)) });
});

/** ScatterND takes int64 indices alone. */
function asInt64(c: VjpContext, indices: string): string {
  return c.type(indices).dtype === 'int64' ? indices : c.b.op('Cast', [indices], { to: 7 });
}

const gatherElements = back((c, g) =>
  c.b.op('ScatterElements', [zerosLike(c, c.inputs[0]!), c.inputs[1], g], {
    axis: intOf(c.node, 'axis', 0),
    reduction: 'add',
  }),
);

/** GatherND-13: with batch dims, each batch entry's place is put in front of its indices. */
const gatherNd = back((c, g) => {
  const { b } = c;
  const batch = intOf(c.node, 'batch_dims', 0);
  const [x, indices] = c.inputs as readonly [string, string];
  const zeros = zerosLike(c, x);
  if (batch === 0) return b.op('ScatterND', [zeros, indices, g], { reduction: 'add' });
  const rank = c.shape(indices).length;
  const size = b.op('Concat', [b.op('Shape', [indices], { start: 0, end: rank - 1 }), b.int64s([1])], { axis: 0 });
  const scalar = (value: string): string => b.op('Squeeze', [value, b.int64s([0])]);
  const places = range(batch).map((axis) => {
    const count = b.op('Range', [
      scalar(b.int64s([0])),
      scalar(b.op('Shape', [indices], { start: axis, end: axis + 1 })),
      scalar(b.int64s([1])),
    ]);
    const others = range(rank).filter((other) => other !== axis);
    return b.op('Expand', [b.op('Unsqueeze', [count, b.int64s(others)]), size]);
  });
  const full = b.op('Concat', [...places, indices], { axis: -1 });
  return b.op('ScatterND', [zeros, full, g], { reduction: 'add' });
});

/** What one use of ScatterElements or ScatterND does with other operands. */
interface Scattering {
  readonly scatter: (data: string, updates: string, reduction?: string) => string;
  readonly gather: (value: string) => string;
}

/** Reduction mul: every factor gets the product of the others; zeros are counted apart, as in ReduceProd. */
function scatterMul(c: VjpContext, g: string, { scatter, gather }: Scattering): readonly (string | undefined)[] {
  const e = arithOf(c);
  const [x, , updates] = c.inputs as readonly [string, string, string];
  const ones = (): string => expandLike(c, e.scalar(1), x);
  const through = (): string => {
    const zero = e.equal(updates, 0);
    const safe = e.where(zero, 1, updates);
    const others = gather(scatter(ones(), safe, 'mul'));
    const zeros = gather(scatter(zerosLike(c, x), e.cast(zero), 'add'));
    const atZero = e.where(e.equal(zeros, 1), others, 0);
    const elsewhere = e.where(e.equal(zeros, 0), e.div(others, safe), 0);
    return e.mul(gather(e.mul(g, x)), e.where(zero, atZero, elsewhere));
  };
  return [
    c.wants(0) ? e.mul(g, scatter(ones(), updates, 'mul')) : undefined,
    undefined,
    c.wants(2) ? through() : undefined,
  ];
}

/** Reductions max and min: those that equal the result share its gradient, as in PyTorch's scatter_reduce. */
function scatterExtreme(c: VjpContext, g: string, { scatter, gather }: Scattering): readonly (string | undefined)[] {
  const e = arithOf(c);
  const [x, , updates] = c.inputs as readonly [string, string, string];
  const y = c.outputs[0]!;
  const kept = e.cast(e.equal(x, y));
  const taken = e.cast(e.equal(updates, gather(y)));
  const share = e.div(g, scatter(kept, taken, 'add'));
  return [c.wants(0) ? e.mul(share, kept) : undefined, undefined, c.wants(2) ? e.mul(gather(share), taken) : undefined];
}

/** ScatterElements-18 and ScatterND-18: what was overwritten gets no gradient, what was put there takes it. */
function scatter(op: 'ScatterElements' | 'ScatterND'): VjpRule {
  return (c) => {
    const g = c.grads[0];
    if (g === undefined) return [];
    const [, indices, updates] = c.inputs as readonly [string, string, string];
    const attributes = op === 'ScatterElements' ? { axis: intOf(c.node, 'axis', 0) } : {};
    const scattering: Scattering = {
      scatter: (data, values, reduction = 'none') =>
        c.b.op(op, [data, indices, values], { ...attributes, ...(reduction === 'none' ? {} : { reduction }) }),
      gather: (value) => c.b.op(op === 'ScatterND' ? 'GatherND' : 'GatherElements', [value, indices], attributes),
    };
    const reduction = stringOf(c.node, 'reduction', 'none');
    if (reduction === 'mul') return scatterMul(c, g, scattering);
    if (reduction === 'max' || reduction === 'min') return scatterExtreme(c, g, scattering);
    return [
      !c.wants(0) ? undefined : reduction === 'add' ? g : scattering.scatter(g, zerosLike(c, updates)),
      undefined,
      c.wants(2) ? scattering.gather(g) : undefined,
    ];
  };
}

/** TensorScatter-24: a cache with some steps overwritten, from a start per batch entry; `circular` wraps at its end. */
const tensorScatter: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const { b } = c;
  const [cache, update, starts] = c.inputs as readonly [string, string, string | undefined];
  const rank = c.shape(cache).length;
  const axis = fromFront(intOf(c.node, 'axis', -2), rank);
  const scalar = (value: string): string => b.op('Squeeze', [value, b.int64s([0])]);
  const steps = b.op('Range', [scalar(b.int64s([0])), scalar(dimValue(c, update, axis)), scalar(b.int64s([1]))]);
  const along = b.op('Unsqueeze', [steps, b.int64s(range(rank).filter((other) => other !== axis))]);
  let at =
    starts === undefined ? along : b.op('Add', [along, b.op('Unsqueeze', [starts, b.int64s(range(rank).slice(1))])]);
  if (stringOf(c.node, 'mode', 'linear') === 'circular') at = b.op('Mod', [at, dimValue(c, cache, axis)]);
  const indices = expandLike(c, at, update);
  return [
    c.wants(0) ? b.op('ScatterElements', [g, indices, zerosLike(c, update)], { axis }) : undefined,
    c.wants(1) ? b.op('GatherElements', [g, indices], { axis }) : undefined,
  ];
};

/** Compress-11: the kept slices go back to where they stood. */
const compress = back((c, g) => {
  const { b } = c;
  const [x, condition] = c.inputs as readonly [string, string];
  const positions = b.op('Reshape', [b.op('NonZero', [condition]), b.int64s([-1])]);
  const axis = intOf(c.node, 'axis', undefined);
  const rank = c.shape(x).length;
  if (axis !== undefined) {
    const front = fromFront(axis, rank);
    return placeAlong(b, g, rank, front, positions, dimValue(c, x, front));
  }
  const size = b.op('Reshape', [b.op('Size', [x]), b.int64s([1])]);
  return reshapeLike(c, placeAlong(b, g, 1, 0, positions, size), x);
});

/** OneHot-11: what flows to the off value and to the on value. */
const oneHot: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined || !c.wants(2)) return [];
  const { b } = c;
  const e = arithOf(c, 2);
  const [indices, depth, values] = c.inputs as readonly [string, string, string];
  const marks = b.op('OneHot', [indices, depth, b.constant(Tensor.floats([0, 1]))], {
    axis: intOf(c.node, 'axis', -1),
  });
  const on = e.sum(e.mul(g, e.dtype === 'float32' ? marks : e.cast(marks)), undefined, 0);
  const off = e.sub(e.sum(g, undefined, 0), on);
  const one = b.int64s([1]);
  const pair = b.op(
    'Concat',
    [off, on].map((sum) => b.op('Reshape', [sum, one])),
    { axis: 0 },
  );
  return [undefined, undefined, reshapeLike(c, pair, values)];
};

/** Range-11: start + i·delta; the limit only decides how many there are. */
const rangeRule: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const { b } = c;
  const e = arithOf(c);
  const scalar = (value: number): string => b.constant(Tensor.scalar('int64', value));
  const count = b.op('Range', [scalar(0), b.op('Size', [g]), scalar(1)]);
  return [
    c.wants(0) ? e.sum(g, undefined, 0) : undefined,
    c.wants(1) ? zerosLike(c, c.inputs[1]!) : undefined,
    c.wants(2) ? e.sum(e.mul(g, e.cast(count)), undefined, 0) : undefined,
  ];
};

/** TopK-11: the gradient goes back to where the values were found. */
const topK = back((c, g) => {
  const indices = c.outputs[1] ?? c.refuse('its indices output has no name');
  return c.b.op('ScatterElements', [zerosLike(c, c.inputs[0]!), indices, g], { axis: intOf(c.node, 'axis', -1) });
});

export const indexingGradients: Readonly<Record<string, VjpRule>> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: scatter('ScatterElements'),
  ScatterND: scatter('ScatterND'),
  TensorScatter: tensorScatter,
  Compress: compress,
  OneHot: oneHot,
  Range: rangeRule,
  TopK: topK,
};
