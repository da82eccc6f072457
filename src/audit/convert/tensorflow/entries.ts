/** @file Where a TensorFlow graph is entered and left: a signature, or placeholders and nodes that nobody reads. */
import type { ProtoMessage } from '../../read/protobuf.js';
import type { TfNode } from '../../read/tf-attributes.js';
import { parsedInput } from '../../read/tf-walk.js';
import { noSignature } from '../emitter.js';

/** An entry: public names of placeholders and of values. */
export interface TfEntry {
  readonly name: string | undefined;
  readonly inputs: readonly { readonly name: string; readonly node: string }[];
  readonly outputs: readonly { readonly name: string; readonly value: string }[];
}

/** The wanted signature, `serving_default`, the first one with inputs; without any, the ends of the graph. */
export function readEntries(
  meta: ProtoMessage | undefined,
  nodes: readonly TfNode[],
  wanted: string | undefined,
): { readonly entry: TfEntry; readonly names: readonly string[] } {
  const entries = (meta?.messages(5) ?? []).map(signature).filter(({ outputs }) => outputs.length > 0);
  const usable = entries.filter(({ name }) => name !== '__saved_model_init_op');
  const names = usable.flatMap(({ name }) => name ?? []);
  if (wanted !== undefined) {
    const entry = usable.find(({ name }) => name === wanted);
    if (entry === undefined) throw noSignature(wanted, names);
    return { entry, names };
  }
  const entry = usable.find(({ name }) => name === 'serving_default') ?? usable.find(({ inputs }) => inputs.length > 0);
  return { entry: entry ?? ends(nodes), names };
}

/** A SignatureDef: names of arguments to names of values (`node:0`). */
function signature(each: ProtoMessage): TfEntry {
  const ends = (field: number): { name: string; value: string }[] =>
    (each.message(2)?.messages(field) ?? []).map((end) => ({
      name: end.string(1),
      value: end.message(2)?.string(1) ?? '',
    }));
  return {
    name: each.string(1),
    inputs: ends(1).map(({ name, value }) => ({ name, node: parsedInput(value).name })),
    outputs: ends(2),
  };
}

/** Nodes that stand for nothing to be computed. */
const ASIDE: ReadonlySet<string> = new Set([
  'NoOp',
  'Assert',
  'Const',
  'Placeholder',
  'VarHandleOp',
  'SaveV2',
  'MergeV2Checkpoints',
]);

function ends(nodes: readonly TfNode[]): TfEntry {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs.map((input) => parsedInput(input).name)));
  return {
    name: undefined,
    inputs: nodes.flatMap(({ op, name }) => (op === 'Placeholder' ? [{ name, node: name }] : [])),
    outputs: nodes.flatMap(({ op, name }) => (read.has(name) || ASIDE.has(op) ? [] : [{ name, value: `${name}:0` }])),
  };
}
