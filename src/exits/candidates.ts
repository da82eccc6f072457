/** @file Exit candidates: every convolution, pool, recurrent layer and Transformer block of a classifier, where its result is complete. */
import { costOf } from '../passes/index.js';
import { NotAClassifierError, readClassifier, type Classifier, type ClassifierOptions } from './classifier.js';
import { isRecurrent, tailsOf } from './candidates-tail.js';
import { Dataflow } from './dataflow.js';
import { layoutOf, type Layout } from './layout.js';
import type { Model } from '../ir/index.js';

/** A place where an exit may hang. */
export interface Candidate {
  /** Place among all candidates of the model, in order of MACs; two that differ by one are adjacent. */
  readonly index: number;
  /** The value that the exit head reads. */
  readonly value: string;
  /** The convolution, pool, recurrent layer or matrix product that makes it. */
  readonly node: string;
  readonly op: string;
  /** Channels, height, width; a vector has height and width 1, a sequence its steps as height and width 1. */
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly layout: Layout;
  /** MACs of everything that the value depends on, one sample. */
  readonly macs: number;
  /** These MACs as a share of the whole model's. */
  readonly position: number;
  /** Every path from input to output runs through this value. */
  readonly blockEnd: boolean;
}

export interface Candidates {
  readonly classifier: Classifier;
  readonly all: readonly Candidate[];
  /** MACs of the whole classifier, one sample. */
  readonly macs: number;
}

/**
 * All candidates of a classifier, in order of the MACs that they cost: each Conv and pool, after the normalisation,
 * activation and residual Add (or Concat) that belong to it, inside blocks too; the last state of each recurrent layer; and of
 * matrix products on sequences of tokens those through which every path runs, the ends of a Transformer's attention and
 * feed-forward blocks. Those after the last MAC of the model are left out, as an exit there saves nothing.
 * Throws NotAClassifierError where the model has none. Source: HAPI (ICCAD 2020) §III "exit insertion".
 */
export function findCandidates(model: Model, options: ClassifierOptions = {}): Candidates {
  const classifier = readClassifier(model, options);
  const { types, batch, logits } = classifier;
  const { graph } = classifier.model;
  const flow = new Dataflow(graph, types, batch);
  const cost = costOf(classifier.model, { symbols: { [batch]: 1 } });
  const macsOf = new Map(cost.nodes.map((node) => [node.name, node.macs]));
  const macs = flow.nodes.map((node) => macsOf.get(node.name) ?? 0);
  const sum = (marks: Uint8Array): number => macs.reduce((total, cost, index) => total + (marks[index] ? cost : 0), 0);
  const total = sum(flow.ancestors([logits]));

  const whole = flow.ancestors([logits]);
  const constants = new Set([...graph.initializers.keys()].filter((name) => name !== classifier.input));
  for (const node of flow.nodes)
    if (node.inputs.every((input) => input === '' || constants.has(input)))
      for (const output of node.outputs) constants.add(output);

  const found = new Map<string, Omit<Candidate, 'index'>>();
  for (const [node, value] of tailsOf(graph, flow.nodes, types, constants)) {
    const recurrent = isRecurrent(node);
    const tap = recurrent || layoutOf(types.get(value), batch) ? value : node.outputs[0]!;
    const layout = layoutOf(types.get(tap), batch, recurrent);
    if (layout === undefined || found.has(tap)) continue;
    const marks = flow.ancestors([tap]);
    const upTo = sum(marks);
    // Not on the way to the answer, or nothing left to save.
    if (marks.some((mark, index) => mark && !whole[index]) || upTo >= total) continue;
    const frontier = flow.frontier(marks, logits);
    const blockEnd = frontier.length === 1 && frontier[0] === tap;
    // Inside a Transformer's block: queries, keys, the hidden layer of its feed-forward part.
    if (layout.kind === 'sequence' && !blockEnd) continue;
    found.set(tap, {
      value: tap,
      node: node.name,
      op: node.op,
      shape: layout.shape,
      layout,
      macs: upTo,
      position: upTo / total,
      blockEnd,
    });
  }
  if (found.size === 0)
    throw new NotAClassifierError(
      'it has no convolution, pool, recurrent layer or Transformer block before its last matrix product',
    );
  // Stable: candidates of equal cost keep the order of the graph.
  const all = [...found.values()].sort((a, b) => a.macs - b.macs).map((candidate, index) => ({ ...candidate, index }));
  return { classifier, all, macs: total };
}
