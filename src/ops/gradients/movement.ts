/** @file Gradients of operators that only rearrange, repeat or join elements: each goes back the same way. */
import { intOf, intsOf, stringOf } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { dimValue, fromFront, needStatic, range, reduceTo, reshape, reshapeLike, zerosLike } from './shaping.js';

/** A rule for operators with one differentiable input, from the output's gradient. */
export function back(rule: (c: VjpContext, g: string) => string): VjpRule {
  return (c) => {
    const g = c.grads[0];
    return g === undefined || !c.wants(0) ? [] : [rule(c, g)];
  };
}

/** Same elements in the same order: the gradient takes the input's shape again. */
const sameElements = back((c, g) => reshapeLike(c, g, c.inputs[0]!));

const transpose = back((c, g) => {
  const rank = c.shape(c.inputs[0]!).length;
  const perm = intsOf(c.node, 'perm', range(rank).reverse());
  return c.b.op('Transpose', [g], { perm: range(rank).map((axis) => perm.indexOf(axis)) });
});

/** Concat: the gradient is split where the inputs met. */
const concat: VjpRule = (c) => {
  const g = c.grads[0];
  if (g === undefined) return [];
  const inputs = c.inputs as readonly string[];
  if (inputs.length === 1) return [g];
  const axis = fromFront(intOf(c.node, 'axis', 1), c.shape(inputs[0]!).length);
  const dims = inputs.map((input) => c.shape(input)[axis]!);
  const sizes = dims.every((dim) => typeof dim === 'number')
    ? c.b.int64s(dims)
    : c.b.op(
        'Concat',
        inputs.map((input) => dimValue(c, input, axis)),
        { axis: 0 },
      );
  return c.b.ops('Split', [g, sizes], { axis }, { outputs: inputs.length, name: 'grad_concat' });
};

/** Split: the parts' gradients are joined; a part that nothing depends on counts as zeros. */
const split: VjpRule = (c) => {
  if (!c.wants(0)) return [];
  const axis = fromFront(intOf(c.node, 'axis', 0), c.shape(c.inputs[0]!).length);
  const parts = c.grads.map((g, i) => {
    if (g !== undefined) return g;
    const part = c.outputs[i];
    return part === undefined ? c.refuse(`its output ${i} has no name, so its size is not known`) : zerosLike(c, part);
  });
  return [parts.length === 1 ? parts[0] : c.b.op('Concat', parts, { axis })];
};

/** Tile: each axis is parted into [copies, elements], and the copies' gradients are summed. */
const tile = back((c, g) => {
  const { b } = c;
  const x = c.inputs[0]!;
  const shape = c.shape(x);
  const rank = shape.length;
  if (rank === 0) return g;
  const repeats = c.constant(c.inputs[1])?.numbers();
  if (repeats?.every((count) => count === 1)) return g;
  const copies = b.int64s(range(rank).map((axis) => axis * 2));
  if (
    repeats !== undefined &&
    shape.filter((dim) => typeof dim !== 'number').length <= 1 &&
    ![...shape, ...repeats].includes(0)
  ) {
    const parts = shape.flatMap((dim, axis) => [repeats[axis]!, typeof dim === 'number' ? dim : -1]);
    return b.op('ReduceSum', [reshape(c, g, parts), copies], { keepdims: 0 });
  }
  const column = (value: string): string => b.op('Unsqueeze', [value, b.int64s([1])]);
  const pairs = b.op('Concat', [column(c.inputs[1]!), column(b.op('Shape', [x]))], { axis: 1 });
  const parted = b.op('Reshape', [g, b.op('Reshape', [pairs, b.int64s([-1])])], { allowzero: 1 });
  return b.op('ReduceSum', [parted, copies], { keepdims: 0 });
});

/** DepthToSpace-13: SpaceToDepth undoes its DCR mode; CRD is undone by hand. */
const depthToSpace = back((c, g) => {
  const block = intOf(c.node, 'blocksize', 1);
  if (stringOf(c.node, 'mode', 'DCR') === 'DCR') return c.b.op('SpaceToDepth', [g], { blocksize: block });
  const x = c.inputs[0]!;
  const [channels, height, width] = needStatic(c, c.shape(x).slice(1), 'channels and spatial dims of DepthToSpace');
  const cells = reshape(c, g, [-1, channels! / (block * block), height!, block, width!, block]);
  return reshape(c, c.b.op('Transpose', [cells], { perm: [0, 1, 3, 5, 2, 4] }), [-1, channels!, height!, width!]);
});

export const movementGradients: Readonly<Record<string, VjpRule>> = {
  Reshape: sameElements,
  Flatten: sameElements,
  Squeeze: sameElements,
  Unsqueeze: sameElements,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Tile: tile,
  Expand: back((c, g) => reduceTo(c, g, c.shape(c.outputs[0]!), c.inputs[0]!)),
  DepthToSpace: depthToSpace,
  SpaceToDepth: back((c, g) => c.b.op('DepthToSpace', [g], { blocksize: intOf(c.node, 'blocksize', 1), mode: 'DCR' })),
  ReverseSequence: back((c, g) =>
    c.b.op('ReverseSequence', [g, c.inputs[1]], {
      batch_axis: intOf(c.node, 'batch_axis', 1),
      time_axis: intOf(c.node, 'time_axis', 0),
    }),
  ),
  Trilu: back((c, g) => c.b.op('Trilu', [g, c.inputs[1]], { upper: intOf(c.node, 'upper', 1) })),
  'com.microsoft:Trilu': back((c, g) => c.b.op('Trilu', [g, c.inputs[1]], { upper: intOf(c.node, 'upper', 1) })),
  OptionalGetElement: back((_, g) => g),
};
