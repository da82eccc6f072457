/** @file Which constants of a model are parameters, and what each is for. */
import { constantTensor, producersOf, sortNodes, type Graph, type Node, type Tensor } from '../ir/index.js';

/** `norm` covers the scales and biases of normalisation layers. Running averages are no parameters. */
export type ParameterRole = 'weight' | 'bias' | 'norm';

export interface Parameter {
  /** Name of the initializer, or of a Constant node's output. */
  readonly name: string;
  readonly role: ParameterRole;
  readonly value: Tensor;
  /** Names of the nodes that read it. */
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
  PRelu: { 1: 'bias' },
  LSTM: { 1: 'weight', 2: 'weight', 3: 'bias', 7: 'bias' },
  GRU: { 1: 'weight', 2: 'weight', 3: 'bias' },
  RNN: { 1: 'weight', 2: 'weight', 3: 'bias' },
  Gather: { 0: 'weight' },
};

/** Operators through which a parameter may reach its slot unchanged in content. */
const VIEWS = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/**
 * The trainable constants of a graph, each once, in the order of the nodes that read them: initializers and Constant
 * nodes alike, also behind Transpose, Reshape and the like. A constant of several elements that an Add or Mul applies
 * counts where a weighted layer lies upstream (a separate bias, a spelled-out normalisation); applied to the raw input it is
 * preprocessing. Only float32, float16, bfloat16 and float64 tensors count.
 */
export function parametersOf(graph: Graph): readonly Parameter[] {
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const producers = producersOf(graph);
  const found = new Map<string, { role: ParameterRole; value: Tensor; nodes: string[] }>();
  const weighted = new Set<string>();

  const constantOf = (name: string): Tensor | undefined => {
    const producer = producers.get(name);
    if (producer === undefined) return inputs.has(name) ? undefined : graph.initializers.get(name);
    return producer.op === 'Constant' && producer.domain === '' ? constantTensor(producer) : undefined;
  };
  const sourceOf = (name: string): string => {
    for (let producer = producers.get(name); producer && VIEWS.has(producer.op); producer = producers.get(name))
      name = producer.inputs[0]!;
    return name;
  };
  const note = (node: Node, input: string, role: ParameterRole): boolean => {
    const name = sourceOf(input);
    const value = constantOf(name);
    if (value === undefined || !['float32', 'float16', 'bfloat16', 'float64'].includes(value.dtype)) return false;
    const known = found.get(name);
    if (known === undefined) found.set(name, { role, value, nodes: [node.name] });
    else if (!known.nodes.includes(node.name)) known.nodes.push(node.name);
    return true;
  };

  for (const node of sortNodes(graph.nodes)) {
    if (node.domain !== '') continue;
    let carries = node.inputs.some((input) => weighted.has(input));
    const slots = SLOTS[node.op];
    if (slots)
      for (const [slot, role] of Object.entries(slots)) {
        const input = node.inputs[Number(slot)];
        if (input) carries = note(node, input, role) || carries;
      }
    else if (carries && (node.op === 'Add' || node.op === 'Mul'))
      for (const input of node.inputs) {
        const value = constantOf(sourceOf(input));
        if (value && value.size > 1) note(node, input, node.op === 'Add' ? 'bias' : 'norm');
      }
    if (carries) for (const output of node.outputs) weighted.add(output);
  }
  return [...found].map(([name, { role, value, nodes }]) => ({ name, role, value, nodes }));
}
