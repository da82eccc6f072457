/** @file Writes ONNX nodes for a foreign model's operators: gives each value in the layout and form that a rule asks for, once. */
import { float, GraphBuilder, Tensor, type AttributeInput, type DataType, type Dim } from '../../ir/index.js';
import { AuditError } from '../errors.js';
import { floatsOfTensor, transposeTensor } from './constants.js';
import {
  arranged,
  fromChannelsFirst,
  sameOrder,
  toChannelsFirst,
  type Flow,
  type Layout,
  type Stated,
} from './flow.js';

/** Whether a value's ONNX form holds stored integers or real numbers. For values that are not quantised both are one. */
export type Form = 'stored' | 'real';

/** What a rule cannot express. The walk adds which operator it was. */
export class CannotConvert extends Error {}

/** Lowest and highest integer of the types that quantised values have. */
const ranges: Readonly<Partial<Record<DataType, readonly [low: number, high: number]>>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
};

/** Collects nodes while rules ask for their inputs and state their outputs. */
export class Emitter {
  readonly builder: GraphBuilder;
  /** Whether the operator at work computes on quantised values: then its constants stay integers. */
  integer = false;
  /** Stem of the names of what is emitted now. */
  stem = '';

  constructor(builder: GraphBuilder = new GraphBuilder()) {
    this.builder = builder;
  }

  /** Appends a node with one output. */
  op(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
  ): string {
    return this.builder.op(op, inputs, attributes, { name: this.#named(op) });
  }

  /** Appends a node with `outputs` outputs. */
  ops(
    op: string,
    inputs: readonly (string | undefined)[],
    outputs: number,
    attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
  ): readonly string[] {
    return this.builder.ops(op, inputs, attributes, { outputs, name: this.#named(op) });
  }

  #named(op: string): string {
    return this.stem === '' ? op : `${this.stem}/${op}`;
  }

  /** A value that the file gives the contents of. */
  constant(stated: Omit<Stated, 'type' | 'shape'>, tensor: Tensor): Flow {
    return { ...stated, type: tensor.dtype, shape: tensor.dims, constant: tensor, stored: {}, real: {} };
  }

  /** The layout in which a value is at hand without more nodes; constants follow whoever they meet. */
  layoutOf(flow: Flow): Layout {
    if (flow.padding) return this.layoutOf(flow.padding.of);
    return flow.stored.channelsFirst !== undefined && flow.stored.stated === undefined ? 'channelsFirst' : 'stated';
  }

  /** The name of a value as stored. */
  stored(flow: Flow, layout: Layout = 'stated'): string {
    const known = flow.stored[layout];
    if (known !== undefined) return known;
    const name = this.#make(flow, layout);
    flow.stored[layout] = name;
    return name;
  }

  #make(flow: Flow, layout: Layout): string {
    const rank = flow.shape?.length;
    if (flow.constant) {
      const tensor = layout === 'stated' ? flow.constant : transposeTensor(flow.constant, toChannelsFirst(rank!));
      return this.builder.constant(tensor, flow.name || 'constant');
    }
    if (flow.declare) {
      if (flow.stored.stated === undefined && flow.stored.channelsFirst === undefined) return flow.declare(layout);
    } else if (flow.padding && Object.keys(flow.stored).length === 0) return this.#padded(flow, layout);
    const other = flow.stored[layout === 'stated' ? 'channelsFirst' : 'stated'];
    if (other === undefined || rank === undefined || rank < 3)
      throw new CannotConvert(`value '${flow.name}' has no contents`);
    const order = layout === 'stated' ? fromChannelsFirst(rank) : toChannelsFirst(rank);
    if (sameOrder(flow.shape)) {
      const target = reshapeTarget(layout === 'stated' ? flow.shape! : arranged('channelsFirst', flow.shape!));
      if (target) return this.op('Reshape', [other, this.builder.int64s(target)]);
    }
    return this.op('Transpose', [other], { perm: order });
  }

  #padded(flow: Flow, layout: Layout): string {
    const { of, pads } = flow.padding!;
    const rank = of.shape!.length;
    const perAxis = Array.from({ length: rank }, (_, axis) => pads[axis - 1] ?? ([0, 0] as const));
    const placed = arranged(layout, perAxis);
    const zero = flow.quantisation?.zeros[0] ?? 0;
    return this.op(
      'Pad',
      [
        this.stored(of, layout),
        this.builder.int64s([...placed.map(([begin]) => begin), ...placed.map(([, end]) => end)]),
        this.builder.constant(Tensor.scalar(flow.type as Exclude<DataType, 'string'>, zero)),
      ],
      { mode: 'constant' },
    );
  }

  /** The name of a value as real numbers (float32 where it is quantised). */
  real(flow: Flow, layout: Layout = 'stated'): string {
    if (flow.quantisation === undefined && flow.type !== 'float16') return this.stored(flow, layout);
    const known = flow.real[layout];
    if (known !== undefined) return known;
    const name = this.#makeReal(flow, layout);
    flow.real[layout] = name;
    return name;
  }

  #makeReal(flow: Flow, layout: Layout): string {
    const { quantisation, constant } = flow;
    if (constant && (!this.integer || quantisation === undefined)) {
      const floats = floatsOfTensor(constant, quantisation);
      return this.builder.constant(
        layout === 'stated' ? floats : transposeTensor(floats, toChannelsFirst(floats.dims.length)),
        flow.name || 'constant',
      );
    }
    if (quantisation === undefined) return this.op('Cast', [this.stored(flow, layout)], { to: 1 });
    return this.op('DequantizeLinear', [this.stored(flow, layout), ...this.#scaleAndZero(flow)], {
      axis: this.#scaleAxis(flow, layout),
    });
  }

  #scaleAxis({ quantisation, shape }: Stated, layout: Layout): number | undefined {
    if (quantisation === undefined || quantisation.scales.length === 1) return undefined;
    return layout === 'stated' ? quantisation.axis : toChannelsFirst(shape!.length).indexOf(quantisation.axis);
  }

  #scaleAndZero(stated: Stated): readonly (string | undefined)[] {
    const { scales, zeros } = stated.quantisation!;
    const type = stated.type as Exclude<DataType, 'string'>;
    const dims = scales.length === 1 ? [] : [scales.length];
    return [
      this.builder.constant(Tensor.of('float32', dims, scales), 'scale'),
      type === 'int32' ? undefined : this.builder.constant(Tensor.of(type, dims, zeros), 'zero'),
    ];
  }

  /** A result of a rule: real numbers are quantised where the file says that the value is. */
  result(stated: Stated, name: string, layout: Layout, form: Form = 'real'): Flow {
    const flow: Flow = { ...stated, stored: {}, real: {} };
    if (stated.quantisation === undefined || form === 'stored') flow.stored[layout] = name;
    else {
      const axis = this.#scaleAxis(stated, layout);
      flow.stored[layout] = this.op('QuantizeLinear', [name, ...this.#scaleAndZero(stated)], { axis });
    }
    return flow;
  }

  /** A name that holds real numbers and may be clipped, as a result of a rule, in the interval `low` to `high` (`undefined`: open). */
  clipped(stated: Stated, name: string, layout: Layout, low: number | undefined, high: number | undefined): Flow {
    const range = this.rangeOf(stated);
    // Quantising clips by itself: a bound that the integers cannot pass needs no node.
    const needLow = low !== undefined && !(range && range[0] >= low);
    const needHigh = high !== undefined && !(range && range[1] <= high);
    if (!needLow && !needHigh) return this.result(stated, name, layout);
    if (low === 0 && !needHigh) return this.result(stated, this.op('Relu', [name]), layout);
    const bound = (value: number | undefined): string | undefined =>
      value === undefined ? undefined : this.builder.scalar(value);
    return this.result(stated, this.op('Clip', [name, bound(low), bound(high)]), layout);
  }

  /** The lowest and highest real number that a quantised value can be. */
  rangeOf({ quantisation, type }: Stated): readonly [low: number, high: number] | undefined {
    const range = ranges[type];
    if (quantisation === undefined || quantisation.scales.length !== 1 || range === undefined) return undefined;
    const [scale, zero] = [quantisation.scales[0]!, quantisation.zeros[0] ?? 0];
    return [scale * (range[0] - zero), scale * (range[1] - zero)];
  }

  /** Numbers of a value that must be known at conversion. `what` names it in the error. */
  numbers(flow: Flow | undefined, what: string): readonly number[] {
    if (flow?.constant === undefined) throw new CannotConvert(`${what} is computed at run time`);
    return flow.constant.numbers();
  }

  /** A small integer value as int64, as ONNX wants shapes, axes and indices; in the file's order. */
  int64(flow: Flow): string {
    if (flow.constant)
      return this.builder.constant(Tensor.of('int64', flow.constant.dims, flow.constant.numbers()), 'ints');
    return flow.type === 'int64' ? this.stored(flow) : this.op('Cast', [this.stored(flow)], { to: 7 });
  }

  /** A float attribute. */
  float(value: number): AttributeInput {
    return float(value);
  }
}

/** A shape as a constant target of Reshape: at most one open dim becomes -1; `undefined` where that is not enough. */
export function reshapeTarget(shape: readonly Dim[]): readonly number[] | undefined {
  const open = shape.filter((dim) => typeof dim !== 'number').length;
  return open > 1 ? undefined : shape.map((dim) => (typeof dim === 'number' ? dim : -1));
}

/** The rank of a value that must have one. */
export function rankOf(flow: Stated): number {
  if (flow.shape === undefined) throw new CannotConvert(`the rank of '${flow.name}' is not known`);
  return flow.shape.length;
}

/** Several operators that cannot be converted, all at once. Kind `unsupported`, exit code 4. */
export function unsupportedOperators(format: string, reasons: ReadonlyMap<string, string>): AuditError {
  const list = [...reasons].map(([op, reason]) => (reason === '' ? op : `${op} (${reason})`)).sort();
  return new AuditError(
    'unsupported-operators',
    `this ${format} model cannot be converted: ${list.length === 1 ? 'operator' : `${list.length} operators`} ${list.join(', ')}`,
    { kind: 'unsupported', hint: 'See docs/extending-formats.md for how to add a rule.' },
  );
}

/** Runs a conversion; what it cannot do outside of any operator becomes an AuditError of kind `unsupported`, too. */
export function refusing<T>(format: string, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof CannotConvert)) throw error;
    throw new AuditError('cannot-convert', `this ${format} model cannot be converted: ${error.message}`, {
      kind: 'unsupported',
    });
  }
}

/** A signature that is not there. Kind `usage`, exit code 2. */
export function noSignature(wanted: string, names: readonly string[]): AuditError {
  return new AuditError('no-signature', `the model has no signature '${wanted}'`, {
    kind: 'usage',
    hint: names.length === 0 ? 'It has none at all.' : `It has: ${names.join(', ')}.`,
  });
}
