/** @file What a Scan or Loop gives in addition, so that its iterations can be run backwards. */
import {
  graph as graphAttribute,
  ints,
  readsOf,
  tensorType,
  type Attribute,
  type Dim,
  type Graph,
  type Node,
  type TensorType,
  type Value,
} from '../../ir/index.js';
import type { VjpContext } from '../record.js';
import type { Stack } from './control-flow-reverse.js';
import { copyNode, hasChanged, outputOf } from './control-flow-saved.js';

export interface KeepRequest {
  /** The body as it stands in the node, and as it has to be. */
  readonly before: Graph;
  readonly body: Graph;
  /** Number of carried values, and the position of the first among the body's outputs. */
  readonly carried: number;
  readonly atResult: number;
  /** Values of the body to give from every iteration. */
  readonly values: readonly string[];
  readonly type: (value: string) => TensorType;
  /** Number of iterations, where it is known. */
  readonly length: Dim;
  /** How the node's scan output `i`, of name `value`, is stacked. */
  readonly stackOf: (i: number, value: string) => Stack;
}

/**
 * Makes the forward node stack values of its body as further scan outputs; one that is a scan output already is found there.
 * Gives for each value its stack.
 */
export function keepStacks(c: VjpContext, request: KeepRequest): ReadonlyMap<string, Stack> {
  const { before, body, carried, atResult, values, type, stackOf } = request;
  const results = body.outputs.slice(atResult + carried).map(({ name }) => name);
  const stacks = new Map<string, Stack>();
  const outputs = Array.from({ length: carried + results.length }, (_, i) => c.node.outputs[i] ?? '');
  const nodes = [...restored(body, before, values)];
  const bodyOutputs: Value[] = [...body.outputs];
  const made = new Set(nodes.flatMap((node) => node.outputs));
  for (const { name } of bodyOutputs) made.delete(name);
  const types = new Map<string, TensorType>();
  for (const value of values) {
    const known = results.findIndex((name, i) => name === value && outputs[carried + i] !== '');
    if (known >= 0) {
      stacks.set(value, stackOf(known, outputs[carried + known]!));
      continue;
    }
    const slice = type(value);
    const stack = c.b.fresh(`${value}_stack`);
    if (made.has(value)) bodyOutputs.push(outputOf(value, slice));
    else {
      const copy = copyNode(c.b, value, `${value}_kept`);
      nodes.push(copy);
      bodyOutputs.push(outputOf(copy.outputs[0]!, slice));
    }
    outputs.push(stack);
    types.set(stack, tensorType(slice.dtype, [request.length, ...slice.shape!]));
    stacks.set(value, { value: stack, axis: 0, inOrder: true });
  }
  if (types.size === 0 && !hasChanged({ ...body, nodes }, before)) return stacks;
  const attributes = new Map(c.node.attributes);
  attributes.set('body', graphAttribute({ ...body, nodes, outputs: bodyOutputs }));
  for (const name of ['scan_output_axes', 'scan_output_directions']) {
    const given = attributes.get(name);
    if (given?.type === 'ints') attributes.set(name, grown(given, types.size));
  }
  // An engine tells what each output is from its position: none may be missing before the further ones.
  const named = outputs.map((output, i) => output || c.b.fresh(`${c.node.name}_out${i}`));
  c.replace(
    { ...c.node, outputs: types.size === 0 ? c.node.outputs : named, attributes },
    types,
    'stack what the backward pass reads of every iteration',
  );
  return stacks;
}

const grown = (attribute: Extract<Attribute, { type: 'ints' }>, count: number): Attribute =>
  ints([...attribute.value, ...new Array<bigint>(count).fill(0n)]);

/** Nodes without the further outputs that the backward pass turned out not to read from here: it computes them again. */
function restored(body: Graph, before: Graph, kept: readonly string[]): readonly Node[] {
  const originals = new Map(before.nodes.map((node) => [node.name, node]));
  const read = new Set([...kept, ...body.nodes.flatMap((node) => [...readsOf(node)])]);
  return body.nodes.flatMap((node) => {
    const original = originals.get(node.name);
    if (original === undefined) return node.outputs.some((output) => read.has(output)) ? [node] : [];
    const further = node.outputs.filter((output) => output !== '' && !original.outputs.includes(output));
    return further.some((output) => read.has(output)) ? [node] : [original];
  });
}
