/** @file GraphProto, NodeProto, AttributeProto and FunctionProto → their counterparts in the IR. */
import type { Attribute, Graph, ModelFunction, Node, SparseTensor, Tensor, Value, ValueType } from '../ir/index.js';
import { decodeSparseTensor, decodeTensor, type TensorSource } from './decode-tensor.js';
import { decodeType } from './decode-type.js';
import { OnnxFormatError, OnnxUnsupportedError } from './errors.js';
import {
  AttributeProto_AttributeType as AttributeType,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type ValueInfoProto,
} from './gen/onnx_pb.js';
import { decodeText } from './text.js';

/**
 * A graph and all graphs inside it. Node names are made unique: a missing or repeated one is replaced by
 * `<op>_<index>`. Throws OnnxFormatError or OnnxUnsupportedError by the name of what is wrong.
 */
export function decodeGraph(proto: GraphProto, source: TensorSource, depth = 1): Graph {
  if (depth > source.limits.maxGraphDepth)
    throw new OnnxFormatError('limit', `graphs are nested more than ${source.limits.maxGraphDepth} deep`);
  const initializers = new Map<string, Tensor>();
  for (const tensor of proto.initializer)
    define(initializers, tensor.name, decodeTensor(tensor, source), 'initializer', source);
  const sparseInitializers = new Map<string, SparseTensor>();
  for (const tensor of proto.sparseInitializer)
    define(
      sparseInitializers,
      tensor.values?.name ?? '',
      decodeSparseTensor(tensor, source),
      'sparse initializer',
      source,
    );
  const types = new Map<string, ValueType>();
  for (const info of proto.valueInfo) {
    const { name, type } = decodeValue(info, source);
    if (type) types.set(name, type);
  }
  return {
    name: checkName(proto.name, source),
    inputs: uniqueValues(proto.input, 'input', source),
    outputs: proto.output.map((output) => decodeValue(output, source)),
    nodes: decodeNodes(proto.node, source, depth),
    initializers,
    sparseInitializers,
    types,
    doc: proto.docString,
  };
}

/** A model-local function. Throws like `decodeGraph`. */
export function decodeFunction(
  proto: FunctionProto,
  opsets: ReadonlyMap<string, number>,
  source: TensorSource,
): ModelFunction {
  return {
    name: checkName(proto.name, source),
    domain: normaliseDomain(proto.domain),
    overload: proto.overload,
    inputs: proto.input,
    outputs: proto.output,
    attributes: proto.attribute,
    attributeDefaults: decodeAttributes(proto.attributeProto, `function '${proto.name}'`, source, 1),
    nodes: decodeNodes(proto.node, source, 1),
    opsets,
    doc: proto.docString,
  };
}

/** `ai.onnx` is another way to write the empty domain. */
export function normaliseDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function decodeNodes(protos: readonly NodeProto[], source: TensorSource, depth: number): readonly Node[] {
  const taken = new Set(protos.map((proto) => proto.name));
  const used = new Set<string>();
  return protos.map((proto, index): Node => {
    let name = checkName(proto.name, source);
    if (name === '' || used.has(name)) {
      const stem = `${proto.opType}_${index}`;
      name = stem;
      for (let suffix = 1; taken.has(name) || used.has(name); suffix++) name = `${stem}_${suffix}`;
    }
    used.add(name);
    if (proto.opType === '') throw new OnnxFormatError('node', `node '${name}' names no operator`);
    for (const value of proto.input) checkName(value, source);
    for (const value of proto.output) checkName(value, source);
    return {
      name,
      op: checkName(proto.opType, source),
      domain: normaliseDomain(proto.domain),
      overload: proto.overload,
      inputs: proto.input,
      outputs: proto.output,
      attributes: decodeAttributes(proto.attribute, `node '${name}' (${proto.opType})`, source, depth),
      doc: proto.docString,
    };
  });
}

function decodeAttributes(
  protos: readonly AttributeProto[],
  owner: string,
  source: TensorSource,
  depth: number,
): ReadonlyMap<string, Attribute> {
  const attributes = new Map<string, Attribute>();
  for (const proto of protos) {
    if (attributes.has(proto.name))
      throw new OnnxFormatError('attribute', `${owner}: attribute '${proto.name}' is given twice`);
    attributes.set(proto.name, decodeAttribute(proto, owner, source, depth));
  }
  return attributes;
}

function decodeAttribute(proto: AttributeProto, owner: string, source: TensorSource, depth: number): Attribute {
  const of = `${owner}, attribute '${proto.name}'`;
  const missing = (): never => {
    throw new OnnxFormatError('attribute', `${of} lacks its value`);
  };
  if (proto.refAttrName !== '')
    return { type: 'reference', value: proto.refAttrName, of: attributeTypeNames.get(proto.type) ?? '' };
  const type = proto.type === Number(AttributeType.UNDEFINED) ? guessType(proto) : proto.type;
  switch (type as AttributeType) {
    case AttributeType.FLOAT:
      return { type: 'float', value: proto.f };
    case AttributeType.INT:
      return { type: 'int', value: proto.i };
    case AttributeType.STRING:
      return { type: 'string', value: decodeText(proto.s) };
    case AttributeType.TENSOR:
      return { type: 'tensor', value: decodeTensor(proto.t ?? missing(), source) };
    case AttributeType.GRAPH:
      return { type: 'graph', value: decodeGraph(proto.g ?? missing(), source, depth + 1) };
    case AttributeType.FLOATS:
      return { type: 'floats', value: proto.floats };
    case AttributeType.INTS:
      return { type: 'ints', value: proto.ints };
    case AttributeType.STRINGS:
      return { type: 'strings', value: proto.strings.map(decodeText) };
    case AttributeType.TENSORS:
      return { type: 'tensors', value: proto.tensors.map((tensor) => decodeTensor(tensor, source)) };
    case AttributeType.GRAPHS:
      return { type: 'graphs', value: proto.graphs.map((graph) => decodeGraph(graph, source, depth + 1)) };
    case AttributeType.SPARSE_TENSOR:
      return { type: 'sparse-tensor', value: decodeSparseTensor(proto.sparseTensor ?? missing(), source) };
    case AttributeType.SPARSE_TENSORS:
      return { type: 'sparse-tensors', value: proto.sparseTensors.map((tensor) => decodeSparseTensor(tensor, source)) };
    case AttributeType.TYPE_PROTO:
      return { type: 'type', value: decodeType(proto.tp, of, source.limits) ?? missing() };
    case AttributeType.TYPE_PROTOS:
      return { type: 'types', value: proto.typeProtos.map((type) => decodeType(type, of, source.limits) ?? missing()) };
    case AttributeType.UNDEFINED:
      return missing();
    default:
      throw new OnnxUnsupportedError('attribute', `${of} has type ${proto.type}, which is not supported`);
  }
}

/** Attribute type codes and the names that the IR gives to these types. */
export const attributeTypeNames: ReadonlyMap<number, Exclude<Attribute['type'], 'reference'>> = new Map([
  [AttributeType.FLOAT, 'float'],
  [AttributeType.INT, 'int'],
  [AttributeType.STRING, 'string'],
  [AttributeType.TENSOR, 'tensor'],
  [AttributeType.GRAPH, 'graph'],
  [AttributeType.FLOATS, 'floats'],
  [AttributeType.INTS, 'ints'],
  [AttributeType.STRINGS, 'strings'],
  [AttributeType.TENSORS, 'tensors'],
  [AttributeType.GRAPHS, 'graphs'],
  [AttributeType.SPARSE_TENSOR, 'sparse-tensor'],
  [AttributeType.SPARSE_TENSORS, 'sparse-tensors'],
  [AttributeType.TYPE_PROTO, 'type'],
  [AttributeType.TYPE_PROTOS, 'types'],
]);

/** Files of IR version 1 state no attribute type: the field that is set tells. */
function guessType(proto: AttributeProto): AttributeType {
  if (proto.ints.length > 0) return AttributeType.INTS;
  if (proto.floats.length > 0) return AttributeType.FLOATS;
  if (proto.strings.length > 0) return AttributeType.STRINGS;
  if (proto.tensors.length > 0) return AttributeType.TENSORS;
  if (proto.graphs.length > 0) return AttributeType.GRAPHS;
  if (proto.t) return AttributeType.TENSOR;
  if (proto.g) return AttributeType.GRAPH;
  if (Object.hasOwn(proto, 'i')) return AttributeType.INT;
  if (Object.hasOwn(proto, 'f')) return AttributeType.FLOAT;
  if (Object.hasOwn(proto, 's')) return AttributeType.STRING;
  return AttributeType.UNDEFINED;
}

function decodeValue(proto: ValueInfoProto, source: TensorSource): Value {
  const name = checkName(proto.name, source);
  return { name, type: decodeType(proto.type, name, source.limits) };
}

function uniqueValues(protos: readonly ValueInfoProto[], what: string, source: TensorSource): readonly Value[] {
  const seen = new Set<string>();
  for (const { name } of protos) {
    if (seen.has(name)) throw new OnnxFormatError('duplicate', `graph ${what} '${name}' is given twice`);
    seen.add(name);
  }
  return protos.map((proto) => decodeValue(proto, source));
}

function define<T>(into: Map<string, T>, name: string, value: T, what: string, source: TensorSource): void {
  checkName(name, source);
  if (name === '') throw new OnnxFormatError('name', `an ${what} has no name`);
  if (into.has(name)) throw new OnnxFormatError('duplicate', `${what} '${name}' is given twice`);
  into.set(name, value);
}

function checkName(name: string, source: TensorSource): string {
  const max = source.limits.maxNameLength;
  if (name.length > max)
    throw new OnnxFormatError('limit', `the name '${name.slice(0, 40)}…' has more than ${max} characters`);
  return name;
}
