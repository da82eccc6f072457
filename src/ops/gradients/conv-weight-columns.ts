/**
 * @file The gradient of a depthwise convolution over images with respect to its weights: for each kernel row one matrix
 * product per channel of all columns of dY with all columns of X, of which the pairs that a tap joins are then summed.
 */
import { Tensor } from '../../ir/index.js';
import type { VjpContext } from '../record.js';
import type { Convolution } from './conv-input.js';
import { needStatic, range, reshape } from './shaping.js';

/** Two spatial axes, one filter per channel. */
export const isPlainDepthwise = ({ groups, channels, filters, window }: Convolution): boolean =>
  groups > 1 && groups === channels && groups === filters && window.kernel.length === 2;

/** dW [C, 1, k, l]. The products have more pairs than are needed, but no copy of X per tap stands behind them. */
export function columnPairsGradient(c: VjpContext, conv: Convolution): string {
  const { b } = c;
  const { channels, window } = conv;
  const what = 'the spatial dims of a convolution whose weights are trained';
  const [height, width] = needStatic(c, conv.xShape.slice(2), what) as readonly [number, number];
  const [outHeight, outWidth] = needStatic(c, conv.dyShape.slice(2), what) as readonly [number, number];
  const [rows, columns] = window.kernel as readonly [number, number];
  const x = b.op('Transpose', [conv.x], { perm: [1, 0, 2, 3] });
  const dy = b.op('Transpose', [conv.dy], { perm: [1, 0, 2, 3] });
  const products = range(rows).map((tap) => {
    const span = rowsMet(tap * window.dilations[0]! - window.padBegin[0]!, window.strides[0]!, height, outHeight);
    if (span === undefined) return undefined;
    const image = reshape(c, takeRows(c, x, span.input, span.count, window.strides[0]!, height), [channels, -1, width]);
    const output = reshape(c, takeRows(c, dy, span.output, span.count, 1, outHeight), [channels, -1, outWidth]);
    const turned = b.op('Transpose', [output], { perm: [0, 2, 1] });
    return reshape(c, b.op('MatMul', [turned, image]), [channels, 1, outWidth * width]);
  });
  const known = products.find((product) => product !== undefined);
  if (known === undefined)
    return b.constant(
      Tensor.of('float32', [channels, 1, rows, columns], new Float32Array(channels * rows * columns)),
      'zero',
    );
  const nothing = products.includes(undefined) ? b.op('Sub', [known, known]) : known;
  const stacked =
    rows === 1
      ? known
      : b.op(
          'Concat',
          products.map((product) => product ?? nothing),
          { axis: 1 },
        );
  const taps = b.op('MatMul', [stacked, b.constant(pairsOf(conv, width, outWidth), 'pairs')]);
  return reshape(c, taps, [channels, 1, rows, columns]);
}

/** Rows of dY whose window row, `offset` from the first, lies inside X: the first of each, and how many. */
function rowsMet(
  offset: number,
  stride: number,
  height: number,
  outHeight: number,
): { readonly input: number; readonly output: number; readonly count: number } | undefined {
  const first = Math.max(0, Math.ceil(-offset / stride));
  const last = Math.min(outHeight - 1, Math.floor((height - 1 - offset) / stride));
  if (last < first) return undefined;
  return { input: first * stride + offset, output: first, count: last - first + 1 };
}

/** `count` rows of [C, N, rows, columns], every `step`-th from `first` on. */
function takeRows(c: VjpContext, value: string, first: number, count: number, step: number, rows: number): string {
  if (first === 0 && count === rows) return value;
  const ints = c.b.int64s.bind(c.b);
  return c.b.op('Slice', [value, ints([first]), ints([first + (count - 1) * step + 1]), ints([2]), ints([step])]);
}

/** [outWidth·width, l]: 1 where a column of dY and one of X meet in a tap. */
function pairsOf({ window }: Convolution, width: number, outWidth: number): Tensor<'float32'> {
  const taps = window.kernel[1]!;
  const data = new Float32Array(outWidth * width * taps);
  for (let output = 0; output < outWidth; output++)
    for (let tap = 0; tap < taps; tap++) {
      const column = output * window.strides[1]! + tap * window.dilations[1]! - window.padBegin[1]!;
      if (column >= 0 && column < width) data[(output * width + column) * taps + tap] = 1;
    }
  return Tensor.of('float32', [outWidth * width, taps], data);
}
