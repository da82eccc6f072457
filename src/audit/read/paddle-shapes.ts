/** @file Shapes that Paddle's operators make, by their settings: needed where a file's variables are used for several results. */
import {
  broadcast,
  concatenated,
  elementsOf,
  matrixProduct,
  reshaped,
  transposed,
  windowCount,
  type Shape,
} from './shape-rules.js';

/** A setting of an operator; booleans are 0 or 1. */
export type PaddleValue = number | string | readonly number[];

/** Settings by name. */
export class PaddleSettings {
  readonly #values: ReadonlyMap<string, PaddleValue>;

  constructor(values: readonly (readonly [name: string, value: PaddleValue])[]) {
    this.#values = new Map(values);
  }

  number(name: string, fallback: number): number {
    const value = this.#values.get(name);
    return typeof value === 'number' ? value : fallback;
  }

  word(name: string): string {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : '';
  }

  numbers(name: string): readonly number[] {
    const value = this.#values.get(name);
    return typeof value === 'object' ? value : [];
  }
}

type Rule = (settings: PaddleSettings, input: Shape, shapes: readonly (Shape | undefined)[]) => Shape | undefined;

/** What a window adds to an axis at both ends: two numbers stand for both, four name each; an algorithm goes before them. */
function padding(settings: PaddleSettings, axis: number, size: number, reach: number, stride: number): number {
  const algorithm = settings.word('padding_algorithm');
  if (algorithm === 'VALID') return 0;
  if (algorithm === 'SAME') return Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach - size);
  const pads = settings.numbers('paddings');
  return pads.length === 4 ? pads[2 * axis]! + pads[2 * axis + 1]! : 2 * (pads[axis] ?? 0);
}

const convolved: Rule = (settings, [batch = 1, , height = 1, width = 1], shapes) => {
  const kernel = shapes[1];
  if (kernel?.length !== 4) return undefined;
  const axis = (at: number, size: number): number => {
    const [stride, dilation] = [settings.numbers('strides')[at] ?? 1, settings.numbers('dilations')[at] ?? 1];
    const reach = dilation * (kernel[2 + at]! - 1) + 1;
    const pad = padding(settings, at, size, reach, stride);
    return windowCount(size, { kernel: kernel[2 + at]!, stride, dilation, pad });
  };
  return [batch, kernel[0]!, axis(0, height), axis(1, width)];
};

const transposedConvolution: Rule = (settings, [batch = 1, , height = 1, width = 1], shapes) => {
  const kernel = shapes[1];
  if (kernel?.length !== 4) return undefined;
  const wanted = settings.numbers('output_size');
  const axis = (at: number, size: number): number => {
    const [stride, dilation] = [settings.numbers('strides')[at] ?? 1, settings.numbers('dilations')[at] ?? 1];
    const reach = dilation * (kernel[2 + at]! - 1) + 1;
    const extra = settings.numbers('output_padding')[at] ?? 0;
    return wanted[at] ?? (size - 1) * stride + reach - padding(settings, at, size, reach, stride) + extra;
  };
  return [batch, kernel[1]! * settings.number('groups', 1), axis(0, height), axis(1, width)];
};

const pooled: Rule = (settings, [batch = 1, channels = 1, height = 1, width = 1]) => {
  const kernel = settings.numbers('ksize');
  if (settings.number('global_pooling', 0) !== 0) return [batch, channels, 1, 1];
  if (settings.number('adaptive', 0) !== 0) return [batch, channels, kernel[0] ?? 1, kernel[1] ?? kernel[0] ?? 1];
  const axis = (at: number, size: number): number => {
    const [reach, stride] = [kernel[at] ?? 1, settings.numbers('strides')[at] ?? 1];
    const pad = padding(settings, at, size, reach, stride);
    return windowCount(size, { kernel: reach, stride, pad }, settings.number('ceil_mode', 0) !== 0);
  };
  return [batch, channels, axis(0, height), axis(1, width)];
};

const resized: Rule = (settings, [batch = 1, channels = 1, height = 1, width = 1]) => {
  const scale = settings.number('scale', 0);
  const [toHeight, toWidth] = [settings.number('out_h', -1), settings.number('out_w', -1)];
  if (toHeight > 0 && toWidth > 0) return [batch, channels, toHeight, toWidth];
  return scale > 0 ? [batch, channels, Math.floor(height * scale), Math.floor(width * scale)] : undefined;
};

const dense: Rule = (settings, input, shapes) => {
  const columns = settings.number('in_num_col_dims', settings.number('x_num_col_dims', 1));
  const width = shapes[1]?.at(-1);
  return width === undefined ? undefined : [...input.slice(0, columns), width];
};

const product: Rule = (settings, input, shapes) =>
  shapes[1] &&
  matrixProduct(
    input,
    shapes[1],
    settings.number('transpose_X', settings.number('trans_x', 0)) !== 0,
    settings.number('transpose_Y', settings.number('trans_y', 0)) !== 0,
  );

const flattened: Rule = (settings, input) => {
  const axis = settings.number('axis', 1);
  return [elementsOf(input.slice(0, axis)), elementsOf(input.slice(axis))];
};

const joined: Rule = (settings, _, shapes) => {
  const known = shapes.filter((shape) => shape !== undefined);
  return known.length === shapes.length ? concatenated(known, settings.number('axis', 0)) : undefined;
};

/** What keeps its input's shape. */
const KEEPS =
  /^(relu6?|leaky_relu|prelu|sigmoid|tanh|hard_(swish|sigmoid)|swish|gelu|elu|mish|exp|log|r?sqrt|abs|square|softmax|scale|dropout|cast|clip|(batch|instance|layer|group)_norm|(io_copy|layout|calib)(_once)?|shuffle_channel|fake_\w+)$/;

const rules: Readonly<Record<string, Rule>> = {
  conv2d: convolved,
  depthwise_conv2d: convolved,
  conv2d_fusion: convolved,
  conv2d_transpose: transposedConvolution,
  depthwise_conv2d_transpose: transposedConvolution,
  pool2d: pooled,
  nearest_interp: resized,
  nearest_interp_v2: resized,
  bilinear_interp: resized,
  bilinear_interp_v2: resized,
  fc: dense,
  mul: dense,
  matmul: product,
  matmul_v2: product,
  flatten: flattened,
  flatten2: flattened,
  concat: joined,
  reshape: (settings, input) => reshaped(input, settings.numbers('shape')),
  reshape2: (settings, input) => reshaped(input, settings.numbers('shape')),
  transpose: (settings, input) => transposed(input, settings.numbers('axis')),
  transpose2: (settings, input) => transposed(input, settings.numbers('axis')),
};

/** What operator `type` makes of inputs with these shapes (data, then kernel); `undefined` where no rule says it. */
export function paddleShape(
  type: string,
  settings: PaddleSettings,
  shapes: readonly (readonly (number | null)[] | undefined)[],
): Shape | undefined {
  // Open sizes count as one.
  const known = shapes.map((shape) => shape?.map((dim) => dim ?? 1));
  const input = known[0];
  if (input === undefined) return undefined;
  if (KEEPS.test(type)) return input;
  // A vector beside a picture lies along its channels, and changes no size.
  if (type.startsWith('elementwise_') || type.startsWith('fusion_elementwise_'))
    return known[1] === undefined ? undefined : known[1].length < input.length ? input : broadcast(input, known[1]);
  return rules[type]?.(settings, input, known);
}
