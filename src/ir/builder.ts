/** @file Builds graphs: fresh names, deduplicated constants, one call per operator. */
import { int, ints, string, tensor } from './attribute.js';
import { InvalidGraphError } from './error.js';
import { makeGraph, makeNode, type Attribute, type Graph, type Node, type Value } from './graph.js';
import { Tensor } from './tensor.js';
import type { ValueType } from './type.js';

/** Attribute values in short form: a number is an int (use `float()` for floats), an array is ints. */
export type AttributeInput = number | bigint | string | readonly (number | bigint)[] | Tensor | Attribute;

export interface OpOptions {
  /** Number of outputs; 1 where omitted. */
  readonly outputs?: number;
  readonly domain?: string;
  /** Stem of the node's and its outputs' fresh names; the operator's name where omitted. */
  readonly name?: string;
}

/**
 * Collects nodes and constants with names that collide with nothing in `taken`. Used to make whole graphs (`graph()`)
 * and the pieces of patches (`nodes`, `initializers`).
 */
export class GraphBuilder {
  readonly inputs: Value[] = [];
  readonly nodes: Node[] = [];
  readonly initializers = new Map<string, Tensor>();
  readonly types = new Map<string, ValueType>();
  #taken: Set<string>;
  readonly #counters = new Map<string, number>();
  readonly #constants = new Map<string, string>();

  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken);
  }

  /** A builder whose names do not collide with any value or node of `graph`, sub-graphs included. */
  static beside(graph: Graph): GraphBuilder {
    return new GraphBuilder(namesOf(graph));
  }

  /** A builder for a graph inside this one: it shares the names, so that neither ever shadows the other. */
  nested(): GraphBuilder {
    const inner = new GraphBuilder();
    inner.#taken = this.#taken;
    return inner;
  }

  /** A name that nothing else bears: `stem` itself where free, else `stem_1`, `stem_2` … */
  fresh(stem: string): string {
    let name = stem;
    for (let count = this.#counters.get(stem) ?? 0; this.#taken.has(name); name = `${stem}_${count}`)
      this.#counters.set(stem, ++count);
    this.#taken.add(name);
    return name;
  }

  /** Declares a graph input under exactly this name. */
  input(name: string, type: ValueType): string {
    this.#claim(name);
    this.inputs.push({ name, type });
    return name;
  }

  /** Declares a graph input under this name, or a fresh one made from it where it is taken. */
  freshInput(stem: string, type: ValueType): string {
    const name = this.fresh(stem);
    this.inputs.push({ name, type });
    return name;
  }

  /** A named weight. The stem is kept where it is free. */
  parameter(stem: string, value: Tensor): string {
    const name = this.fresh(stem);
    this.initializers.set(name, value);
    return name;
  }

  /** A constant; small equal ones are shared. */
  constant(value: Tensor, stem = 'const'): string {
    const key =
      value.bytes.byteLength <= 64 && !value.strings
        ? `${value.dtype}[${value.dims.join()}]${value.bytes.join()}`
        : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.parameter(stem, value);
    if (key !== undefined) this.#constants.set(key, name);
    return name;
  }

  /** A float32 scalar constant. */
  scalar(value: number): string {
    return this.constant(Tensor.scalar('float32', value), 'scalar');
  }

  /** A one-dimensional int64 constant: axes, shapes, starts. */
  int64s(values: readonly number[]): string {
    return this.constant(Tensor.int64s(values), 'ints');
  }

  /** Appends a node with one output and returns that output's name. An `undefined` input is an omitted optional one. */
  op(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
    options: OpOptions = {},
  ): string {
    return this.ops(op, inputs, attributes, { ...options, outputs: 1 })[0]!;
  }

  /** Appends a node with `options.outputs` outputs and returns their names. */
  ops(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
    options: OpOptions = {},
  ): readonly string[] {
    const stem = options.name ?? op;
    const outputs = Array.from({ length: options.outputs ?? 1 }, (_, index) =>
      this.fresh(index === 0 ? `${stem}_out` : `${stem}_out${index}`),
    );
    const given = inputs.map((input) => input ?? '');
    while (given.at(-1) === '') given.pop();
    this.nodes.push(
      makeNode({
        name: this.fresh(stem),
        op,
        domain: options.domain ?? '',
        inputs: given,
        outputs,
        attributes: new Map(
          Object.entries(attributes).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, toAttribute(value)] as const],
          ),
        ),
      }),
    );
    return outputs;
  }

  /** Appends a ready node; its name and outputs must be free. */
  add(node: Node): Node {
    this.#claim(node.name);
    for (const output of node.outputs) if (output !== '') this.#claim(output);
    this.nodes.push(node);
    return node;
  }

  /** Gives a value a public name by an Identity node, and returns that name. */
  alias(value: string, name: string): string {
    this.#claim(name);
    this.nodes.push(
      makeNode({ name: this.fresh(`${name}_identity`), op: 'Identity', inputs: [value], outputs: [name] }),
    );
    return name;
  }

  /** The graph built so far with these outputs. */
  graph(name: string, outputs: readonly (Value | string)[]): Graph {
    return makeGraph({
      name,
      inputs: this.inputs,
      outputs: outputs.map((output) =>
        typeof output === 'string' ? { name: output, type: this.types.get(output) } : output,
      ),
      nodes: this.nodes,
      initializers: this.initializers,
      types: this.types,
    });
  }

  #claim(name: string): void {
    if (this.#taken.has(name)) throw new InvalidGraphError(`the name '${name}' is already taken`);
    this.#taken.add(name);
  }
}

/** Every name in use in a graph: values and nodes, those of sub-graphs included (ONNX forbids shadowing them). */
export function namesOf(graph: Graph): Set<string> {
  const names = new Set<string>([...graph.inputs, ...graph.outputs].map((value) => value.name));
  for (const name of graph.initializers.keys()) names.add(name);
  for (const name of graph.sparseInitializers.keys()) names.add(name);
  for (const node of graph.nodes) {
    names.add(node.name);
    for (const output of node.outputs) names.add(output);
    for (const attribute of node.attributes.values())
      if (attribute.type === 'graph') for (const name of namesOf(attribute.value)) names.add(name);
      else if (attribute.type === 'graphs')
        for (const graph of attribute.value) for (const name of namesOf(graph)) names.add(name);
  }
  names.delete('');
  return names;
}

function toAttribute(value: AttributeInput): Attribute {
  if (value instanceof Tensor) return tensor(value);
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) throw new InvalidGraphError(`${value} is no integer: write float(${value})`);
    return int(value);
  }
  if (typeof value === 'bigint') return int(value);
  if (typeof value === 'string') return string(value);
  if (Array.isArray(value)) return ints(value as readonly (number | bigint)[]);
  return value as Attribute;
}
