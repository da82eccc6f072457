/** @file A design as one ONNX model per stage: each takes what the stages before it left, and gives exit logits. */
import {
  GraphBuilder,
  makeGraph,
  subgraphsOf,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type Value,
  type ValueType,
} from '../ir/index.js';
import { inferShapes } from '../passes/index.js';
import { batchAxisOf, Dataflow, type Part } from './dataflow.js';
import { enterBlocked } from './stages-entry.js';
import { checkDesign, type DesignChoice } from './design.js';
import { EXITS_KEY } from './progressive-schema.js';
import type { Progressive } from './progressive.js';
import { instantiatedExits } from './rates.js';

/** A tensor that crosses from one stage to later ones. */
export interface Crossing {
  readonly name: string;
  /** The axis along which samples lie. */
  readonly batchAxis: number;
}

/** One stage of a design. */
export interface Stage {
  readonly model: Model;
  /** Exit of the progressive model that the stage computes; the number of its early exits for the final one. */
  readonly exit: number;
  /** What to feed: the network's input or tensors of earlier stages. */
  readonly inputs: readonly Crossing[];
  /** Output with the exit's logits, [batch, classes]. */
  readonly logits: string;
  /** Tensors that later stages need and that exist after this one; those made by earlier stages are included. */
  readonly carried: readonly Crossing[];
}

/** The logits output of an exit, by its number. */
export function logitsOf({ info }: Progressive, exit: number): string {
  return info.exits[exit]?.output ?? info.final.logits;
}

/** A progressive model cut at a design's exits: what each stage runs, reads and leaves, and every value's type. */
export interface Cut {
  readonly exits: readonly number[];
  readonly parts: readonly Part[];
  readonly types: ReadonlyMap<string, ValueType>;
}

/** Cuts a progressive model at the exits of a design. Throws InvalidDesignError where the design does not fit. */
export function cutAt(progressive: Progressive, design: Pick<DesignChoice, 'exits' | 'truncated'>): Cut {
  const { model, info } = progressive;
  checkDesign({ ...design, policy: { kind: 'confidence', thresholds: 1 }, fallback: 'last' }, info.exits.length);
  const exits = instantiatedExits(design, info.exits.length);
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const flow = new Dataflow(model.graph, types, info.batch);
  return { exits, parts: flow.parts(exits.map((exit) => logitsOf(progressive, exit))), types };
}

/**
 * One model per exit of a design. Running them in order, each fed with what the ones before left, computes every exit's
 * logits exactly once; the nodes of exits that the design leaves out appear nowhere. Where the design's candidates lie in
 * parallel branches, a stage is what its exit needs and no earlier stage has computed.
 * Throws InvalidDesignError where the design does not fit the model.
 */
export function stagesOf(
  progressive: Progressive,
  design: Pick<DesignChoice, 'exits' | 'truncated'>,
): readonly Stage[] {
  const { model, info } = progressive;
  const { exits, parts, types } = cutAt(progressive, design);
  const crossing = (name: string): Crossing => ({ name, batchAxis: batchAxisOf(types.get(name), info.batch) ?? 0 });
  return parts.map((part, index) => {
    const exit = exits[index]!;
    const logits = logitsOf(progressive, exit);
    const made = new Set(part.nodes.flatMap((node) => node.outputs));
    const outputs = [logits, ...part.carried.filter((name) => made.has(name) && name !== logits)];
    return {
      model: partModel(model, `stage_${index}`, part, outputs, types),
      exit,
      inputs: part.inputs.map(crossing),
      logits,
      carried: part.carried.map(crossing),
    };
  });
}

/** A part of a model as a model of its own; the tensors are shared, the metadata stays except what describes exits. */
export function partModel(
  model: Model,
  name: string,
  part: Pick<Part, 'nodes' | 'inputs'>,
  outputs: readonly string[],
  types: ReadonlyMap<string, ValueType>,
): Model {
  const typed = (value: string): Value => ({ name: value, type: types.get(value) });
  const metadata = new Map(model.metadata);
  metadata.delete(EXITS_KEY);
  const nodes = enterBlocked(part.nodes, part.inputs, types, GraphBuilder.beside(model.graph));
  const graph: Graph = makeGraph({
    name,
    nodes,
    inputs: part.inputs.map(typed),
    outputs: outputs.map(typed),
    initializers: initializersFor(model.graph, part.nodes),
    sparseInitializers: new Map([...model.graph.sparseInitializers].filter(([key]) => readBy(part.nodes).has(key))),
  });
  return { ...model, metadata, graph };
}

/** The initializers of a graph that some nodes read, sub-graphs included. */
export function initializersFor(graph: Graph, nodes: readonly Node[]): Map<string, Tensor> {
  const read = readBy(nodes);
  return new Map([...graph.initializers].filter(([name]) => read.has(name)));
}

/** Every name that nodes or their sub-graphs read. */
export function readBy(nodes: readonly Node[]): ReadonlySet<string> {
  const read = new Set<string>();
  const visit = (node: Node): void => {
    for (const input of node.inputs) read.add(input);
    for (const [, subgraph] of subgraphsOf(node)) {
      subgraph.nodes.forEach(visit);
      for (const output of subgraph.outputs) read.add(output.name);
    }
  };
  nodes.forEach(visit);
  return read;
}
