/** @file Where samples lie in a model's inputs and outputs, and whether samples of several clients may share one run. */
import {
  intOf,
  requiredInputs,
  subgraphsOf,
  type Graph,
  type Model,
  type Node,
  type ValueType,
} from '../../ir/index.js';
// One rule for what counts as a batch axis, here and where finished samples leave a batch.
import { batchAxisOf } from '../../exits/dataflow.js';

/** The batch axes of a model. */
export interface BatchAxes {
  readonly symbol: string;
  readonly inputs: ReadonlyMap<string, number>;
  readonly outputs: ReadonlyMap<string, number>;
}

/** Operators whose result for one sample depends on the others of its batch, with the reason. */
const MIXES: Readonly<Record<string, string>> = {
  DynamicQuantizeLinear: 'its scale spans the batch',
  DynamicQuantizeLSTM: 'its scale spans the batch',
  DynamicQuantizeMatMul: 'its scale spans the batch',
  NonZero: 'it joins what it finds in all samples',
  Unique: 'it joins what it finds in all samples',
  Compress: 'it joins what it keeps of all samples',
  NonMaxSuppression: 'it joins what it keeps of all samples',
  If: 'one condition holds for the whole batch',
  Loop: 'one condition holds for the whole batch',
};

/**
 * The batch axes, or why there are none: every input and output must have one axis of the same symbol and otherwise fixed
 * or named sizes, and no operator may let samples see each other. Contract: graphs that reduce or normalise over the
 * batch by other operators on purpose must be served with a batch of 1.
 */
export function batchAxesOf(model: Model, types: ReadonlyMap<string, ValueType>): BatchAxes | string {
  const { graph } = model;
  const inputs = requiredInputs(graph);
  const first = inputs[0]?.type;
  const symbol = first?.kind === 'tensor' ? first.shape?.find((dim) => typeof dim === 'string') : undefined;
  if (symbol === undefined) return 'its first input has no axis of open size';
  const axes = (names: readonly string[]): ReadonlyMap<string, number> | string => {
    const found = new Map<string, number>();
    for (const name of names) {
      const type = types.get(name);
      const shape = type?.kind === 'tensor' ? type.shape : undefined;
      // The rule for crossing tensors wants all other sizes fixed; whole requests compare shapes anyway.
      const axis = batchAxisOf(type, symbol) ?? shape?.indexOf(symbol) ?? -1;
      if (axis < 0 || shape!.lastIndexOf(symbol) !== axis) return `'${name}' has no single axis '${symbol}'`;
      if (shape!.some((dim, at) => at !== axis && typeof dim === 'string' && dim.includes(symbol)))
        return `'${name}' depends on '${symbol}' in more than one axis`;
      found.set(name, axis);
    }
    return found;
  };
  const given = axes(inputs.map(({ name }) => name));
  if (typeof given === 'string') return given;
  const made = axes(graph.outputs.map(({ name }) => name));
  if (typeof made === 'string') return made;
  const mixing = mixingNode(graph);
  if (mixing !== undefined) return mixing;
  return { symbol, inputs: given, outputs: made };
}

function mixingNode(graph: Graph): string | undefined {
  for (const node of graph.nodes) {
    const why = MIXES[node.op] ?? (trainsOnBatch(node) ? 'it normalises over the batch' : undefined);
    if (why !== undefined) return `node '${node.name}' (${node.op}) mixes samples: ${why}`;
    for (const [, inner] of subgraphsOf(node)) {
      const found = mixingNode(inner);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

const trainsOnBatch = (node: Node): boolean =>
  node.op === 'BatchNormalization' && intOf(node, 'training_mode', 0) !== 0;
