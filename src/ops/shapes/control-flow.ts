/** @file Shape rules of If, Loop and Scan: they ask the walk for the types inside their sub-graphs. */
import {
  constantTensor,
  graphOf,
  intOf,
  intsOf,
  tensorType,
  type Dim,
  type Graph,
  type Node,
  type ValueType,
} from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import { axisOf, commonType, hasInput, numbersAt, sameDim, shapeOf, type RuleTable } from './support.js';

function requiredGraph(node: Node, name: string): Graph {
  const graph = graphOf(node, name);
  if (graph === undefined) throw new ShapeError(node, `attribute '${name}' is missing`);
  return graph;
}

/** If-1 … 21: what both branches agree on; the one branch alone where the condition is constant. */
const branch: InferRule = (context) => {
  const { node, subgraph } = context;
  const [yes, no] = ['then_branch', 'else_branch'].map((name) => requiredGraph(node, name));
  const condition = numbersAt(context, 0)?.[0];
  if (condition !== undefined) return { types: subgraph(condition ? yes! : no!, []) };
  const onNo = subgraph(no!, []);
  return { types: subgraph(yes!, []).map((type, index) => commonType(type, onNo[index])) };
};

/** How often types may widen before they must hold still: each step loses a dim, a rank or the whole type. */
const MAX_WIDENINGS = 16;

/** Runs `body` with carried types widened until one more iteration changes nothing. */
function settle(
  initial: readonly (ValueType | undefined)[],
  body: (carried: readonly (ValueType | undefined)[]) => readonly (ValueType | undefined)[],
): { readonly carried: readonly (ValueType | undefined)[]; readonly outputs: readonly (ValueType | undefined)[] } {
  let carried = initial;
  for (let step = 0; ; step++) {
    const outputs = body(carried);
    const next = carried.map((type, index) => commonType(type, outputs[index]));
    const settled = next.every((type, index) => JSON.stringify(type) === JSON.stringify(carried[index]));
    if (settled || step === MAX_WIDENINGS) return { carried: next, outputs };
    carried = next;
  }
}

/**
 * The number of iterations of a Loop, where its inputs and body fix it: a constant trip count and a condition that is
 * always true. `constant` gives the constant value of one of the node's inputs.
 */
export function tripCount(node: Node, numberAt: (i: number) => number | undefined): number | undefined {
  const body = requiredGraph(node, 'body');
  const count = hasInput(node, 0) ? numberAt(0) : undefined;
  if (count === undefined) return undefined;
  if (count <= 0) return 0;
  if (hasInput(node, 1)) {
    const first = numberAt(1);
    if (first === 0) return 0;
    if (first === undefined) return undefined;
  }
  return alwaysTrue(body, body.outputs[0]?.name ?? '') ? count : undefined;
}

/** True where a body's condition output is a true constant, or the condition that came in (true, or the loop had ended). */
function alwaysTrue(body: Graph, name: string): boolean {
  if (name === body.inputs[1]?.name) return true;
  const initial = body.initializers.get(name);
  if (initial) return initial.numbers()[0] !== 0;
  const producer = body.nodes.find((node) => node.outputs.includes(name));
  if (producer?.op === 'Identity' || producer?.op === 'Cast') return alwaysTrue(body, producer.inputs[0]!);
  if (producer?.op !== 'Constant') return false;
  const value = constantTensor(producer);
  return value !== undefined && value.numbers()[0] !== 0;
}

/** Loop-1 … 21: carried values, then scan outputs with the number of iterations in front. */
const loop: InferRule = (context) => {
  const { node, inputs, subgraph, symbol } = context;
  const body = requiredGraph(node, 'body');
  const initial = inputs.slice(2);
  const given = [tensorType('int64', []), tensorType('bool', [])];
  const { carried, outputs } = settle(initial, (types) => subgraph(body, [...given, ...types]).slice(1));
  const trips: Dim = tripCount(node, (i) => numbersAt(context, i)?.[0]) ?? symbol('trips');
  return {
    types: [...carried, ...outputs.slice(initial.length).map((type) => withDim(type, 0, trips))],
  };
};

function withDim(type: ValueType | undefined, axis: number, dim: Dim): ValueType | undefined {
  if (type?.kind !== 'tensor') return undefined;
  return tensorType(type.dtype, type.shape?.toSpliced(axis, 0, dim));
}

/** Scan-9 … 21: states, then outputs stacked along their scan axes; Scan-8 has a batch dim in front of everything. */
const scan: InferRule = (context) => {
  const { node, inputs, opset, subgraph } = context;
  const body = requiredGraph(node, 'body');
  const count = intOf(node, 'num_scan_inputs', 1);
  const old = opset < 9;
  const given = old ? inputs.slice(1) : inputs;
  const batch = old ? (given.map(shapeOf).find((shape) => shape !== undefined)?.[0] ?? null) : undefined;
  const inner = old ? given.map((type) => withoutDim(type, 0)) : given;
  const states = inner.slice(0, inner.length - count);
  const scanned = inner.slice(inner.length - count);
  const inAxes = intsOf(node, 'scan_input_axes', undefined) ?? scanned.map(() => 0);
  const outAxes = intsOf(node, 'scan_output_axes', undefined);
  let length: Dim = null;
  const elements = scanned.map((type, index) => {
    const shape = shapeOf(type);
    if (shape === undefined) return withoutDim(type, 0);
    const axis = axisOf(node, inAxes[index] ?? 0, shape.length);
    length = sameDim(node, 'lengths of the scanned inputs', length, shape[axis]!);
    return withoutDim(type, axis);
  });
  const { carried, outputs } = settle(states, (types) => subgraph(body, [...types, ...elements]));
  const stacked = outputs.slice(states.length).map((type, index) => {
    const rank = shapeOf(type)?.length;
    return withDim(type, rank === undefined ? 0 : axisOf(node, outAxes?.[index] ?? 0, rank + 1), length);
  });
  const types = [...carried, ...stacked];
  return { types: batch === undefined ? types : types.map((type) => withDim(type, 0, batch)) };
};

function withoutDim(type: ValueType | undefined, axis: number): ValueType | undefined {
  return type?.kind === 'tensor' ? tensorType(type.dtype, type.shape?.toSpliced(axis, 1)) : type;
}

export const controlFlowShapes: RuleTable = { If: branch, Loop: loop, Scan: scan };
