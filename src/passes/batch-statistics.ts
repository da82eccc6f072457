/** @file BatchNormalization in training form written out, for engines that have only its inference form. */
import { float, floatOf, GraphBuilder, intOf, makeNode, opsetOf, type Model, type Node } from '../ir/index.js';

export interface BatchStatisticsResult {
  readonly model: Model;
  readonly changed: boolean;
}

/** ReduceMean takes its axes as an input from this opset on. */
const AXES_AS_INPUT = 18;

/**
 * Every BatchNormalization node (opset 14 and newer) with `training_mode` becomes its batch's mean and variance in plain
 * operators and the same node in inference form, which normalises by these. Value names stay. Contract: the same function
 * up to rounding, for float32; nodes inside sub-graphs stay as they are.
 */
export function writeOutBatchStatistics(model: Model): BatchStatisticsResult {
  const { graph } = model;
  if (!graph.nodes.some(isTraining)) return { model, changed: false };
  const b = GraphBuilder.beside(graph);
  const axesAsInput = opsetOf(model) >= AXES_AS_INPUT;
  const nodes = graph.nodes.flatMap((node) => {
    if (!isTraining(node)) return [node];
    const before = b.nodes.length;
    writeOut(b, node, axesAsInput);
    return b.nodes.slice(before);
  });
  return {
    model: { ...model, graph: { ...graph, nodes, initializers: new Map([...graph.initializers, ...b.initializers]) } },
    changed: true,
  };
}

function isTraining(node: Node): boolean {
  return node.op === 'BatchNormalization' && node.domain === '' && intOf(node, 'training_mode', 0) === 1;
}

/** Statistics over images and positions of x [N, C, …]; both passes over the map see it as [N, C, positions]. */
function writeOut(b: GraphBuilder, node: Node, axesAsInput: boolean): void {
  const [x, scale, bias, oldMean, oldVariance] = node.inputs as [string, string, string, string, string];
  const [y, newMean, newVariance] = node.outputs;
  const mean = (value: string, keepdims: 0 | 1): string =>
    axesAsInput
      ? b.op('ReduceMean', [value, b.int64s([0, 2])], { keepdims })
      : b.op('ReduceMean', [value], { axes: [0, 2], keepdims });
  const flat = b.op('Reshape', [x, b.int64s([0, 0, -1])]);
  const centre = mean(flat, 1);
  const difference = b.op('Sub', [flat, centre]);
  const variance = mean(b.op('Mul', [difference, difference]), 0);
  const average = b.op('Reshape', [centre, b.int64s([-1])]);
  b.nodes.push({
    ...node,
    inputs: [x, scale, bias, average, variance],
    outputs: [y!],
    attributes: new Map([['epsilon', float(floatOf(node, 'epsilon', 1e-5))]]),
  });
  // ONNX mixes what was with what the batch shows: old · momentum + batch · (1 − momentum).
  const momentum = floatOf(node, 'momentum', 0.9);
  const mix = (old: string, batch: string, output: string | undefined): void => {
    if (!output) return;
    const name = b.fresh(`${output}_mix`);
    const emit = (op: string, inputs: readonly string[]): void =>
      void b.nodes.push(makeNode({ name, op, inputs, outputs: [output] }));
    if (momentum === 0) return emit('Identity', [batch]);
    emit('Add', [b.op('Mul', [old, b.scalar(momentum)]), b.op('Mul', [batch, b.scalar(1 - momentum)])]);
  };
  mix(oldMean, average, newMean);
  mix(oldVariance, variance, newVariance);
}
