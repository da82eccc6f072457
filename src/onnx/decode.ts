/** @file Bytes → model. */
import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type { Model } from '../ir/index.js';
import { decodeFunction, decodeGraph, normaliseDomain } from './decode-graph.js';
import { externalRangeOf, type TensorSource } from './decode-tensor.js';
import { namingSource, OnnxFormatError, OnnxUnsupportedError } from './errors.js';
import type { ExternalDataReader, ExternalRange } from './external.js';
import {
  ModelProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type OperatorSetIdProto,
  type TensorProto,
} from './gen/onnx_pb.js';
import { defaultLimits, maxMessageDepth, type OnnxLimits } from './limits.js';
import { refuseForeign } from './recognise.js';
import { scanWire } from './scan.js';

export interface DecodeOptions {
  /** Reads weights that stand outside the model file; without one, such a model is refused. */
  readonly externalData?: ExternalDataReader | undefined;
  readonly limits?: Partial<OnnxLimits> | undefined;
  /** Name of the file, put before error messages. */
  readonly source?: string | undefined;
}

/**
 * Reads an ONNX model. Its tensors are views of `bytes`, which must not be changed afterwards.
 * Throws OnnxFormatError (kind `invalid`) for bytes that are no ONNX model, are damaged or exceed a limit, and
 * OnnxUnsupportedError (kind `unsupported`) for operator sets, IR versions and element types out of range.
 */
export function decodeModel(bytes: Uint8Array, options: DecodeOptions = {}): Model {
  return namingSource(options.source, () => {
    const limits = { ...defaultLimits, ...options.limits };
    refuseForeign(bytes);
    return toModel(parse(ModelProtoSchema, bytes, limits), { limits, externalData: options.externalData });
  });
}

/**
 * Every range of external files that a model's tensors ask for, in the file's order: what a caller whose files are read
 * asynchronously must fetch before `decodeModel`. Throws like `decodeModel` where the bytes are no model.
 */
export function externalRangesOf(bytes: Uint8Array, options: DecodeOptions = {}): readonly ExternalRange[] {
  return namingSource(options.source, () => {
    const limits = { ...defaultLimits, ...options.limits };
    refuseForeign(bytes);
    const proto = parse(ModelProtoSchema, bytes, limits);
    const ranges: ExternalRange[] = [];
    const visit = (tensor: TensorProto | undefined): void => {
      const range = tensor && externalRangeOf(tensor, limits);
      if (range) ranges.push(range);
    };
    if (proto.graph) visitGraphTensors(proto.graph, visit);
    for (const fn of proto.functions) visitNodeTensors(fn.node, visit);
    return ranges;
  });
}

/** Recursion is bounded by the scan's limit on nesting. */
function visitGraphTensors(graph: GraphProto, visit: (tensor: TensorProto | undefined) => void): void {
  graph.initializer.forEach(visit);
  for (const { values, indices } of graph.sparseInitializer) [values, indices].forEach(visit);
  visitNodeTensors(graph.node, visit);
}

function visitNodeTensors(nodes: readonly NodeProto[], visit: (tensor: TensorProto | undefined) => void): void {
  for (const node of nodes)
    for (const attribute of node.attribute) {
      visit(attribute.t);
      attribute.tensors.forEach(visit);
      for (const sparse of [attribute.sparseTensor, ...attribute.sparseTensors])
        [sparse?.values, sparse?.indices].forEach(visit);
      if (attribute.g) visitGraphTensors(attribute.g, visit);
      for (const graph of attribute.graphs) visitGraphTensors(graph, visit);
    }
}

/** Scans, then parses: a message that passes the scan cannot exhaust memory or stack. */
export function parse<D extends DescMessage>(schema: D, bytes: Uint8Array, limits: OnnxLimits): MessageShape<D> {
  scanWire(schema, bytes, limits);
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false, recursionLimit: maxMessageDepth(limits) });
  } catch (error) {
    throw new OnnxFormatError('malformed', `not an ONNX model, or a damaged one: ${String(error)}`, { cause: error });
  }
}

function toModel(proto: ModelProto, source: TensorSource): Model {
  if (!proto.graph)
    throw new OnnxFormatError('no-graph', 'not an ONNX model: it holds no graph', {
      hint: 'Give a model in ONNX format (a .onnx file).',
    });
  const { limits } = source;
  const irVersion = Number(proto.irVersion);
  if (irVersion < 1) throw new OnnxFormatError('ir-version', 'not an ONNX model: it states no IR version');
  if (irVersion > limits.maxIrVersion)
    throw new OnnxUnsupportedError(
      'ir-version',
      `IR version ${proto.irVersion} is not supported (the newest is ${limits.maxIrVersion})`,
      { hint: 'Export the model with an older version of ONNX.' },
    );
  // Before IR version 3 files stated no operator set: it was the first.
  const stated = proto.opsetImport.length > 0 || irVersion >= 3;
  const opsets = stated ? decodeOpsets(proto.opsetImport, limits) : new Map([['', 1]]);
  if (opsets.size === 0) throw new OnnxFormatError('opset', 'the model states no operator set');
  checkOpset(opsets.get(''), limits);
  return {
    irVersion,
    opsets,
    producer: { name: proto.producerName, version: proto.producerVersion },
    domain: proto.domain,
    modelVersion: proto.modelVersion,
    doc: proto.docString,
    metadata: new Map(proto.metadataProps.map(({ key, value }) => [key, value])),
    graph: decodeGraph(proto.graph, source),
    functions: proto.functions.map((fn) => {
      const own = decodeOpsets(fn.opsetImport, limits);
      return decodeFunction(fn, own.size > 0 ? own : opsets, source);
    }),
  };
}

function decodeOpsets(imports: readonly OperatorSetIdProto[], limits: OnnxLimits): ReadonlyMap<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of imports) {
    if (version < 1n || version > 0x7fffffffn)
      throw new OnnxFormatError('opset', `operator set '${domain || 'ai.onnx'}' has version ${version}`);
    const key = normaliseDomain(domain);
    opsets.set(key, Math.max(Number(version), opsets.get(key) ?? 0));
  }
  if (opsets.has('')) checkOpset(opsets.get(''), limits);
  return opsets;
}

function checkOpset(opset: number | undefined, limits: OnnxLimits): void {
  if (opset === undefined || (opset >= limits.minOpset && opset <= limits.maxOpset)) return;
  throw new OnnxUnsupportedError(
    'opset',
    `opset ${opset} is not supported (supported are ${limits.minOpset} to ${limits.maxOpset})`,
    { hint: `Export the model with opset ${Math.min(Math.max(opset, 13), 21)}, for example.` },
  );
}
