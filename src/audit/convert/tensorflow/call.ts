/** @file One node of a TensorFlow graph as its rule sees it. */
import type { TfAttributes } from '../../read/tf-attributes.js';
import type { Activation } from '../emit/activation.js';
import type { Operands } from '../emit/operands.js';
import type { Padding } from '../emit/windows.js';
import { CannotConvert, type Emitter } from '../emitter.js';
import type { Flow, Stated } from '../flow.js';

/** A node with its inputs converted. */
export class TfCall implements Operands {
  readonly op: string;
  readonly inputs: readonly Flow[];
  readonly outputs: readonly Stated[];
  readonly attributes: TfAttributes;
  /** Whether nobody else reads input 0. */
  readonly soleReader: boolean;

  constructor(
    op: string,
    inputs: readonly Flow[],
    outputs: readonly Stated[],
    attributes: TfAttributes,
    soleReader: boolean,
  ) {
    this.op = op;
    this.inputs = inputs;
    this.outputs = outputs;
    this.attributes = attributes;
    this.soleReader = soleReader;
  }

  /** Input `index`, which must be there. */
  input(index: number): Flow {
    const flow = this.inputs[index];
    if (flow === undefined) throw new CannotConvert(`input ${index} is missing`);
    return flow;
  }

  /** What is known of the first output. */
  get out(): Stated {
    return this.outputs[0]!;
  }

  flag(...names: readonly string[]): boolean {
    return names.some((name) => this.attributes.number(name) !== 0);
  }

  /** Whether its pictures have their channels second. */
  get channelsSecond(): boolean {
    return this.attributes.text('data_format').startsWith('NC');
  }

  /** The entries of a list attribute for the spatial axes. */
  spatial(name: string): readonly number[] {
    const all = this.attributes.numbers(name);
    if (all.length === 0) return [1, 1];
    return this.channelsSecond ? all.slice(2) : all.slice(1, -1);
  }

  padding(): Padding {
    const word = this.attributes.text('padding');
    if (word === 'SAME' || word === 'VALID') return word;
    const pads = this.attributes.numbers('explicit_paddings');
    if (word !== 'EXPLICIT' || pads.length < 8) throw new CannotConvert(`padding '${word}'`);
    const from = this.channelsSecond ? 4 : 2;
    return [
      [pads[from]!, pads[from + 1]!],
      [pads[from + 2]!, pads[from + 3]!],
    ];
  }
}

/** How a node becomes ONNX nodes: one flow per output. */
export type TfRule = (e: Emitter, call: TfCall) => readonly Flow[];

/** The activation that a fused node ends in, by TensorFlow's name. */
export function activationOf(name: string | undefined): Activation {
  const known: Readonly<Record<string, Activation>> = { Relu: 'relu', Relu6: 'relu6', Tanh: 'tanh' };
  if (name === undefined) return 'none';
  const found = known[name];
  if (found === undefined) throw new CannotConvert(`fused ${name}`);
  return found;
}

/** A picture whose channels stand second, as one with channels last that is at hand channels first. */
export function pictureOf(e: Emitter, call: TfCall, x: Flow): Flow {
  if (!call.channelsSecond) return x;
  const shape = x.shape && [x.shape[0]!, ...x.shape.slice(2), x.shape[1]!];
  return { name: x.name, type: x.type, shape, stored: { channelsFirst: e.stored(x) }, real: {} };
}

/** What a rule on pictures made, in the order that the node states. */
export function inOrder(e: Emitter, call: TfCall, make: (out: Stated) => Flow): readonly Flow[] {
  if (!call.channelsSecond) return [make(call.out)];
  const { shape } = call.out;
  const last = { ...call.out, shape: shape && [shape[0]!, ...shape.slice(2), shape[1]!] };
  const made = make(last);
  return [{ ...call.out, stored: { stated: e.stored(made, 'channelsFirst') }, real: {} }];
}
