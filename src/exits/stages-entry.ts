/** @file Lets a residual sum at the start of a stage be fused into its convolution, as it is in the uncut network. */
import { ints, makeNode, staticShape, type GraphBuilder, type Node, type ValueType } from '../ir/index.js';

/** Operators that ONNX Runtime computes in its blocked layout only where every operand is in that layout. */
const JOINS: ReadonlySet<string> = new Set(['Add', 'Sum', 'Mul', 'Concat']);

/**
 * ONNX Runtime's CPU kernels keep feature maps in a blocked layout (NCHWc) and fuse `Conv → Add → Relu` there, but a tensor
 * that enters a graph is in plain layout: the first residual sum after a cut would stay plain, and with it every later one
 * of the same width. A 1×1 max pool, which changes no number, brings such a tensor into the blocked layout. (Measured on
 * ResNet-56 cut at three exits: 9 % of the whole run time.)
 * Returns `nodes` where no entering value needs it. `entering`: values that come from outside.
 */
export function enterBlocked(
  nodes: readonly Node[],
  entering: Iterable<string>,
  types: ReadonlyMap<string, ValueType>,
  b: GraphBuilder,
): readonly Node[] {
  const pooled = new Map<string, string>();
  const inserted: Node[] = [];
  for (const value of entering) {
    const joins = nodes.some((node) => JOINS.has(node.op) && node.domain === '' && node.inputs.includes(value));
    const convolves = nodes.some((node) => node.op === 'Conv' && node.domain === '');
    if (!joins || !convolves || !isBlockable(types.get(value))) continue;
    const output = b.fresh(`${value}/entered`);
    pooled.set(value, output);
    inserted.push(
      makeNode({
        name: b.fresh(`${value}/enter`),
        op: 'MaxPool',
        inputs: [value],
        outputs: [output],
        attributes: new Map([['kernel_shape', ints([1, 1])]]),
      }),
    );
  }
  if (inserted.length === 0) return nodes;
  const rewired = nodes.map((node) =>
    node.inputs.some((input) => pooled.has(input))
      ? { ...node, inputs: node.inputs.map((input) => pooled.get(input) ?? input) }
      : node,
  );
  return [...inserted, ...rewired];
}

/** A float32 feature map whose channels fill whole blocks (8 or 16 of them). */
function isBlockable(type: ValueType | undefined): boolean {
  if (type?.kind !== 'tensor' || type.dtype !== 'float32' || type.shape?.length !== 4) return false;
  const channels = staticShape(type.shape.slice(1))?.[0];
  return channels !== undefined && channels % 8 === 0;
}
