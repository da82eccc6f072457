/** @file Which constants of a model are parameters, and what each is for. */
import {
  constantTensor,
  producersOf,
  readsOf,
  sortNodes,
  subgraphsOf,
  type DataType,
  type Graph,
  type Node,
  type Tensor,
} from '../ir/index.js';

/** `norm` covers the scales and biases of normalisation layers. Running averages are no parameters. */
export type ParameterRole = 'weight' | 'bias' | 'norm';

export interface Parameter {
  /** Name of the initializer, or of a Constant node's output; constants of sub-graphs go by their own name. */
  readonly name: string;
  readonly role: ParameterRole;
  readonly value: Tensor;
  /** Names of the nodes that read it; those in sub-graphs as `owner/name`. */
  readonly nodes: readonly string[];
}

/** Inputs that hold parameters, by operator. */
const SLOTS: Readonly<Record<string, Readonly<Record<number, ParameterRole>>>> = {
  Conv: { 1: 'weight', 2: 'bias' },
  ConvTranspose: { 1: 'weight', 2: 'bias' },
  Gemm: { 0: 'weight', 1: 'weight', 2: 'bias' },
  MatMul: { 0: 'weight', 1: 'weight' },
  Einsum: { 0: 'weight', 1: 'weight' },
  BatchNormalization: { 1: 'norm', 2: 'norm' },
  InstanceNormalization: { 1: 'norm', 2: 'norm' },
  LayerNormalization: { 1: 'norm', 2: 'norm' },
  GroupNormalization: { 1: 'norm', 2: 'norm' },
  RMSNormalization: { 1: 'norm' },
  SimplifiedLayerNormalization: { 1: 'norm' },
  PRelu: { 1: 'bias' },
  LSTM: { 1: 'weight', 2: 'weight', 3: 'bias', 7: 'bias' },
  GRU: { 1: 'weight', 2: 'weight', 3: 'bias' },
  RNN: { 1: 'weight', 2: 'weight', 3: 'bias' },
  Gather: { 0: 'weight' },
};

const FLOATS: ReadonlySet<DataType> = new Set<DataType>(['float32', 'float16', 'bfloat16', 'float64']);

/** Operators through which a parameter may reach its slot unchanged in content. */
const VIEWS = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/** Operators that join or cut constants on the way to a slot: exporters put gates of recurrent layers in order with them. */
const PARTS: Readonly<Record<string, 'first' | 'all'>> = { Slice: 'first', Split: 'first', Concat: 'all' };

/**
 * The trainable constants of a graph, each once, in the order of the nodes that read them: initializers and Constant
 * nodes alike, also behind Transpose, Reshape and the like, in sub-graphs as well as around them. A constant of several
 * elements that an Add or Mul applies counts where a weighted layer lies upstream (a separate bias, a spelled-out normalisation);
 * applied to the raw input it is preprocessing. Only float32, float16, bfloat16 and float64 tensors count.
 */
export function parametersOf(graph: Graph): readonly Parameter[] {
  const graphs = [graph, ...subgraphsWithin(graph)];
  const inputs = new Set(graphs.flatMap((each) => each.inputs.map((input) => input.name)));
  const producers = new Map(graphs.flatMap((each) => [...producersOf(each)]));
  const initializers = new Map(graphs.flatMap((each) => [...each.initializers]));
  const found = new Map<string, { role: ParameterRole; value: Tensor; nodes: string[] }>();
  const weighted = new Set<string>();

  const constantOf = (name: string): Tensor | undefined => {
    const producer = producers.get(name);
    if (producer === undefined) return inputs.has(name) ? undefined : initializers.get(name);
    return producer.op === 'Constant' && producer.domain === '' ? constantTensor(producer) : undefined;
  };
  const sources = new Map<string, readonly string[]>();
  /** The constants that a value is made of; none where anything else is in it. */
  const sourcesOf = (name: string): readonly string[] => {
    const known = sources.get(name);
    if (known !== undefined) return known;
    const made = partsOf(name);
    sources.set(name, made);
    return made;
  };
  const partsOf = (name: string): readonly string[] => {
    const producer = producers.get(name);
    if (producer === undefined || producer.op === 'Constant') return constantOf(name) === undefined ? [] : [name];
    if (VIEWS.has(producer.op) || PARTS[producer.op] === 'first') return sourcesOf(producer.inputs[0]!);
    if (PARTS[producer.op] !== 'all') return [];
    const parts = producer.inputs.map(sourcesOf);
    return parts.some((part) => part.length === 0) ? [] : [...new Set(parts.flat())];
  };
  const note = (path: string, input: string, role: ParameterRole): boolean => {
    let noted = false;
    for (const name of sourcesOf(input)) {
      const value = constantOf(name)!;
      if (!FLOATS.has(value.dtype)) continue;
      noted = true;
      const known = found.get(name);
      if (known === undefined) found.set(name, { role, value, nodes: [path] });
      else if (!known.nodes.includes(path)) known.nodes.push(path);
    }
    return noted;
  };

  const visit = (node: Node, path: string): void => {
    let carries = [...readsOf(node)].some((input) => weighted.has(input));
    for (const [, inner] of subgraphsOf(node)) {
      if (node.inputs.some((input) => weighted.has(input))) for (const { name } of inner.inputs) weighted.add(name);
      for (const each of sortNodes(inner.nodes)) visit(each, `${path}${node.name}/`);
      if (inner.outputs.some(({ name }) => weighted.has(name))) carries = true;
    }
    const slots = node.domain === '' ? SLOTS[node.op] : undefined;
    if (slots) {
      for (const [slot, role] of Object.entries(slots)) {
        const input = node.inputs[Number(slot)];
        if (input) carries = note(path + node.name, input, role) || carries;
      }
    } else if (carries && node.domain === '' && (node.op === 'Add' || node.op === 'Mul'))
      for (const input of node.inputs)
        if (sourcesOf(input).some((name) => constantOf(name)!.size > 1))
          note(path + node.name, input, node.op === 'Add' ? 'bias' : 'norm');
    if (carries) for (const output of node.outputs) weighted.add(output);
  };
  for (const node of sortNodes(graph.nodes)) visit(node, '');
  return [...found].map(([name, { role, value, nodes }]) => ({ name, role, value, nodes }));
}

/** Every sub-graph in a graph, at any depth. */
function subgraphsWithin(graph: Graph): readonly Graph[] {
  return graph.nodes.flatMap((node) => subgraphsOf(node).flatMap(([, inner]) => [inner, ...subgraphsWithin(inner)]));
}
