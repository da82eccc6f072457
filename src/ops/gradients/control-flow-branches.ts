/** @file Gradient of If: the branch that was taken is walked backwards, in an If on the same condition. */
import {
  graph as graphAttribute,
  graphOf,
  makeGraph,
  tensorType,
  type Attribute,
  type Graph,
  type Node,
  type TensorType,
  type Value,
} from '../../ir/index.js';
import type { SubgraphGradients, VjpContext, VjpRule } from '../record.js';
import {
  backwardOf,
  copyNode,
  hasChanged,
  inside,
  openDims,
  outputOf,
  placeholder,
  rewired,
  zerosOf,
  type Backward,
} from './control-flow-saved.js';

const BRANCHES = ['then_branch', 'else_branch'] as const;

/**
 * If-16: the backward If gives the gradient of every captured value that either branch depends on, zeros where the taken one does not. What
 * a branch's backward part reads of its forward part becomes a further output of the forward If; the other branch gives an empty tensor there.
 * Nothing is computed twice, and nothing of the branch that is not taken.
 */
export const ifGradient: VjpRule = (c) => {
  const walked = BRANCHES.map((name) => {
    const graph = graphOf(c.node, name) ?? c.refuse(`its ${name} is missing`);
    const b = c.b.nested();
    return { b, result: c.differentiate(graph, { b, seeds: c.grads, inputs: [] }) };
  });
  const wanted = [...new Set(walked.flatMap(({ result }) => [...result.gradients.keys()]))];
  if (wanted.length === 0) return [];

  const parts = walked.map(({ b, result }) => {
    const outputs = wanted.map((value) => gradientIn(inside(c, b), result, value));
    return { b, outputs, backward: backwardOf(result, b) };
  });
  const saved = save(
    c,
    parts.map(({ backward }) => backward),
  );
  const attributes = parts.map(({ outputs, b }, index): [string, Attribute] => [
    BRANCHES[index]!,
    graphAttribute(
      makeGraph({
        name: `${c.node.name}_${BRANCHES[index]!}_grad`,
        nodes: rewired(b, saved[index]!),
        initializers: b.initializers,
        outputs: outputs.map((name, at) => outputOf(name, c.type(wanted[at]!))),
      }),
    ),
  ]);
  const gradients = c.b.ops('If', [c.inputs[0]], Object.fromEntries(attributes), {
    outputs: wanted.length,
    name: 'grad_if',
  });
  wanted.forEach((value, index) => c.contribute(value, gradients[index]!));
  return [];
};

/** The gradient of a captured value as something that the branch itself makes. */
function gradientIn(c: VjpContext, result: SubgraphGradients, value: string): string {
  const gradient = result.gradients.get(value);
  if (gradient === undefined) return zerosOf(c, c.type(value), value);
  return c.b.op('Identity', [gradient], {}, { name: 'grad_branch' });
}

/**
 * Adds what the backward branches read to the forward If's outputs. Gives for each branch the names under which its forward values
 * are found outside.
 */
function save(c: VjpContext, branches: readonly Backward[]): readonly ReadonlyMap<string, string>[] {
  const types = new Map<string, TensorType>();
  const outputs = [...c.node.outputs];
  const graphs = branches.map(({ forward }) => ({
    nodes: [...forward.nodes] as Node[],
    outputs: [...forward.outputs] as Value[],
  }));
  let changed = false;
  const found = branches.map(({ forward, reads, type }, index) => {
    const names = new Map<string, string>();
    for (const value of reads) {
      const position = forward.outputs.findIndex(({ name }) => name === value);
      if (position >= 0 && outputs[position]) {
        names.set(value, outputs[position]);
        continue;
      }
      const { dtype, shape = [] } = type(value);
      const name = c.b.fresh(`${value}_saved`);
      names.set(value, name);
      types.set(
        name,
        tensorType(
          dtype,
          shape.map(() => null),
        ),
      );
      outputs.push(name);
      changed = true;
      graphs.forEach((graph, other) => {
        if (other === index)
          graph.outputs.push(outputOf(ownOutput(graph, value, c), tensorType(dtype, openDims(shape))));
        else {
          const b = c.b.nested();
          const empty = placeholder(b, { kind: 'tensor', dtype, shape });
          graph.nodes.push(...b.nodes);
          graph.outputs.push({ name: empty, type: undefined });
        }
      });
    }
    return names;
  });
  if (changed || branches.some(({ forward }, index) => hasChanged(forward, graphOf(c.node, BRANCHES[index]!)!))) {
    const attributes = new Map(c.node.attributes);
    branches.forEach(({ forward }, index) => {
      const graph: Graph = { ...forward, ...graphs[index]! };
      attributes.set(BRANCHES[index]!, graphAttribute(graph));
    });
    c.replace({ ...c.node, outputs, attributes }, types, 'keep what the backward branches read of the forward ones');
  }
  return found;
}

/** A value as an output of a branch; one that stands among the outputs already (unnamed outside) is copied. */
function ownOutput(
  graph: { readonly nodes: Node[]; readonly outputs: readonly Value[] },
  value: string,
  c: VjpContext,
): string {
  if (!graph.outputs.some(({ name }) => name === value)) return value;
  const copy = copyNode(c.b, value, `${value}_kept`);
  graph.nodes.push(copy);
  return copy.outputs[0]!;
}
