/** @file Splits recurrent layers along time: a chain of shorter ones that hand their state on, so that work can stop after some steps. */
import {
  CuttleError,
  GraphBuilder,
  int,
  intOf,
  makeNode,
  stringOf,
  type Graph,
  type Model,
  type Node,
  type ValueType,
} from '../ir/index.js';
import { removeDeadNodes } from './dead-nodes.js';
import { inferShapes } from './infer-shapes.js';

/** Time steps at which no recurrent layer of the model can be split. Exit code 2. */
export class RecurrenceSplitError extends CuttleError {
  constructor(why: string, hint: string) {
    super('usage', 'passes/recurrence-split', `the recurrent layers cannot be split: ${why}`, { hint });
  }
}

export interface RecurrenceSplit {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the layers that were split, and of the chain that each became, first part first. */
  readonly layers: ReadonlyMap<string, readonly string[]>;
}

/** How many outputs and initial states each operator has. */
const STATES: Readonly<Record<string, number>> = { RNN: 1, GRU: 1, LSTM: 2 };

/** Operators that treat every time step alike, so that they may be applied part by part. */
const STEPWISE: ReadonlySet<string> = new Set([
  ...[
    'Identity',
    'Dropout',
    'Relu',
    'Tanh',
    'Sigmoid',
    'Gelu',
    'Cast',
    'LayerNormalization',
    'Squeeze',
    'MatMul',
    'Add',
  ],
]);

/**
 * Splits every forward RNN, GRU and LSTM over as many steps as the first one after the given numbers of steps (ascending). A
 * stack of layers is split throughout: part k of a layer reads part k of the layer below, directly or through operators that
 * treat every step alike. What read the whole sequence reads the parts joined again.
 * Contract: requires time-first layers (`layout` 0) with a fixed number of steps and no sequence lengths; ensures the same
 * outputs from the same arithmetic. Layers that run backwards, or both ways, stay whole.
 * Throws RecurrenceSplitError where no layer can be split at these steps.
 */
export function splitRecurrence(model: Model, ends: readonly number[]): RecurrenceSplit {
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const splitter = new Splitter(model.graph, types, ends);
  const graph = splitter.run();
  if (splitter.layers.size === 0)
    throw new RecurrenceSplitError(
      `none of them runs forward over more than ${Math.max(...ends)} steps`,
      'Give steps inside the sequence, of a network with a fixed sequence length.',
    );
  return { model: removeDeadNodes({ ...model, graph }).model, changed: true, layers: splitter.layers };
}

class Splitter {
  readonly layers = new Map<string, readonly string[]>();
  readonly #b: GraphBuilder;
  /** Parts of values that lie time first. */
  readonly #parts = new Map<string, readonly string[]>();
  #steps: number | undefined;

  constructor(
    private readonly graph: Graph,
    private readonly types: ReadonlyMap<string, ValueType>,
    private readonly ends: readonly number[],
  ) {
    this.#b = GraphBuilder.beside(graph);
    const ascending = ends.every((end, i) => Number.isInteger(end) && end > (ends[i - 1] ?? 0));
    if (ends.length === 0 || !ascending)
      throw new RecurrenceSplitError(
        `${ends.join(', ') || 'nothing'} is no ascending list of steps`,
        'Give whole numbers.',
      );
  }

  run(): Graph {
    for (const node of this.graph.nodes)
      if (this.#isSplittable(node)) this.#splitLayer(node);
      else {
        this.#b.nodes.push(node);
        this.#follow(node);
      }
    const initializers = new Map([...this.graph.initializers, ...this.#b.initializers]);
    return { ...this.graph, nodes: this.#b.nodes, initializers, types: new Map() };
  }

  #isSplittable(node: Node): boolean {
    if (node.domain !== '' || STATES[node.op] === undefined || intOf(node, 'layout', 0) !== 0) return false;
    if (stringOf(node, 'direction', 'forward') !== 'forward' || node.inputs[4]) return false;
    const type = this.types.get(node.inputs[0]!);
    const steps = type?.kind === 'tensor' ? type.shape?.[0] : undefined;
    if (typeof steps !== 'number' || steps <= this.ends.at(-1)!) return false;
    this.#steps ??= steps;
    return steps === this.#steps;
  }

  #splitLayer(node: Node): void {
    const b = this.#b;
    const count = STATES[node.op]!;
    const [x, weight, recurrence, bias] = node.inputs;
    // X, W, R, B, sequence lengths, initial states; LSTM's peepholes come last.
    let states: (string | undefined)[] = Array.from({ length: count }, (_, i) => node.inputs[5 + i] || undefined);
    const peepholes = node.op === 'LSTM' ? node.inputs[7] || undefined : undefined;
    const parts: string[] = [];
    const names: string[] = [];
    for (const part of this.#partsOf(x!)) {
      const tail = peepholes === undefined ? [] : [peepholes];
      const outputs = b.ops(
        node.op,
        [part, weight, recurrence, bias || undefined, undefined, ...states, ...tail],
        Object.fromEntries(node.attributes),
        { outputs: 1 + count, name: node.name },
      );
      names.push(b.nodes.at(-1)!.name);
      parts.push(outputs[0]!);
      states = outputs.slice(1);
    }
    // The last part ends in the layer's own states, under their names.
    const last = b.nodes.pop()!;
    b.nodes.push({ ...last, outputs: last.outputs.map((output, i) => (i > 0 && node.outputs[i]) || output) });
    this.layers.set(node.name, names);
    this.#join(node.outputs[0], parts);
  }

  /** The parts of a value along time: known ones, or slices of it. */
  #partsOf(value: string): readonly string[] {
    const known = this.#parts.get(value);
    if (known !== undefined) return known;
    const bounds = [0, ...this.ends, this.#steps!];
    const parts = bounds.slice(1).map((end, i) => {
      const range = [bounds[i]!, end, 0].map((bound) => this.#b.int64s([bound]));
      return this.#b.op('Slice', [value, ...range], {}, { name: `${value}/steps` });
    });
    this.#parts.set(value, parts);
    return parts;
  }

  /** Applies an operator that treats all steps alike to the parts of its input; later layers read them from here. */
  #follow(node: Node): void {
    const [data, ...others] = node.inputs;
    const parts = this.#parts.get(data ?? '');
    if (parts === undefined || !STEPWISE.has(node.op) || node.domain !== '' || !this.#keepsTime(node)) return;
    const outputs = parts.map((part) => {
      const output = this.#b.fresh(`${node.outputs[0]}/part`);
      this.#b.nodes.push({
        ...node,
        name: this.#b.fresh(node.name),
        inputs: [part, ...others],
        outputs: [output],
      });
      return output;
    });
    this.#parts.set(node.outputs[0]!, outputs);
  }

  /** Whether a stepwise operator leaves time on the first axis and reads nothing else that changes with time. */
  #keepsTime(node: Node): boolean {
    if (node.outputs.slice(1).some((output) => output !== '')) return false;
    const [from, to] = [node.inputs[0]!, node.outputs[0]!].map((value) => {
      const type = this.types.get(value);
      return type?.kind === 'tensor' ? type.shape : undefined;
    });
    if (from === undefined || to?.[0] !== from[0]) return false;
    if (node.op === 'LayerNormalization')
      return intOf(node, 'axis', -1) !== 0 && intOf(node, 'axis', -1) !== -from.length;
    // Other operands are constants without a time axis of their own.
    return node.inputs.slice(1).every((input) => {
      const rank = this.graph.initializers.get(input)?.dims.length;
      return input === '' || (rank !== undefined && rank < from.length);
    });
  }

  #join(whole: string | undefined, parts: readonly string[]): void {
    if (!whole) return;
    this.#parts.set(whole, parts);
    const name = this.#b.fresh(`${whole}/join`);
    this.#b.nodes.push(
      makeNode({ name, op: 'Concat', inputs: parts, outputs: [whole], attributes: new Map([['axis', int(0)]]) }),
    );
  }
}
