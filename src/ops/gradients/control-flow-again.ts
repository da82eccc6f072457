/** @file What the backward pass computes a second time rather than have it stacked by every iteration. */
import {
  makeNode,
  readsOf,
  rewireNode,
  sortNodes,
  subgraphsOf,
  type Graph,
  type GraphBuilder,
  type Node,
} from '../../ir/index.js';
import { namesIn } from './control-flow-saved.js';

/** Operators whose repeated evaluation gives another value. */
const RANDOM = /^(Random|Multinomial$|Bernoulli$|Dropout$)/;

function isRandom(node: Node): boolean {
  return RANDOM.test(node.op) || subgraphsOf(node).some(([, graph]) => graph.nodes.some(isRandom));
}

/**
 * The nodes of a body whose values no iteration changes. They can be computed once more outside of it. Nodes with sub-graphs do not count.
 */
export function invariantNodes(body: Graph): ReadonlyMap<string, Node> {
  const varying = namesIn(body);
  const makers = new Map<string, Node>();
  for (const node of sortNodes(body.nodes)) {
    if (subgraphsOf(node).length > 0 || isRandom(node) || [...readsOf(node)].some((name) => varying.has(name)))
      continue;
    for (const output of node.outputs) {
      varying.delete(output);
      if (output !== '') makers.set(output, node);
    }
  }
  return makers;
}

/** The node of a body that makes each value, where it gives the same again when it is run again. */
export function repeatableNodes(body: Graph): ReadonlyMap<string, Node> {
  const makers = new Map<string, Node>();
  for (const node of body.nodes)
    if (!isRandom(node)) for (const output of node.outputs) if (output !== '') makers.set(output, node);
  return makers;
}

/**
 * Copies the nodes that make a value into `b`, in front of what is there. `find` gives the place of a value that need not be computed again. Values
 * that neither has go by their own name.
 */
export function copiesInto(
  b: GraphBuilder,
  makers: ReadonlyMap<string, Node>,
  find: (value: string) => string | undefined,
): (value: string) => string {
  const copies = new Map<string, string>();
  const placeOf = (value: string): string => {
    const known = copies.get(value) ?? find(value);
    if (known !== undefined) return known;
    const maker = makers.get(value);
    if (maker === undefined) return value;
    const places = new Map([...readsOf(maker)].map((name) => [name, placeOf(name)]));
    const outputs = maker.outputs.map((output) => output && b.fresh(`${output}_again`));
    maker.outputs.forEach((output, i) => output && copies.set(output, outputs[i]!));
    b.nodes.push(makeNode({ ...rewireNode(maker, places), name: b.fresh(`${maker.name}_again`), outputs }));
    return copies.get(value)!;
  };
  return placeOf;
}
