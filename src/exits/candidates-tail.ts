/** @file Where a layer's result is complete: after the element-wise operators that belong to it. */
import { consumersOf, type Graph, type Node, type TensorType, type ValueType } from '../ir/index.js';

/** Operators that a value runs through without leaving its position: normalisation, activation, arithmetic, no-ops. */
const ELEMENTWISE: ReadonlySet<string> = new Set([
  ...['BatchNormalization', 'InstanceNormalization', 'GroupNormalization', 'LayerNormalization', 'LRN'],
  ...['Relu', 'LeakyRelu', 'PRelu', 'Elu', 'Selu', 'Celu', 'ThresholdedRelu', 'Clip', 'Gelu', 'Mish', 'Softplus'],
  ...[
    'Softsign',
    'Sigmoid',
    'HardSigmoid',
    'HardSwish',
    'Tanh',
    'Erf',
    'Exp',
    'Abs',
    'Neg',
    'Sqrt',
    'Pow',
    'Min',
    'Max',
  ],
  ...['Add', 'Sub', 'Mul', 'Div', 'Sum', 'Identity', 'Dropout', 'Cast', 'QuantizeLinear', 'DequantizeLinear'],
]);

/** Operators that bring branches together; the result belongs to the position at the end of the longest branch. */
const JOINS: ReadonlySet<string> = new Set(['Add', 'Sum', 'Mul', 'Concat', 'Max']);

/** Recurrent layers: their result is complete in their last state. */
export function isRecurrent(node: Node): boolean {
  return node.domain === '' && (node.op === 'LSTM' || node.op === 'GRU' || node.op === 'RNN');
}

/** True for operators that make a new feature map, state or sequence of tokens: the positions where an exit may hang. */
export function isPosition(node: Node, types: ReadonlyMap<string, ValueType>): boolean {
  if (node.domain !== '') return false;
  switch (node.op) {
    case 'Conv':
    case 'MaxPool':
    case 'AveragePool':
    case 'LpPool':
    case 'GlobalAveragePool':
    case 'GlobalMaxPool':
    case 'GlobalLpPool':
    case 'LSTM':
    case 'GRU':
    case 'RNN':
      return true;
    case 'MatMul':
      // A linear layer on tokens: [batch, T, C] times weights, not the products of attention, which are one axis longer.
      return tensorTypeOf(types.get(node.outputs[0]!))?.shape?.length === 3;
    case 'ReduceMean':
    case 'ReduceMax': {
      // A global pool as PyTorch writes `x.mean([2, 3])`: a map goes in, one number per channel comes out.
      const from = tensorTypeOf(types.get(node.inputs[0]!))?.shape;
      const to = tensorTypeOf(types.get(node.outputs[0]!))?.shape;
      if (from?.length !== 4 || to === undefined || to[0] !== from[0] || to[1] !== from[1]) return false;
      return to.length === 2 || (to.length === 4 && to[2] === 1 && to[3] === 1);
    }
    default:
      return false;
  }
}

/**
 * For each position of a graph, the value where its tail ends: normalisation and activation included, and the Add or
 * Concat of the block that it closes. `nodes` are the graph's, in topological order.
 */
export function tailsOf(
  graph: Graph,
  nodes: readonly Node[],
  types: ReadonlyMap<string, ValueType>,
  constants: ReadonlySet<string>,
): ReadonlyMap<Node, string> {
  const order = new Map(nodes.map((node, index) => [node, index]));
  const consumers = consumersOf(graph);
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const depth = depthsOf(nodes, types);

  /** Whether a tail that brought `own` to a join may pass it: no other operand lies behind a longer or later branch. */
  const owns = (node: Node, region: ReadonlySet<string>): boolean => {
    const rank = (value: string): number =>
      (depth.get(value)?.positions ?? 0) * nodes.length + (depth.get(value)?.at ?? 0);
    const operands = node.inputs.filter((input) => input !== '' && !constants.has(input));
    const own = Math.max(...operands.filter((input) => region.has(input)).map(rank));
    return operands.every((input) => region.has(input) || rank(input) < own);
  };

  const extend = (start: string): string => {
    const region = new Set([start]);
    // Values of the region that some node outside it still has to read.
    let end = start;
    const waiting: Node[] = [];
    const visit = (value: string): void => {
      for (const node of consumers.get(value) ?? []) if (!waiting.includes(node)) waiting.push(node);
    };
    visit(start);
    const pending = new Map([[start, (consumers.get(start) ?? []).length]]);
    while (waiting.length > 0) {
      // The region grows in topological order; it ends for good at the first reader that is not element-wise.
      waiting.sort((a, b) => order.get(a)! - order.get(b)!);
      const node = waiting.shift()!;
      if (!passes(node, region, constants, owns)) return end;
      const output = node.outputs[0]!;
      for (const input of new Set(node.inputs))
        if (pending.has(input)) {
          pending.set(input, pending.get(input)! - 1);
          if (outputs.has(input)) return end;
        }
      region.add(output);
      pending.set(output, (consumers.get(output) ?? []).length);
      visit(output);
      // A single value that is still read means that everything after it depends on this value alone.
      const open = [...pending].filter(([value, count]) => count > 0 || value === output);
      if (open.length === 1 && open[0]![0] === output) end = output;
    }
    return end;
  };

  return new Map(
    nodes
      .filter((node) => isPosition(node, types))
      .map((node) => [node, isRecurrent(node) ? node.outputs[1]! : extend(node.outputs[0]!)] as const),
  );
}

function passes(
  node: Node,
  region: ReadonlySet<string>,
  constants: ReadonlySet<string>,
  owns: (node: Node, region: ReadonlySet<string>) => boolean,
): boolean {
  if (node.domain !== '' && node.domain !== 'com.microsoft') return false;
  const foreign = node.inputs.some((input) => input !== '' && !region.has(input) && !constants.has(input));
  if (foreign) return JOINS.has(node.op) && owns(node, region);
  return ELEMENTWISE.has(node.op);
}

interface Depth {
  /** Positions on the longest path from the input. */
  readonly positions: number;
  /** Index of the last position on that path. */
  readonly at: number;
}

function depthsOf(nodes: readonly Node[], types: ReadonlyMap<string, ValueType>): ReadonlyMap<string, Depth> {
  const depths = new Map<string, Depth>();
  nodes.forEach((node, index) => {
    let deepest: Depth = { positions: 0, at: 0 };
    for (const input of node.inputs) {
      const depth = depths.get(input);
      if (depth === undefined) continue;
      if (depth.positions > deepest.positions || (depth.positions === deepest.positions && depth.at > deepest.at))
        deepest = depth;
    }
    if (isPosition(node, types)) deepest = { positions: deepest.positions + 1, at: index };
    for (const output of node.outputs) if (output !== '') depths.set(output, deepest);
  });
  return depths;
}

function tensorTypeOf(type: ValueType | undefined): TensorType | undefined {
  return type?.kind === 'tensor' ? type : undefined;
}
