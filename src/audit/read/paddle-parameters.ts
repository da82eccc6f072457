/** @file PaddlePaddle's parameters in one file (`.pdiparams`, `__params__`): tensors one after another, without names. */
import { bitsOf } from './assemble.js';
import type { ReadBudget } from './limits.js';
import { paddleTypes } from './paddle-types.js';
import { ProtoMessage } from './protobuf.js';
import { elementsOf } from './shape-rules.js';
import type { GraphConstant } from './value-graph.js';

/**
 * Reads the tensors for `names`, which are in the file's order: each a version, levels, a description, the numbers.
 * Throws AuditError where the file ends early or holds another number of tensors.
 */
export function paddleParameters(
  bytes: Uint8Array,
  names: readonly string[],
  budget: ReadBudget,
): ReadonlyMap<string, GraphConstant> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const skip = (length: number): number => {
    if (!(length <= bytes.length - at)) throw budget.invalid('truncated', 'its parameters end early');
    at += length;
    return at - length;
  };
  const found = new Map<string, GraphConstant>();
  for (const name of names) {
    budget.spend(1);
    if (view.getUint32(skip(4), true) !== 0) throw budget.invalid('parameter', `'${name}' is of another version`);
    const levels = Number(view.getBigUint64(skip(8), true));
    budget.spend(levels);
    for (let i = 0; i < levels; i++) skip(Number(view.getBigUint64(skip(8), true)));
    skip(4);
    const length = view.getInt32(skip(4), true);
    if (length < 0) throw budget.invalid('parameter', `'${name}' has a description of ${length} bytes`);
    const from = skip(length);
    const description = new ProtoMessage(bytes.subarray(from, from + length), budget);
    const dtype = paddleTypes[description.int(1)];
    const shape = budget.dims(description.ints(2));
    if (dtype === undefined || shape.some((dim) => dim < 0))
      throw budget.invalid('parameter', `'${name}' is no tensor`);
    const size = (elementsOf(shape) * bitsOf(dtype)) / 8;
    const data = skip(size);
    found.set(name, { shape, dtype, bytes: bytes.subarray(data, data + size) });
  }
  if (at !== bytes.length) throw budget.invalid('parameter', 'its parameters belong to another program');
  return found;
}
