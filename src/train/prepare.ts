/** @file Brings a model of any origin into the one form that training works on. */
import {
  constantTensor,
  EMIT_OPSET,
  GraphBuilder,
  opsetOf,
  readsOf,
  type Graph,
  type Model,
  type Node,
  type Tensor,
} from '../ir/index.js';
import { inlineFunctions, liftConstants, upgradeOpset } from '../passes/index.js';
import { timeFirst } from './prepare-recurrent.js';
import { inferenceForm } from './training-form.js';

/**
 * The same model at an opset that every rule knows, without local functions, in inference form, every float constant (also
 * those of sub-graphs) an initializer, and each normalisation layer with constants of its own. Contract: outputs are unchanged.
 */
export function prepareForTraining(model: Model): Model {
  const upgraded = opsetOf(model) < EMIT_OPSET ? upgradeOpset(model).model : model;
  const inlined = liftConstants(inlineFunctions(upgraded).model).model;
  return { ...inlined, graph: untieAverages(hoistConstants(timeFirst(inferenceForm(inlined.graph)))) };
}

/**
 * Float Constant nodes become initializers. So does an Identity of an initializer: exporters merge constants that happen to
 * be equal (all scales of a fresh network) and leave Identity nodes behind; they are parameters of their own.
 */
function hoistConstants(graph: Graph): Graph {
  const initializers = new Map(graph.initializers);
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const valueOf = (node: Node): Tensor | undefined => {
    if (node.domain !== '' || outputs.has(node.outputs[0]!)) return undefined;
    if (node.op === 'Constant') return constantTensor(node);
    if (node.op === 'Identity' && !inputs.has(node.inputs[0]!)) return initializers.get(node.inputs[0]!);
    return undefined;
  };
  const nodes = graph.nodes.filter((node) => {
    const value = valueOf(node);
    if (value?.dtype !== 'float32') return true;
    initializers.set(node.outputs[0]!, value);
    return false;
  });
  return nodes.length === graph.nodes.length ? graph : { ...graph, nodes, initializers };
}

/** Running averages that something else reads too are copied: each BatchNormalization node's input has its own statistics. */
function untieAverages(graph: Graph): Graph {
  const b = GraphBuilder.beside(graph);
  const isNorm = (node: Node): boolean => node.op === 'BatchNormalization' && node.domain === '';
  const taken = new Set(
    graph.nodes.flatMap((node) => [...readsOf(isNorm(node) ? { ...node, inputs: node.inputs.slice(0, 3) } : node)]),
  );
  const own = (name: string): string => {
    const value = graph.initializers.get(name);
    if (value === undefined || !taken.has(name)) {
      taken.add(name);
      return name;
    }
    return b.parameter(name, value);
  };
  const nodes = graph.nodes.map((node) => {
    if (!isNorm(node)) return node;
    const [x, scale, bias, mean, variance] = node.inputs;
    return { ...node, inputs: [x!, scale!, bias!, own(mean!), own(variance!)] };
  });
  if (b.initializers.size === 0) return graph;
  return { ...graph, nodes, initializers: new Map([...graph.initializers, ...b.initializers]) };
}
