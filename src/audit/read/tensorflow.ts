/** @file TensorFlow graphs: frozen GraphDefs, and SavedModels with their functions and signatures. */
import { assembleModel } from './assemble.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditSignature, AuditTensor } from './model.js';
import { ProtoMessage } from './protobuf.js';
import { protoNode, protoShape, tfTypes, type TfNode } from './tf-attributes.js';
import { TfWalk, type TfFunction } from './tf-walk.js';

/** Reads a frozen graph (GraphDef). Throws AuditError where the bytes are none or exceed a limit. */
export function readGraphDef(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('graphdef', limits);
  return tfModel('graphdef', new ProtoMessage(bytes, budget), { signatures: [] }, budget);
}

/** Reads the first graph of a SavedModel; variables have their shapes, their contents lie in other files. Throws as `readGraphDef`. */
export function readSavedModel(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('savedmodel', limits);
  const meta = new ProtoMessage(bytes, budget).messages(2)[0];
  const graph = meta?.message(2);
  if (meta === undefined || graph === undefined) throw budget.invalid('empty', 'it holds no graph');
  const info = meta.message(1);
  const version = info?.string(5);
  return tfModel(
    'savedmodel',
    graph,
    { signatures: meta.messages(5).map(signatureOf), ...(version ? { producer: `TensorFlow ${version}` } : {}) },
    budget,
  );
}

function signatureOf(entry: ProtoMessage): AuditSignature {
  const value = entry.message(2);
  const tensors = (field: number): AuditTensor[] =>
    (value?.messages(field) ?? []).map((each) => {
      const info = each.message(2);
      const shape = info?.message(3);
      return {
        name: each.string(1),
        shape: shape ? (protoShape(shape)?.map((dim) => (dim < 0 ? null : dim)) ?? null) : null,
        dtype: tfTypes[info?.int(2) ?? 0] ?? null,
      };
    });
  return { name: entry.string(1), inputs: tensors(1), outputs: tensors(2) };
}

interface Surroundings {
  readonly signatures: readonly AuditSignature[];
  readonly producer?: string;
}

function tfModel(
  format: 'graphdef' | 'savedmodel',
  graph: ProtoMessage,
  { signatures, producer }: Surroundings,
  budget: ReadBudget,
): AuditModel {
  const { nodes, functions } = graphParts(graph, budget);
  return modelOfNodes(format, nodes, functions, { signatures, ...(producer ? { producer } : {}) }, budget);
}

/** Nodes and functions of a GraphDef. */
export function graphParts(
  graph: ProtoMessage,
  budget: ReadBudget,
): { readonly nodes: readonly TfNode[]; readonly functions: ReadonlyMap<string, TfFunction> } {
  const nodes = graph.messages(1).map((node) => protoNode(node, budget));
  const functions = new Map<string, TfFunction>();
  for (const each of graph.message(2)?.messages(1) ?? []) {
    const signature = each.message(1);
    if (signature === undefined) continue;
    const returned = new Map(each.messages(4).map((entry) => [entry.string(1), entry.string(2)]));
    functions.set(signature.string(1), {
      nodes: each.messages(3).map((node) => protoNode(node, budget)),
      args: signature.messages(2).map((arg) => arg.string(1)),
      results: signature.messages(3).map((arg) => returned.get(arg.string(1)) ?? ''),
    });
  }
  return { nodes, functions };
}

/** Parts of a SavedModel that save and restore, or run another signature. */
const ASIDE = /(^|\/)(save(_\d+)?|RestoreV2|Adam|SGD|training)\//;

/** The normal form of nodes and functions; also for graph models of TensorFlow.js. */
export function modelOfNodes(
  format: 'graphdef' | 'savedmodel' | 'tfjs-graph',
  nodes: readonly TfNode[],
  functions: ReadonlyMap<string, TfFunction>,
  { signatures, producer }: Surroundings,
  budget: ReadBudget,
): AuditModel {
  if (nodes.length === 0) throw budget.invalid('empty', 'it has no nodes');
  if (nodes.some(({ name, op }) => name === '' || op === ''))
    throw budget.invalid('node', 'a node has no name or operator');
  // A SavedModel calls its network once for each signature: only what the serving one calls is the model.
  const calls = nodes.filter(({ op }) => op === 'StatefulPartitionedCall' || op === 'PartitionedCall');
  const serving = calls.filter((node) =>
    node.inputs.some((input) => !input.startsWith('^') && /^serving_default_/.test(input)),
  );
  const skipped = new Set(serving.length > 0 ? calls.filter((node) => !serving.includes(node)) : []);
  const walk = new TfWalk(functions, budget);
  walk.graph(
    nodes.filter((node) => !skipped.has(node) && !ASIDE.test(node.name)),
    new Map(),
    [],
  );
  const used = new Set(walk.layers.flatMap(({ inputs }) => inputs.map(({ name }) => name)));
  const placeholders = nodes.filter(({ op, name }) => op === 'Placeholder' && !/saver_filename/.test(name));
  const stated = signatures.find(({ name }) => name === 'serving_default');
  const open = (shape: readonly number[] | null): AuditTensor['shape'] =>
    shape && shape.map((dim) => (dim < 0 ? null : dim));
  return assembleModel(
    {
      format,
      producer,
      inputs:
        stated?.inputs ??
        placeholders.map(({ name, attributes }) => ({
          name,
          shape: open(attributes.shape('shape')),
          dtype: attributes.type('dtype') ?? null,
        })),
      outputs: stated?.outputs ?? walk.layers.flatMap(({ outputs }) => outputs.filter(({ name }) => !used.has(name))),
      layers: walk.layers,
      signatures,
    },
    budget,
  );
}
