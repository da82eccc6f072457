/** @file What each layer of a profile has to do: arithmetic, and the bytes that it must read and write at least once. */
import { byteLength, readsOf, sizeOf, staticShape, type Model, type ValueType } from '../ir/index.js';
import { bindDims, costOf, inferShapes } from '../passes/index.js';
import type { Work } from './roofline.js';

/** The work of one layer, its fused members included. */
export interface LayerWork extends Work {
  readonly macs: number;
  readonly params: number;
  /** Bytes of the layer's outputs. */
  readonly activationBytes: number;
}

/** Nodes that one kernel computes; `name` is the node that the kernel is about. */
export interface LayerGroup {
  readonly name: string;
  readonly op: string;
  /** `name` included; that node alone where omitted. */
  readonly members?: readonly string[] | undefined;
}

/** Multiply and add. */
const FLOPS_PER_MAC = 2;

/**
 * The work of every layer of a profile of this model, in the profile's order. What stays inside a fused layer moves no bytes;
 * a weight counts where it is read. Layers of operators without cost rule, and values of unknown size, count as 0.
 * `dims`: the sizes that the inputs had, as the profile states them. Throws what shape inference throws.
 */
export function layerWork(
  model: Model,
  {
    layers,
    inputs,
  }: { readonly layers: readonly LayerGroup[]; readonly inputs: Readonly<Record<string, readonly number[]>> },
): readonly LayerWork[] {
  const { model: bound } = bindDims(model, symbolsFrom(model, inputs));
  const { graph } = bound;
  const { types } = inferShapes(bound, { unknownOps: 'skip' });
  const costs = new Map(costOf(bound, { unknownOps: 'skip' }).nodes.map((cost) => [cost.name, cost]));
  const nodes = new Map(graph.nodes.map((node) => [node.name, node]));
  const readers = new Map<string, Set<string>>();
  for (const node of graph.nodes)
    for (const name of readsOf(node)) {
      const known = readers.get(name);
      if (known) known.add(node.name);
      else readers.set(name, new Set([node.name]));
    }
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const bytesOf = (name: string): number => {
    const weight = graph.initializers.get(name);
    return weight ? weight.bytes.length : typeBytes(types.get(name));
  };

  return layers.map((layer) => {
    const members = new Set(membersOf(layer));
    const made = new Set<string>();
    const read = new Set<string>();
    let [macs, flops, params] = [0, 0, 0];
    for (const name of members) {
      const [node, cost] = [nodes.get(name), costs.get(name)];
      macs += cost?.macs ?? 0;
      flops += cost?.flops ?? 0;
      params += cost?.params ?? 0;
      if (node === undefined) continue;
      for (const input of readsOf(node)) if (input !== '') read.add(input);
      for (const output of node.outputs) if (output !== '') made.add(output);
    }
    const leaves = (name: string): boolean =>
      outputs.has(name) || [...(readers.get(name) ?? [])].some((reader) => !members.has(reader));
    const sum = (names: Iterable<string>): number => [...names].reduce((total, name) => total + bytesOf(name), 0);
    const activationBytes = sum([...made].filter(leaves));
    const readBytes = sum([...read].filter((name) => !made.has(name)));
    return {
      ...{ macs, params, activationBytes },
      flops: FLOPS_PER_MAC * macs + flops,
      bytes: activationBytes + readBytes,
    };
  });
}

function membersOf({ name, members }: LayerGroup): readonly string[] {
  return members ?? [name];
}

function typeBytes(type: ValueType | undefined): number {
  const dims = type?.kind === 'tensor' ? staticShape(type.shape) : undefined;
  return type?.kind === 'tensor' && dims ? byteLength(type.dtype, sizeOf(dims)) : 0;
}

/** Sizes of symbolic dims, read off the sizes that the inputs had. */
export function symbolsFrom(
  { graph }: Model,
  inputs: Readonly<Record<string, readonly number[]>>,
): Record<string, number> {
  const symbols: Record<string, number> = {};
  for (const { name, type } of graph.inputs) {
    const dims = inputs[name];
    if (type?.kind !== 'tensor' || dims === undefined) continue;
    type.shape?.forEach((dim, axis) => {
      if (typeof dim === 'string' && dims[axis] !== undefined) symbols[dim] = dims[axis];
    });
  }
  return symbols;
}
