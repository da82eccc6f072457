/**
 * @file The gradient of a convolution with respect to its weights, tap by tap: X padded and flattened, so that
 * the inputs which one kernel tap meets are one contiguous slice; dW of that tap is one matrix product of dY with it.
 */
import type { VjpContext } from '../record.js';
import type { Convolution } from './conv-input.js';
import { all, reach } from './conv-geometry.js';
import { needStatic, range, reshape } from './shaping.js';

/** Slice's "to the end". */
const END = Number.MAX_SAFE_INTEGER;

/** One kernel position: which stride phase of X it reads, and how far it is shifted there. */
interface Tap {
  readonly phase: readonly number[];
  readonly shift: readonly number[];
}

/** Where X and dY lie once both are padded to one common grid per phase. */
interface Grid {
  /** Extent of the common grid, per spatial axis. */
  readonly extent: readonly number[];
  /** Elements from one step of each spatial axis to the next, flattened. */
  readonly step: readonly number[];
  readonly taps: readonly Tap[];
  /** The largest flat shift. */
  readonly maxOffset: number;
  readonly output: readonly number[];
}

/**
 * dW [M, C/group, kernel…]. Any stride: X is split into its stride phases, in each of which a tap is contiguous again.
 * The batch may be symbolic; refuses where spatial dims are.
 */
export function tapByTapGradient(c: VjpContext, conv: Convolution): string {
  const grid = gridOf(c, conv);
  const { filters, channels, groups, window } = conv;
  const products = groups === 1 ? sharedProducts(c, conv, grid) : groupedProducts(c, conv, grid);
  const inGroup = channels / groups;
  if (all(window.kernel, 1)) return reshape(c, products[0]!, [filters, inGroup, ...window.kernel]);
  const spatial = range(window.kernel.length);
  const stacked = reshape(c, c.b.op('Concat', products, { axis: 0 }), [...window.kernel, filters, inGroup]);
  const rank = spatial.length;
  return c.b.op('Transpose', [stacked], { perm: [rank, rank + 1, ...spatial] }, { name: 'grad_conv_w' });
}

function gridOf(c: VjpContext, { dyShape, window }: Convolution): Grid {
  const { kernel, strides, dilations } = window;
  const output = needStatic(c, dyShape.slice(2), 'the spatial dims of a convolution whose weights are trained');
  const extent = output.map((size, d) => size + Math.floor((reach(kernel[d]!, dilations[d]!) - 1) / strides[d]!));
  const step = extent.map((_, d) => extent.slice(d + 1).reduce((product, size) => product * size, 1));
  const taps: Tap[] = [];
  const total = kernel.reduce((product, size) => product * size, 1);
  for (let flat = 0; flat < total; flat++) {
    let rest = flat;
    const index = [...kernel];
    for (let d = kernel.length - 1; d >= 0; d--) {
      index[d] = rest % kernel[d]!;
      rest = Math.floor(rest / kernel[d]!);
    }
    const offset = index.map((position, d) => position * dilations[d]!);
    taps.push({
      phase: offset.map((value, d) => value % strides[d]!),
      shift: offset.map((value, d) => Math.floor(value / strides[d]!)),
    });
  }
  const maxOffset = extent.reduce((sum, size, d) => sum + (size - output[d]!) * step[d]!, 0);
  return { extent, step, taps, maxOffset, output };
}

const offsetOf = ({ shift }: Tap, { step }: Grid): number => shift.reduce((sum, value, d) => sum + value * step[d]!, 0);

/** X padded (or cropped) so that each stride phase has exactly the grid's extent, one value per phase in use. */
function phasesOf(c: VjpContext, conv: Convolution, grid: Grid): (tap: Tap) => string {
  const { strides, padBegin } = conv.window;
  const input = needStatic(c, conv.xShape.slice(2), 'the spatial dims of a convolution whose weights are trained');
  const end = grid.extent.map((size, d) => size * strides[d]! - input[d]! - padBegin[d]!);
  const padded =
    all(padBegin, 0) && all(end, 0)
      ? conv.x
      : c.b.op('Pad', [conv.x, c.b.int64s([0, 0, ...padBegin, 0, 0, ...end])], {}, { name: 'grad_conv_pad' });
  if (all(strides, 1)) return () => padded;
  const axes = c.b.int64s(range(strides.length).map((d) => d + 2));
  const steps = c.b.int64s(strides);
  const known = new Map<string, string>();
  return ({ phase }) => {
    const key = phase.join();
    const found = known.get(key);
    if (found !== undefined) return found;
    const made = c.b.op('Slice', [padded, c.b.int64s(phase), c.b.int64s(strides.map(() => END)), axes, steps]);
    known.set(key, made);
    return made;
  };
}

/** dY padded at the end of each spatial axis to the grid's extent, from axis `first` on. */
function paddedOutput(c: VjpContext, conv: Convolution, grid: Grid, first: number): string {
  const end = grid.extent.map((size, d) => (d < first ? 0 : size - grid.output[d]!));
  if (all(end, 0)) return conv.dy;
  return c.b.op('Pad', [conv.dy, c.b.int64s([0, 0, ...end.map(() => 0), 0, 0, ...end])], {}, { name: 'grad_conv_pad' });
}

/** One group: all images in one row of numbers, so that each tap is a single product [M, N·S] × [N·S, C]. */
function sharedProducts(c: VjpContext, conv: Convolution, grid: Grid): readonly string[] {
  const { b } = c;
  const spatial = range(grid.extent.length);
  const phase = phasesOf(c, conv, grid);
  const rows = new Map<string, string>();
  /** X as [N·S, C]. */
  const rowsOf = (value: string): string => {
    const found = rows.get(value);
    if (found !== undefined) return found;
    const last = b.op('Transpose', [value], { perm: [0, ...spatial.map((d) => d + 2), 1] });
    const made = reshape(c, last, [-1, conv.channels]);
    rows.set(value, made);
    return made;
  };
  const front = b.op('Transpose', [paddedOutput(c, conv, grid, 0)], { perm: [1, 0, ...spatial.map((d) => d + 2)] });
  const whole = reshape(c, front, [conv.filters, -1]);
  const dy = cut(c, whole, 1, 0, grid.maxOffset);
  return grid.taps.map((tap) =>
    b.op('MatMul', [dy, cut(c, rowsOf(phase(tap)), 0, offsetOf(tap, grid), grid.maxOffset)]),
  );
}

/** The elements of `axis` from `offset` on, without the last `maxOffset − offset`. */
function cut(c: VjpContext, value: string, axis: number, offset: number, maxOffset: number): string {
  if (maxOffset === 0) return value;
  const end = offset === maxOffset ? END : offset - maxOffset;
  return c.b.op(
    'Slice',
    [value, c.b.int64s([offset]), c.b.int64s([end]), c.b.int64s([axis])],
    {},
    { name: 'grad_conv_tap' },
  );
}

/** Several groups: a product per image and group, [M/g, S] × [S, C/g], summed over the images. */
function groupedProducts(c: VjpContext, conv: Convolution, grid: Grid): readonly string[] {
  const { b } = c;
  const { groups, filters, channels } = conv;
  const size = grid.extent.reduce((product, extent) => product * extent, 1);
  const phase = phasesOf(c, conv, grid);
  const flat = new Map<string, string>();
  const flatOf = (value: string): string => {
    const found = flat.get(value);
    if (found !== undefined) return found;
    const made = reshape(c, value, [-1, groups, channels / groups, size]);
    flat.set(value, made);
    return made;
  };
  const dy = cut(
    c,
    reshape(c, paddedOutput(c, conv, grid, 0), [-1, groups, filters / groups, size]),
    3,
    0,
    grid.maxOffset,
  );
  return grid.taps.map((tap) => {
    const shifted = cut(c, flatOf(phase(tap)), 3, offsetOf(tap, grid), grid.maxOffset);
    const product =
      channels === groups && filters === groups
        ? b.op('ReduceSum', [b.op('Mul', [dy, shifted]), b.int64s([0, 3])], { keepdims: 0 })
        : b.op(
            'ReduceSum',
            [b.op('MatMul', [dy, b.op('Transpose', [shifted], { perm: [0, 1, 3, 2] })]), b.int64s([0])],
            {
              keepdims: 0,
            },
          );
    return reshape(c, product, [filters, channels / groups]);
  });
}
