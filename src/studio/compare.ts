/** @file Two models side by side: what they cost, which operators they are made of, how far their weights lie apart. */
import { constantTensor, dataTypes, type Model, type Tensor } from '../ir/index.js';
import { costOf, inlineFunctions } from '../passes/index.js';
import type { ComparedWeight, CompareView, ModelSummary } from './messages.js';

/** Weights that are listed; those that differ most come first. */
const MAX_LISTED = 400;

/** Compares two models. Operators without rules cost nothing. */
export function compareModels(a: Model, b: Model): CompareView {
  const weights = compareWeights(weightsByName(a), weightsByName(b));
  const operators = new Map<string, { a: number; b: number }>();
  for (const [side, model] of [
    ['a', a],
    ['b', b],
  ] as const)
    for (const { op } of inlineFunctions(model).model.graph.nodes) {
      const row = operators.get(op) ?? { a: 0, b: 0 };
      row[side]++;
      operators.set(op, row);
    }
  const count = (status: ComparedWeight['status']): number => weights.filter((one) => one.status === status).length;
  return {
    a: summaryOf(a),
    b: summaryOf(b),
    operators: [...operators]
      .map(([op, counts]) => ({ op, ...counts }))
      .sort((x, y) => y.a + y.b - (x.a + x.b) || (x.op < y.op ? -1 : 1)),
    nodes: compareNodes(a, b),
    weights: weights.slice(0, MAX_LISTED),
    totals: {
      equal: count('equal'),
      changed: count('changed'),
      reshaped: count('reshaped'),
      onlyA: count('only-a'),
      onlyB: count('only-b'),
    },
  };
}

function summaryOf(model: Model): ModelSummary {
  const { total } = costOf(inlineFunctions(model).model, { unknownOps: 'skip' });
  return {
    nodes: model.graph.nodes.length,
    params: total.params,
    macs: total.macs,
    paramBytes: total.paramBytes,
    peakActivationBytes: total.peakActivationBytes,
  };
}

/** Nodes are the same where they have one name and one operator. */
function compareNodes(a: Model, b: Model): CompareView['nodes'] {
  const keys = (model: Model): ReadonlyMap<string, string> =>
    new Map(model.graph.nodes.map(({ name, op }) => [`${name} ${op}`, name]));
  const [inA, inB] = [keys(a), keys(b)];
  const missing = (from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): readonly string[] =>
    [...from].filter(([key]) => !to.has(key)).map(([key]) => key);
  const [onlyA, onlyB] = [missing(inA, inB), missing(inB, inA)];
  return {
    shared: inA.size - onlyA.length,
    onlyA: onlyA.slice(0, MAX_LISTED),
    onlyB: onlyB.slice(0, MAX_LISTED),
  };
}

/** Initializers of the main graph, and tensors of Constant nodes: weights stand in either. */
function weightsByName({ graph }: Model): ReadonlyMap<string, Tensor> {
  const found = new Map(graph.initializers);
  for (const node of graph.nodes) {
    const value = node.op === 'Constant' ? constantTensor(node) : undefined;
    if (value !== undefined) found.set(node.outputs[0]!, value);
  }
  return found;
}

function compareWeights(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): readonly ComparedWeight[] {
  const rows = [...new Set([...a.keys(), ...b.keys()])].map((name): ComparedWeight => {
    const [x, y] = [a.get(name), b.get(name)];
    const shape = shapeOf((x ?? y)!);
    if (y === undefined) return { name, shape, status: 'only-a' };
    if (x === undefined) return { name, shape, status: 'only-b' };
    if (x.dtype !== y.dtype || shapeOf(x) !== shapeOf(y))
      return { name, shape: `${shapeOf(x)} → ${shapeOf(y)}`, status: 'reshaped' };
    if (sameBytes(x.bytes, y.bytes)) return { name, shape, status: 'equal', distance: 0 };
    return { name, shape, status: 'changed', ...distance(x, y) };
  });
  const order: readonly ComparedWeight['status'][] = ['changed', 'reshaped', 'only-a', 'only-b', 'equal'];
  return rows.sort((x, y) => order.indexOf(x.status) - order.indexOf(y.status) || size(y) - size(x));
}

/** For sorting: what cannot be measured counts as most. */
const size = ({ distance: value }: ComparedWeight): number => value ?? Number.MAX_VALUE;

const shapeOf = ({ dtype, dims }: Tensor): string => `${dtype}[${dims.join(', ')}]`;

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** ‖a − b‖ / ‖a‖, for element types that are plain numbers. */
function distance(a: Tensor, b: Tensor): { readonly distance?: number | null } {
  const { kind, bits } = dataTypes[a.dtype];
  if (kind === 'string' || kind === 'complex' || bits < 8 || (kind === 'float' && bits < 32)) return {};
  const [x, y] = [a.numbers(), b.numbers()];
  let difference = 0;
  let size = 0;
  for (let i = 0; i < x.length; i++) {
    difference += (x[i]! - y[i]!) ** 2;
    size += x[i]! ** 2;
  }
  return { distance: size === 0 ? null : Math.sqrt(difference / size) };
}
