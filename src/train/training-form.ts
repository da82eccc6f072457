/** @file Puts BatchNormalization and Dropout into their training forms. */
import {
  constantTensor,
  float,
  intOf,
  makeNode,
  Tensor,
  tensorType,
  type Graph,
  type GraphBuilder,
  type Node,
  type Shape,
} from '../ir/index.js';
import { floatOf } from '../ir/index.js';
import { mapSubgraphs } from '../passes/index.js';
import { StepSpecError } from './errors.js';

/** A BatchNormalization node that uses the batch's own statistics. */
export interface TrainedNorm {
  readonly node: string;
  readonly input: string;
  /** Names of the running averages in the source model. */
  readonly runningMean: string;
  readonly runningVariance: string;
  /** The batch's mean and (biased) variance. */
  readonly batchMean: string;
  readonly batchVariance: string;
  /** Share of the old running average that is kept. */
  readonly momentum: number;
}

/** A Dropout node that multiplies by a mask which the host draws: 0 with probability `ratio`, else 1 / (1 − ratio). */
export interface DropoutMask {
  readonly input: string;
  readonly shape: Shape;
  readonly ratio: number;
}

export interface TrainingForm {
  readonly nodes: readonly Node[];
  readonly norms: readonly TrainedNorm[];
  readonly masks: readonly DropoutMask[];
}

export interface TrainingFormOptions {
  readonly norm: (node: Node) => boolean;
  readonly dropout: (node: Node) => boolean;
  readonly shapeOf: (value: string) => Shape;
}

/**
 * The nodes of a graph with the chosen BatchNormalization and Dropout nodes in training form; new constants and inputs
 * go to `b`. Value names stay. Nodes inside sub-graphs keep their inference form: averages are as the model has them, and nothing drops
 * out. Contract: opset 14 or newer (BatchNormalization) and 12 or newer (Dropout).
 */
export function trainingForm(graph: Graph, b: GraphBuilder, options: TrainingFormOptions): TrainingForm {
  const norms: TrainedNorm[] = [];
  const masks: DropoutMask[] = [];
  const nodes = graph.nodes.map((node) => {
    if (node.domain !== '') return node;
    if (node.op === 'BatchNormalization' && options.norm(node)) {
      const { node: trained, norm } = trainNorm(node, graph, b, norms.length);
      norms.push(norm);
      return trained;
    }
    if (node.op === 'Dropout' && options.dropout(node)) {
      const ratio = dropoutRatio(node, graph);
      if (ratio === 0) return node;
      const shape = options.shapeOf(node.inputs[0]!);
      const input = b.freshInput(`${node.name}.mask`, tensorType('float32', shape));
      masks.push({ input, shape, ratio });
      return makeNode({ name: node.name, op: 'Mul', inputs: [node.inputs[0]!, input], outputs: [node.outputs[0]!] });
    }
    return node;
  });
  return { nodes, norms, masks };
}

/**
 * ONNX mixes old averages and batch statistics as old · momentum + batch · (1 − momentum), so momentum 0 gives the batch's
 * own. ONNX Runtime writes these two outputs over the inputs 3 and 4, initializers included: each node gets a pair
 * of its own, with contents that differ from node to node so that no optimiser pass merges them.
 */
function trainNorm(
  node: Node,
  graph: Graph,
  b: GraphBuilder,
  index: number,
): { readonly node: Node; readonly norm: TrainedNorm } {
  const [input, scale, bias, runningMean, runningVariance] = node.inputs as [string, string, string, string, string];
  const channels = graph.initializers.get(runningMean)?.size;
  if (channels === undefined)
    throw new StepSpecError(
      `node '${node.name}' (BatchNormalization): its running averages are no constants`,
      'Freeze this node, or give its running mean and variance as initializers.',
    );
  const scratch = (part: number): string =>
    b.parameter(`${node.name}.scratch`, Tensor.floats(new Float32Array(channels).fill(2 * index + part + 1)));
  const batchMean = b.fresh(`${node.name}.batch_mean`);
  const batchVariance = b.fresh(`${node.name}.batch_variance`);
  const epsilon = floatOf(node, 'epsilon', 1e-5);
  return {
    node: makeNode({
      name: node.name,
      op: 'BatchNormalization',
      inputs: [input, scale, bias, scratch(0), scratch(1)],
      outputs: [node.outputs[0]!, batchMean, batchVariance],
      attributes: new Map([
        ['epsilon', float(epsilon)],
        ['momentum', float(0)],
        ['training_mode', { type: 'int', value: 1n }],
      ]),
    }),
    norm: {
      node: node.name,
      input,
      runningMean,
      runningVariance,
      batchMean,
      batchVariance,
      momentum: floatOf(node, 'momentum', 0.9),
    },
  };
}

/** A graph whose BatchNormalization nodes, where exported in training mode, are in inference form; those of sub-graphs too. */
export function inferenceForm(graph: Graph): Graph {
  const nodes = graph.nodes.map((node) => mapSubgraphs(node, inferenceForm));
  const isTraining = (node: Node): boolean =>
    node.op === 'BatchNormalization' && node.domain === '' && intOf(node, 'training_mode', 0) === 1;
  if (nodes.every((node, index) => node === graph.nodes[index] && !isTraining(node))) return graph;
  return {
    ...graph,
    nodes: nodes.map((node) => {
      if (!isTraining(node)) return node;
      const attributes = new Map(node.attributes);
      attributes.delete('training_mode');
      return { ...node, outputs: [node.outputs[0]!], attributes };
    }),
  };
}

/** The ratio of a Dropout-12 node: its second input where that is a constant, 0.5 where it has none. */
function dropoutRatio(node: Node, graph: Graph): number {
  const name = node.inputs[1];
  if (!name) return 0.5;
  const producer = graph.nodes.find((candidate) => candidate.outputs.includes(name));
  const value = graph.initializers.get(name) ?? (producer?.op === 'Constant' ? constantTensor(producer) : undefined);
  if (value === undefined)
    throw new StepSpecError(`node '${node.name}' (Dropout): its ratio is no constant`, 'Give the ratio as a constant.');
  return value.numbers()[0]!;
}
