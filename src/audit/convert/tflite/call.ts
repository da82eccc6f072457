/** @file One operator of a TensorFlow Lite graph as its rule sees it. */
import type { FlatTable } from '../../read/flatbuffer.js';
import { CannotConvert, type Emitter } from '../emitter.js';
import type { Activation } from '../emit/activation.js';
import type { Operands } from '../emit/operands.js';
import type { Padding } from '../emit/windows.js';
import type { Flow, Stated } from '../flow.js';

/** What rules that concern several sub-graphs, or variables, may ask of the walk. */
export interface Surroundings {
  /** Emits sub-graph `index` with these inputs; gives its outputs. */
  inline(e: Emitter, index: number, inputs: readonly Flow[]): readonly Flow[];
  /** Contents of variables by handle. */
  readonly variables: Map<Flow, string>;
  readonly contents: Map<string, Flow>;
  /** Whether what is emitted now is run once, before everything else. */
  initialising: boolean;
}

/** An operator with its inputs converted. Settings are fields of its options table by id (TensorFlow Lite schema v3). */
export class Call implements Operands {
  readonly op: string;
  readonly inputs: readonly (Flow | undefined)[];
  readonly outputs: readonly Stated[];
  readonly custom: Uint8Array | undefined;
  readonly around: Surroundings;
  readonly #options: FlatTable | undefined;

  constructor(
    op: string,
    inputs: readonly (Flow | undefined)[],
    outputs: readonly Stated[],
    options: FlatTable | undefined,
    custom: Uint8Array | undefined,
    around: Surroundings,
  ) {
    this.op = op;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#options = options;
    this.custom = custom;
    this.around = around;
  }

  /** Input `index`, which must be there. */
  input(index: number): Flow {
    const flow = this.inputs[index];
    if (flow === undefined) throw new CannotConvert(`input ${index} is missing`);
    return flow;
  }

  /** What the file says of the first output. */
  get out(): Stated {
    const out = this.outputs[0];
    if (out === undefined) throw new CannotConvert('it has no output');
    return out;
  }

  int(id: number, fallback = 0): number {
    return this.#options?.int32(id, fallback) ?? fallback;
  }

  ints(id: number): readonly number[] {
    return this.#options?.int32s(id) ?? [];
  }

  flag(id: number): boolean {
    return this.#options?.bool(id) ?? false;
  }

  number(id: number, fallback = 0): number {
    return this.#options?.float32(id, fallback) ?? fallback;
  }

  text(id: number): string {
    return this.#options?.string(id) ?? '';
  }

  byte(id: number): number {
    return this.#options?.uint8(id) ?? 0;
  }

  /** A fused activation (ActivationFunctionType). */
  activation(id: number): Activation {
    const names: readonly Activation[] = ['none', 'relu', 'relu-1-1', 'relu6', 'tanh', 'sign-bit'];
    const name = names[this.byte(id)];
    if (name === undefined) throw new CannotConvert(`activation ${this.byte(id)}`);
    return name;
  }

  /** A padding (0 SAME, 1 VALID). */
  padding(id: number): Padding {
    return this.byte(id) === 0 ? 'SAME' : 'VALID';
  }
}

/** How an operator becomes ONNX nodes: one flow per output. */
export type TfliteRule = (e: Emitter, call: Call) => readonly Flow[];
