/** @file Graphs, nodes, attributes, tensors and functions of the IR → protobuf messages. */
import { create } from '@bufbuild/protobuf';
import {
  dataTypes,
  type Attribute,
  type Attributes,
  type Graph,
  type ModelFunction,
  type Node,
  type SparseTensor,
  type Tensor,
  type Value,
} from '../ir/index.js';
import { encodeType } from './encode-type.js';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  NodeProtoSchema,
  SparseTensorProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
  type ValueInfoProto,
} from './gen/onnx_pb.js';
import { encodeText } from './text.js';

/** Where an initializer's bytes stand instead of in the model file. */
export interface ExternalPlacement {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Decides for each initializer whether its bytes go elsewhere; `undefined` keeps them in the model file. */
export type PlaceExternally = (name: string, tensor: Tensor) => ExternalPlacement | undefined;

/** The message of a graph and of all graphs inside it. Optional texts that are empty are left out. */
export function encodeGraph(graph: Graph, place: PlaceExternally): GraphProto {
  return create(GraphProtoSchema, {
    name: graph.name,
    ...optionalText('docString', graph.doc),
    input: graph.inputs.map(encodeValue),
    output: graph.outputs.map(encodeValue),
    valueInfo: [...graph.types].map(([name, type]) => encodeValue({ name, type })),
    node: graph.nodes.map((node) => encodeNode(node, place)),
    initializer: [...graph.initializers].map(([name, tensor]) => encodeTensor(name, tensor, place(name, tensor))),
    sparseInitializer: [...graph.sparseInitializers].map(([name, tensor]) => encodeSparseTensor(name, tensor)),
  });
}

/** The message of a model-local function. */
export function encodeFunction(fn: ModelFunction, place: PlaceExternally): FunctionProto {
  return create(FunctionProtoSchema, {
    name: fn.name,
    domain: fn.domain,
    ...optionalText('overload', fn.overload),
    ...optionalText('docString', fn.doc),
    input: [...fn.inputs],
    output: [...fn.outputs],
    attribute: [...fn.attributes],
    attributeProto: encodeAttributes(fn.attributeDefaults, place),
    node: fn.nodes.map((node) => encodeNode(node, place)),
    opsetImport: [...fn.opsets].map(([domain, version]) => ({ domain, version: BigInt(version) })),
  });
}

/** The message of a tensor: raw bytes, shared with the tensor, except for strings. */
export function encodeTensor(name: string, tensor: Tensor, placement?: ExternalPlacement): TensorProto {
  const proto = create(TensorProtoSchema, {
    ...optionalText('name', name),
    dims: tensor.dims.map(BigInt),
    dataType: dataTypes[tensor.dtype].code,
  });
  if (tensor.strings) proto.stringData = tensor.strings.map(encodeText);
  else if (placement) {
    proto.dataLocation = TensorProto_DataLocation.EXTERNAL;
    const entries = { location: placement.location, offset: placement.offset, length: placement.length };
    proto.externalData = create(TensorProtoSchema, {
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
    }).externalData;
  } else proto.rawData = tensor.bytes;
  return proto;
}

function encodeSparseTensor(name: string, tensor: SparseTensor): SparseTensorProto {
  return create(SparseTensorProtoSchema, {
    values: encodeTensor(name, tensor.values),
    indices: encodeTensor('', tensor.indices),
    dims: tensor.dims.map(BigInt),
  });
}

function encodeNode(node: Node, place: PlaceExternally): NodeProto {
  return create(NodeProtoSchema, {
    input: [...node.inputs],
    output: [...node.outputs],
    name: node.name,
    opType: node.op,
    ...optionalText('domain', node.domain),
    ...optionalText('overload', node.overload),
    ...optionalText('docString', node.doc),
    attribute: encodeAttributes(node.attributes, place),
  });
}

function encodeAttributes(attributes: Attributes, place: PlaceExternally): AttributeProto[] {
  return [...attributes].map(([name, attribute]) => encodeAttribute(name, attribute, place));
}

const attributeTypes: Readonly<Record<Exclude<Attribute['type'], 'reference'>, AttributeType>> = {
  float: AttributeType.FLOAT,
  int: AttributeType.INT,
  string: AttributeType.STRING,
  tensor: AttributeType.TENSOR,
  graph: AttributeType.GRAPH,
  type: AttributeType.TYPE_PROTO,
  floats: AttributeType.FLOATS,
  ints: AttributeType.INTS,
  strings: AttributeType.STRINGS,
  tensors: AttributeType.TENSORS,
  graphs: AttributeType.GRAPHS,
  types: AttributeType.TYPE_PROTOS,
  'sparse-tensor': AttributeType.SPARSE_TENSOR,
  'sparse-tensors': AttributeType.SPARSE_TENSORS,
};

function encodeAttribute(name: string, attribute: Attribute, place: PlaceExternally): AttributeProto {
  const of = attribute.type === 'reference' ? attribute.of : attribute.type;
  const type: AttributeType =
    (attributeTypes as Readonly<Record<string, AttributeType>>)[of] ?? AttributeType.UNDEFINED;
  const proto = create(AttributeProtoSchema, { name, type });
  switch (attribute.type) {
    case 'reference':
      proto.refAttrName = attribute.value;
      break;
    case 'float':
      proto.f = attribute.value;
      break;
    case 'int':
      proto.i = attribute.value;
      break;
    case 'string':
      proto.s = encodeText(attribute.value);
      break;
    case 'tensor':
      proto.t = encodeTensor('', attribute.value);
      break;
    case 'graph':
      proto.g = encodeGraph(attribute.value, place);
      break;
    case 'type':
      proto.tp = encodeType(attribute.value);
      break;
    case 'floats':
      proto.floats = [...attribute.value];
      break;
    case 'ints':
      proto.ints = [...attribute.value];
      break;
    case 'strings':
      proto.strings = attribute.value.map(encodeText);
      break;
    case 'tensors':
      proto.tensors = attribute.value.map((tensor) => encodeTensor('', tensor));
      break;
    case 'graphs':
      proto.graphs = attribute.value.map((graph) => encodeGraph(graph, place));
      break;
    case 'types':
      proto.typeProtos = attribute.value.map(encodeType);
      break;
    case 'sparse-tensor':
      proto.sparseTensor = encodeSparseTensor('', attribute.value);
      break;
    case 'sparse-tensors':
      proto.sparseTensors = attribute.value.map((tensor) => encodeSparseTensor('', tensor));
      break;
  }
  return proto;
}

function encodeValue(value: Value): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name: value.name,
    ...(value.type === undefined ? {} : { type: encodeType(value.type) }),
  });
}

function optionalText<K extends string>(key: K, text: string): Partial<Record<K, string>> {
  return text === '' ? {} : ({ [key]: text } as Partial<Record<K, string>>);
}
