/** @file Small networks made for the tests of analysis: built, changed, written as ONNX and read back. */
import { analyseModel, readAuditModel, type AuditModel, type ModelAnalysis } from '../../../src/audit/index.js';
import { Tensor, type Model } from '../../../src/ir/index.js';
import { encodeModel } from '../../../src/onnx/index.js';
import { createRandom } from '../../../src/platform/index.js';
import { buildArchitecture } from '../../../src/zoo/index.js';

/** An architecture of the zoo with seeded weights. */
export function network(name = 'lenet-5', seed = 1): Model {
  const size = name === 'lenet-5' || name === 'digits-cnn' ? ([1, 28, 28] as const) : ([3, 32, 32] as const);
  return buildArchitecture(name, { classes: 10, input: size, seed });
}

/** The same network with some weights changed. */
export function withWeights(
  model: Model,
  change: (name: string, values: Float32Array) => Float32Array | undefined,
): Model {
  const initializers = new Map(
    [...model.graph.initializers].map(([name, tensor]) => {
      if (tensor.dtype !== 'float32') return [name, tensor] as const;
      const made = change(name, new Float32Array(tensor.bytes.slice().buffer));
      return [name, made ? Tensor.fromBytes('float32', tensor.dims, new Uint8Array(made.buffer)) : tensor] as const;
    }),
  );
  return { ...model, graph: { ...model.graph, initializers } };
}

/** The same network under other names of nodes, weights and itself. */
export function renamed(model: Model, prefix: string): Model {
  const ends = new Set([...model.graph.inputs, ...model.graph.outputs].map(({ name }) => name));
  const other = (name: string): string => (name === '' || ends.has(name) ? name : `${prefix}${name}`);
  return {
    ...model,
    metadata: new Map([['note', prefix]]),
    graph: {
      ...model.graph,
      name: prefix,
      initializers: new Map([...model.graph.initializers].map(([name, tensor]) => [other(name), tensor])),
      nodes: model.graph.nodes.map((node) => ({
        ...node,
        name: other(node.name),
        inputs: node.inputs.map(other),
        outputs: node.outputs.map(other),
      })),
      types: new Map([...model.graph.types].map(([name, type]) => [other(name), type])),
    },
  };
}

/** Fresh numbers of the same spread. */
export function retrained(values: Float32Array, seed: number): Float32Array {
  const random = createRandom(seed);
  return values.map(() => random.normal() * 0.1);
}

export const read = (model: Model): AuditModel => readAuditModel('onnx', encodeModel(model));
export const analyse = (model: Model, path = 'model.onnx'): ModelAnalysis => analyseModel(read(model), { path });
