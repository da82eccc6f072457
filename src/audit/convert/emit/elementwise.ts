/** @file Operators on each element, alone or in pairs: they take whichever layout their operands have. */
import { Tensor, type AttributeInput } from '../../../ir/index.js';
import { CannotConvert, type Emitter } from '../emitter.js';
import type { Flow, Layout, Stated } from '../flow.js';
import { activated, type Activation } from './activation.js';

/** One layout for several operands that are broadcast against one another. */
export function commonLayout(e: Emitter, out: Stated, operands: readonly Flow[]): Layout {
  const rank = out.shape?.length;
  const first = operands.some((flow) => e.layoutOf(flow) === 'channelsFirst' && flow.shape?.length === rank);
  // A value of lower rank that is computed at run time would have to be reshaped: then the file's order is as good.
  const fits = operands.every(
    (flow) =>
      flow.constant !== undefined ||
      flow.shape?.length === rank ||
      (flow.shape?.length === 0 && e.layoutOf(flow) === 'stated'),
  );
  return first && fits && rank !== undefined && rank >= 3 ? 'channelsFirst' : 'stated';
}

/** An operand in a layout: constants of lower rank get the axes that broadcasting would give them. */
export function operand(
  e: Emitter,
  flow: Flow,
  layout: Layout,
  rank: number | undefined,
  form: 'real' | 'stored',
): string {
  const own = flow.shape?.length;
  const get = (value: Flow, at: Layout): string => (form === 'real' ? e.real(value, at) : e.stored(value, at));
  if (layout === 'stated' || own === 0) return get(flow, 'stated');
  if (own === rank || flow.constant === undefined || rank === undefined) return get(flow, layout);
  const { constant, quantisation } = flow;
  if (constant.size === 1) return get(e.constant({ name: flow.name, quantisation }, constant.reshape([])), 'stated');
  if (quantisation && quantisation.scales.length > 1)
    throw new CannotConvert('scales per channel of a broadcast constant');
  const dims = [...new Array<number>(rank - own!).fill(1), ...constant.dims];
  return get(e.constant({ name: flow.name, quantisation }, constant.reshape(dims)), layout);
}

/** A binary ONNX operator with NumPy broadcasting. */
export function binary(
  e: Emitter,
  out: Stated,
  op: string,
  a: Flow,
  b: Flow,
  activation: Activation = 'none',
  attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
): Flow {
  const layout = commonLayout(e, out, [a, b]);
  const rank = out.shape?.length;
  const name = e.op(op, [operand(e, a, layout, rank, 'real'), operand(e, b, layout, rank, 'real')], attributes);
  return activated(e, out, name, layout, activation);
}

/** A unary ONNX operator. */
export function unary(
  e: Emitter,
  out: Stated,
  op: string,
  x: Flow,
  attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
): Flow {
  const layout = e.layoutOf(x);
  return e.result(out, e.op(op, [e.real(x, layout)], attributes), layout);
}

/** What `make` computes from one operand's real numbers, in that operand's layout. */
export function mapped(e: Emitter, out: Stated, x: Flow, make: (name: string) => string): Flow {
  const layout = e.layoutOf(x);
  return e.result(out, make(e.real(x, layout)), layout);
}

/** ONNX Where-16: condition, then, else. */
export function select(e: Emitter, out: Stated, operands: readonly [Flow, Flow, Flow]): Flow {
  const layout = commonLayout(e, out, operands);
  const rank = out.shape?.length;
  const [condition, yes, no] = operands;
  return e.result(
    out,
    e.op('Where', [
      operand(e, condition, layout, rank, 'stored'),
      operand(e, yes, layout, rank, 'real'),
      operand(e, no, layout, rank, 'real'),
    ]),
    layout,
  );
}

/** A constant of the element type that a value has as real numbers. */
export function numberLike(e: Emitter, value: Stated, number: number): string {
  const type = value.quantisation || value.type === 'float16' ? 'float32' : value.type;
  return e.builder.constant(Tensor.scalar(type as 'float32', number), 'number');
}
