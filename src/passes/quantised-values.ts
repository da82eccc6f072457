/** @file Which integers of a graph stand for real numbers, so that gradients pass straight through them. */
import type { Node, ValueType } from '../ir/index.js';
import { opRecord } from '../ops/index.js';

const QUANTISES = new Set(['QuantizeLinear', 'DynamicQuantizeLinear']);

/** Operators whose gradient rules take such integers. */
const CARRIES = new Set([
  ...['DequantizeLinear', 'MatMulInteger', 'Cast', 'Identity', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'],
  'Transpose',
]);

/** Whether a node's gradient rule takes quantised inputs; others are refused rather than passed over. */
export function carriesQuantised(node: Node): boolean {
  return CARRIES.has(node.op);
}

/** Operators without a rule whose result is quantised all the same: a gradient that meets them must be refused by name. */
const isIntegerProduct = (node: Node): boolean => node.op.startsWith('QLinear') || node.op === 'ConvInteger';

/**
 * The integer values among `onPath` that quantised numbers flow into. Nodes must be topologically sorted. Indices and counts
 * (ArgMax, Shape) of quantised values are none.
 */
export function quantisedValues(
  nodes: readonly Node[],
  onPath: ReadonlySet<string>,
  types: ReadonlyMap<string, ValueType>,
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const node of nodes) {
    if (QUANTISES.has(node.op)) {
      const output = node.outputs[0]!;
      if (onPath.has(output)) found.add(output);
    } else if (node.inputs.some((input) => found.has(input))) {
      if (opRecord(node.op, node.domain).vjp === undefined && !isIntegerProduct(node)) continue;
      for (const output of node.outputs) {
        const type = types.get(output);
        if (onPath.has(output) && type?.kind === 'tensor' && /^u?int/.test(type.dtype)) found.add(output);
      }
    }
  }
  return found;
}
