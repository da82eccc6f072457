/** @file Which variable of a graph holds which tensor of its checkpoint: the graph's own restoring nodes say so. */
import type { Tensor } from '../../../ir/index.js';
import type { TfNode } from '../../read/tf-attributes.js';
import { parsedInput, type TfFunction } from '../../read/tf-walk.js';

/**
 * Tensors by the name of the node that makes the variable (VarHandleOp, VariableV2). Follows RestoreV2 through AssignVariableOp or Assign,
 * in the main graph or in the function that restores; where that says nothing, a tensor of the variable's own name.
 */
export function restoredVariables(
  nodes: readonly TfNode[],
  functions: ReadonlyMap<string, TfFunction>,
  stored: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, Tensor> {
  const found = new Map<string, Tensor>();
  follow(nodes, (name) => name, stored, found);
  for (const node of nodes) {
    const fn = node.op === 'StatefulPartitionedCall' ? functions.get(node.attributes.callee('f')) : undefined;
    if (!fn?.nodes.some(({ op }) => op === 'RestoreV2')) continue;
    const given = node.inputs.filter((input) => !input.startsWith('^')).map((input) => parsedInput(input).name);
    follow(fn.nodes, (name) => given[fn.args.indexOf(name)], stored, found);
  }
  for (const { op, name, attributes } of nodes) {
    if (!/^(VarHandleOp|Variable(V2)?)$/.test(op) || found.has(name)) continue;
    const tensor = stored.get(attributes.text('shared_name')) ?? stored.get(name);
    if (tensor) found.set(name, tensor);
  }
  return found;
}

/** One graph's restoring nodes. `variableOf` says which node of the main graph a name stands for. */
function follow(
  nodes: readonly TfNode[],
  variableOf: (name: string) => string | undefined,
  stored: ReadonlyMap<string, Tensor>,
  found: Map<string, Tensor>,
): void {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  for (const node of nodes) {
    if (!/^Assign(VariableOp)?$/.test(node.op) || node.inputs.length < 2) continue;
    let source = node.inputs[1]!;
    for (let hops = 0; byName.get(parsedInput(source).name)?.op === 'Identity' && hops < 8; hops++)
      source = byName.get(parsedInput(source).name)!.inputs[0]!;
    const restore = byName.get(parsedInput(source).name);
    if (restore?.op !== 'RestoreV2') continue;
    const names = byName.get(parsedInput(restore.inputs[1]!).name)?.attributes.tensor('value')?.strings?.() ?? [];
    const tensor = stored.get(names[parsedInput(source).output] ?? '');
    const variable = variableOf(parsedInput(node.inputs[0]!).name);
    if (tensor && variable !== undefined) found.set(variable, tensor);
  }
}
