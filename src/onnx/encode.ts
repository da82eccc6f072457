/** @file Model → bytes. */
import { create, toBinary } from '@bufbuild/protobuf';
import { subgraphsOf, type Graph, type Model } from '../ir/index.js';
import { encodeFunction, encodeGraph, type PlaceExternally } from './encode-graph.js';
import { OnnxFormatError } from './errors.js';
import { ModelProtoSchema } from './gen/onnx_pb.js';

/** Protobuf messages end here; ONNX Runtime reads no larger model file. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;

export interface EncodeOptions {
  /** Keeps the bytes of some initializers out of the file; the caller writes them. */
  readonly placeExternally?: PlaceExternally;
}

/**
 * Writes a model as an ONNX file. Weights are written as raw bytes.
 * Throws OnnxFormatError (`onnx/too-large`) where the file would exceed 2 GB: save such models with external data.
 */
export function encodeModel(model: Model, options: EncodeOptions = {}): Uint8Array {
  const place = options.placeExternally ?? (() => undefined);
  if (options.placeExternally === undefined && weightBytes(model) > MAX_MODEL_BYTES)
    throw new OnnxFormatError('too-large', 'the model is larger than the 2 GB that one ONNX file can hold', {
      hint: 'Save it with external data.',
    });
  const proto = create(ModelProtoSchema, {
    irVersion: BigInt(model.irVersion),
    producerName: model.producer.name,
    producerVersion: model.producer.version,
    domain: model.domain,
    modelVersion: model.modelVersion,
    docString: model.doc,
    graph: encodeGraph(model.graph, place),
    opsetImport: [...model.opsets].map(([domain, version]) => ({ domain, version: BigInt(version) })),
    metadataProps: [...model.metadata].map(([key, value]) => ({ key, value })),
    functions: model.functions.map((fn) => encodeFunction(fn, place)),
  });
  return toBinary(ModelProtoSchema, proto, { writeUnknownFields: false });
}

/** Bytes of all initializers and tensor attributes, sub-graphs included. */
export function weightBytes(model: Model): number {
  const ofGraph = (graph: Graph): number => {
    let bytes = 0;
    for (const tensor of graph.initializers.values()) bytes += tensor.bytes.length;
    for (const node of graph.nodes) {
      for (const attribute of node.attributes.values())
        if (attribute.type === 'tensor') bytes += attribute.value.bytes.length;
      for (const [, subgraph] of subgraphsOf(node)) bytes += ofGraph(subgraph);
    }
    return bytes;
  };
  return ofGraph(model.graph);
}
