/** @file TensorFlow Lite → ONNX: one walk over a sub-graph's operators, each by its rule. */
import { Tensor, GraphBuilder, tensorType, type Model } from '../../../ir/index.js';
import type { ReadLimits } from '../../read/limits.js';
import { CannotConvert, Emitter, noSignature, refusing, unsupportedOperators } from '../emitter.js';
import { finished, type Ends } from '../finish.js';
import { arranged, type Flow, type Layout, type Stated } from '../flow.js';
import { Call, type Surroundings, type TfliteRule } from './call.js';
import { readTfliteFile, type TfliteFile, type TfliteGraph, type TfliteSignature } from './file.js';
import { controlRules } from './rules-control.js';
import { elementwiseRules } from './rules-elementwise.js';
import { shapingRules } from './rules-shaping.js';
import { windowRules } from './rules-windows.js';

/** Every operator that is converted, by its name in the schema. */
export const tfliteRules: ReadonlyMap<string, TfliteRule> = new Map(
  [windowRules, elementwiseRules, shapingRules, controlRules].flatMap((rules) => Object.entries(rules)),
);

/** How a conversion may be steered. */
export interface ConvertOptions {
  /** Which entry of the model, where it has several: the name of a signature. The first sub-graph where omitted. */
  readonly signature?: string;
  /** Quantised inputs and outputs stay integers (`stored`, the default), or are real numbers outside. */
  readonly ends?: Ends;
  /** Pictures that go in: `channelsFirst` (the default) where convolutions read them, or as the file has them. */
  readonly inputLayout?: Layout;
  readonly limits?: ReadLimits;
}

/** What a conversion gives. */
export interface Converted {
  readonly model: Model;
  readonly format: 'tflite' | 'graphdef' | 'savedmodel' | 'ort';
  /** The entry that was converted, and all that there are. */
  readonly signature: string | undefined;
  readonly signatures: readonly string[];
  /** Operators of the foreign model, by name. */
  readonly operators: ReadonlyMap<string, number>;
  /** Inputs whose channels were moved behind the batch. */
  readonly channelsFirst: readonly string[];
}

/**
 * Converts a TensorFlow Lite model. Float operators become the same in ONNX; quantised ones real operators between
 * DequantizeLinear and QuantizeLinear, which ONNX Runtime fuses into integer kernels. Convolutions are channels first.
 * Throws AuditError of kind `invalid` for broken files, of kind `unsupported` with all operators that have no rule, and of kind `usage`
 * for a signature that is not there.
 */
export function convertTflite(bytes: Uint8Array, options: ConvertOptions = {}): Converted {
  const file = readTfliteFile(bytes, options.limits);
  return refusing('tflite', () => new TfliteWalk(file, options).convert());
}

/** Operators whose results may have channels first where their inputs have. */
const LAYOUT_BLIND: ReadonlySet<string> = new Set([
  ...Object.keys(elementwiseRules).filter((op) => !['ONE_HOT', 'FILL', 'RANGE'].includes(op)),
  ...['CONCATENATION', 'PAD', 'PADV2', 'MIRROR_PAD', 'STRIDED_SLICE', 'SLICE', 'SPLIT', 'SPLIT_V'],
]);
/** Operators that want channels first. */
const SPATIAL: ReadonlySet<string> = new Set([
  'CONV_2D',
  'DEPTHWISE_CONV_2D',
  'CONV_3D',
  'AVERAGE_POOL_2D',
  'MAX_POOL_2D',
  'L2_POOL_2D',
  'RESIZE_BILINEAR',
  'RESIZE_NEAREST_NEIGHBOR',
  'DEPTH_TO_SPACE',
  'SPACE_TO_DEPTH',
  'LOCAL_RESPONSE_NORMALIZATION',
]);

class TfliteWalk implements Surroundings {
  readonly variables = new Map<Flow, string>();
  readonly contents = new Map<string, Flow>();
  initialising = false;
  readonly #file: TfliteFile;
  readonly #options: ConvertOptions;
  readonly #refused = new Map<string, string>();
  #depth = 0;

  constructor(file: TfliteFile, options: ConvertOptions) {
    this.#file = file;
    this.#options = options;
  }

  convert(): Converted {
    const signature = this.#signature();
    const index = signature?.graph ?? 0;
    const graph = this.#file.graphs[index]!;
    const operators = new Map<string, number>();
    this.#count(index, operators, new Set());
    for (const op of operators.keys()) if (!tfliteRules.has(op)) this.#refused.set(op, '');
    const e = new Emitter(new GraphBuilder());
    const channelsFirst: string[] = [];
    const inputs = this.#inputs(e, graph, signature, channelsFirst);
    const outputs = this.inline(e, index, inputs);
    if (this.#refused.size > 0) throw unsupportedOperators('tflite', this.#refused);
    // An input that nothing reads is an input all the same.
    for (const input of inputs) if (Object.keys(input.stored).length === 0) e.stored(input);
    const order = new Map(inputs.map((input, i) => [input.name, i]));
    e.builder.inputs.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
    const endings = outputs.map((flow, i) => {
      const tensor = graph.outputs[i]!;
      return { name: signature?.outputs.get(tensor) ?? graph.tensors[tensor]!.name, flow };
    });
    const metadata = new Map([
      ['cuttle.converted', JSON.stringify({ from: 'tflite', signature: signature?.key, channelsFirst })],
    ]);
    return {
      model: finished(e, graph.name || 'main', endings, this.#options.ends ?? 'stored', metadata),
      format: 'tflite',
      signature: signature?.key,
      signatures: this.#file.signatures.map(({ key }) => key),
      operators,
      channelsFirst,
    };
  }

  #signature(): TfliteSignature | undefined {
    const { signatures } = this.#file;
    const wanted = this.#options.signature;
    const found = signatures.find(({ key }) => key === wanted);
    if (wanted !== undefined && found === undefined)
      throw noSignature(
        wanted,
        signatures.map(({ key }) => key),
      );
    return (
      found ?? signatures.find(({ key }) => key === 'serving_default') ?? signatures.find(({ graph }) => graph === 0)
    );
  }

  #count(index: number, operators: Map<string, number>, seen: Set<number>): void {
    if (seen.has(index)) return;
    seen.add(index);
    for (const operator of this.#file.graphs[index]?.operators ?? []) {
      operators.set(operator.op, (operators.get(operator.op) ?? 0) + 1);
      for (const id of { CALL: [0], CALL_ONCE: [0], IF: [0, 1], WHILE: [0, 1] }[operator.op] ?? [])
        this.#count(operator.options?.int32(id) ?? 0, operators, seen);
    }
  }

  #inputs(
    e: Emitter,
    graph: TfliteGraph,
    signature: TfliteSignature | undefined,
    channelsFirst: string[],
  ): readonly Flow[] {
    const wanting = this.#options.inputLayout === 'stated' ? new Set<number>() : wantingChannelsFirst(graph);
    return graph.inputs.map((index, position): Flow => {
      const tensor = graph.tensors[index]!;
      const name = e.builder.fresh(signature?.inputs.get(index) ?? (tensor.name || `input_${position}`));
      const real = this.#options.ends === 'real' && tensor.quantisation !== undefined;
      const layout: Layout = wanting.has(index) ? 'channelsFirst' : 'stated';
      const shape = tensor.shape?.map((dim, axis) => (dim === null ? `${name}_${axis}` : dim));
      const placed = shape && arranged(layout, shape);
      if (layout === 'channelsFirst') channelsFirst.push(name);
      e.builder.inputs.push({ name, type: tensorType(real ? 'float32' : tensor.type, placed) });
      const stated: Stated = { ...tensor, name, shape: tensor.shape };
      if (real) return e.result(stated, name, layout);
      return { ...stated, stored: { [layout]: name }, real: {} };
    });
  }

  inline(e: Emitter, index: number, inputs: readonly Flow[]): readonly Flow[] {
    const graph = this.#file.graphs[index];
    if (graph === undefined) throw new CannotConvert(`sub-graph ${index} is missing`);
    if (++this.#depth > 16) throw new CannotConvert('sub-graphs call one another more than 16 deep');
    const values = new Map<number, Flow>();
    graph.inputs.forEach((tensor, i) => inputs[i] && values.set(tensor, inputs[i]));
    const valueOf = (tensor: number): Flow | undefined => {
      if (tensor < 0) return undefined;
      const known = values.get(tensor);
      if (known) return known;
      const { constant: stored, isVariable, ...stated } = graph.tensors[tensor]!;
      const constant = stored ?? nothing(stated);
      if (constant === undefined && !isVariable) throw new CannotConvert(`'${stated.name}' is read before it is made`);
      const flow: Flow = { ...stated, constant, stored: {}, real: {} };
      values.set(tensor, flow);
      return flow;
    };
    for (const [position, operator] of graph.operators.entries()) {
      const outputs = operator.outputs.map((tensor) => graph.tensors[tensor]!);
      e.stem = outputs[0]?.name.split(';')[0] || `${operator.op}_${position}`;
      // What follows from another operator's refusal is no reason of its own.
      const spoilt = operator.inputs.some((tensor) => values.get(tensor)?.stored.stated === REFUSED);
      const made = this.#made(e, operator.op, spoilt, () => {
        const given = operator.inputs.map(valueOf);
        e.integer = [...given, ...outputs].some((value) => value !== undefined && isInteger(value));
        return new Call(operator.op, given, outputs, operator.options, operator.custom, this);
      });
      operator.outputs.forEach((tensor, i) => values.set(tensor, made?.[i] ?? refused(outputs[i]!)));
    }
    this.#depth--;
    return graph.outputs.map((tensor) => valueOf(tensor)!);
  }

  #made(e: Emitter, op: string, spoilt: boolean, call: () => Call): readonly Flow[] | undefined {
    try {
      return tfliteRules.get(op)?.(e, call());
    } catch (error) {
      if (!(error instanceof CannotConvert)) throw error;
      if (!spoilt && !this.#refused.has(op)) this.#refused.set(op, error.message);
      return undefined;
    }
  }
}

/** Whether an operator with this value computes in integers: it flows, and is quantised. */
const isInteger = (value: Stated & { readonly constant?: unknown }): boolean =>
  value.constant === undefined && value.quantisation !== undefined;

/** A constant without elements has no contents in the file. */
function nothing({ type, shape }: Stated): Tensor | undefined {
  const dims = shape?.filter((dim) => typeof dim === 'number');
  return dims !== undefined && dims.includes(0) && dims.length === shape?.length
    ? Tensor.fromBytes(type, dims, new Uint8Array())
    : undefined;
}

/** The name of what is not there. */
const REFUSED = '?';

/** Stands in for the result of an operator that cannot be converted, so that all such operators are found at once. */
function refused(out: Stated): Flow {
  const any = { stated: REFUSED, channelsFirst: REFUSED };
  return { ...out, stored: any, real: { ...any } };
}

/** Inputs that convolutions and their like read, if need be through operators that do not care. */
function wantingChannelsFirst(graph: TfliteGraph): ReadonlySet<number> {
  const wanting = new Set<number>();
  for (const operator of [...graph.operators].reverse()) {
    const data = operator.op === 'SPLIT' ? 1 : 0;
    const first = operator.inputs[data];
    if (SPATIAL.has(operator.op) && first !== undefined) wanting.add(first);
    if (!LAYOUT_BLIND.has(operator.op) || !operator.outputs.some((tensor) => wanting.has(tensor))) continue;
    for (const tensor of operator.inputs) {
      const rank = graph.tensors[tensor]?.shape?.length;
      if (rank !== undefined && rank === graph.tensors[operator.outputs[0]!]?.shape?.length && rank >= 3)
        wanting.add(tensor);
    }
  }
  return wanting;
}
