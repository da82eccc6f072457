/** @file Hangs an exit head on every chosen candidate of a classifier: the over-provisioned network. */
import {
  applyPatch,
  EMIT_OPSET,
  GraphBuilder,
  InvalidGraphError,
  opsetOf,
  tensorType,
  type Model,
  type Node,
  type Patch,
  type Tensor,
  type Value,
} from '../ir/index.js';
import { costOf, upgradeOpset } from '../passes/index.js';
import { createRandom } from '../platform/random.js';
import type { Candidate, Candidates } from './candidates.js';
import { asMap } from './layout.js';
import { resolveHead, type HeadConfig, type HeadKind } from './heads/index.js';
import { writeProgressive, type Progressive } from './progressive.js';
import type { ExitInfo } from './progressive-schema.js';

export interface Attached extends Progressive {
  /** What was added to the backbone, and why. */
  readonly patch: Patch;
}

/**
 * Adds an exit head to each candidate. Outputs of the result: `exit_0` … `exit_{N-1}` (logits, in order of MACs), then
 * those of the backbone, then the final logits where the backbone shows only their softmax. Older models are raised to
 * EMIT_OPSET; no weight of the backbone changes. Every head's initial weights depend on `seed` and on its candidate alone.
 * `chosen`: candidates of `candidates.all`; all of them where omitted.
 * Throws UnknownHeadError.
 */
export function attachExits(
  candidates: Candidates,
  chosen: readonly Candidate[] = candidates.all,
  head: HeadConfig | HeadKind = 'msdnet',
  seed = 0,
): Attached {
  const { head: kind, width } = resolveHead(head);
  const { classifier } = candidates;
  const { classes, batch } = classifier;
  const model = opsetOf(classifier.model) < EMIT_OPSET ? upgradeOpset(classifier.model).model : classifier.model;
  const b = GraphBuilder.beside(model.graph);
  const ordered = [...chosen].sort((x, y) => x.index - y.index);
  const type = tensorType('float32', [batch, classes]);

  const built = ordered.map((candidate, index) => {
    const [firstNode, weightsBefore] = [b.nodes.length, b.initializers.size];
    const random = createRandom((seed + Math.imul(candidate.index + 1, 0x85ebca6b)) | 0);
    const value = asMap(b, candidate.value, candidate.layout, `exit_${index}`);
    const logits = kind.build({ b, value, shape: candidate.shape, classes, random, name: `exit_${index}` }, width);
    const output = rename(b, logits, b.fresh(`exit_${index}`));
    const nodes = b.nodes.slice(firstNode).map((node) => node.name);
    const params = [...b.initializers.values()]
      .slice(weightsBefore)
      .reduce((sum, tensor) => sum + (tensor.dtype === 'float32' ? tensor.size : 0), 0);
    return { candidate, output, nodes, params };
  });

  const outputs: Value[] = [...built.map(({ output }) => ({ name: output, type })), ...model.graph.outputs];
  if (!outputs.some((output) => output.name === classifier.logits)) outputs.push({ name: classifier.logits, type });
  const patch: Patch = {
    reason: `hang ${built.length} ${kind.kind} exits on the backbone`,
    insert: b.nodes,
    initializers: b.initializers,
    outputs,
  };
  const grown: Model = { ...model, graph: applyPatch(model.graph, patch) };
  const macs = macsByNode(grown, batch);
  const exits = built.map(({ candidate, output, nodes, params }): ExitInfo => {
    const { value, node, index, shape, blockEnd, macs: upTo, position } = candidate;
    return {
      output,
      value,
      node,
      candidate: index,
      shape: [...shape],
      blockEnd,
      macs: upTo,
      position,
      head: { kind: kind.kind, width, macs: nodes.reduce((sum, name) => sum + macs.get(name)!, 0), params },
      temperature: 1,
    };
  });
  const progressive = writeProgressive(grown, {
    version: 1,
    input: classifier.input,
    inputShape: [...classifier.inputShape],
    batch,
    classes,
    macs: candidates.macs,
    exits,
    final: { output: classifier.output, logits: classifier.logits, temperature: 1 },
  });
  return { ...progressive, patch };
}

/** Replaces weights of a progressive model by trained ones of the same names. Throws InvalidGraphError where they do not fit. */
export function withWeights(progressive: Progressive, weights: ReadonlyMap<string, Tensor>): Progressive {
  const { model } = progressive;
  const initializers = new Map(model.graph.initializers);
  for (const [name, tensor] of weights) {
    const old = initializers.get(name);
    if (old === undefined || old.dtype !== tensor.dtype || old.dims.join() !== tensor.dims.join())
      throw new InvalidGraphError(
        `the trained weight '${name}' (${tensor.dtype} [${tensor.dims.join(', ')}]) does not fit ` +
          (old === undefined ? 'any of the model' : `the model's ${old.dtype} [${old.dims.join(', ')}]`),
      );
    initializers.set(name, tensor);
  }
  return { ...progressive, model: { ...model, graph: { ...model.graph, initializers } } };
}

/** Gives a value of the builder another name, at its producer and its readers. */
function rename(b: GraphBuilder, from: string, to: string): string {
  const swap = (name: string): string => (name === from ? to : name);
  b.nodes.forEach((node: Node, index) => {
    if (node.inputs.includes(from) || node.outputs.includes(from))
      b.nodes[index] = { ...node, inputs: node.inputs.map(swap), outputs: node.outputs.map(swap) };
  });
  return to;
}

function macsByNode(model: Model, batch: string): ReadonlyMap<string, number> {
  return new Map(costOf(model, { symbols: { [batch]: 1 } }).nodes.map((node) => [node.name, node.macs]));
}
