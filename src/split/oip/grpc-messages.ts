/** @file Requests and replies as protobuf messages of `inference.GRPCInferenceService`, and back. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { DataType } from '../../ir/index.js';
import { datatypeOf, dtypeOf } from './datatypes.js';
import {
  InferParameterSchema,
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ModelMetadataResponseSchema,
  type InferParameter,
  type InferTensorContents,
  type ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataResponse,
} from './gen/open-inference_pb.js';
import type { InferReply, InferRequest, ModelMetadata, NamedTensor, Parameter, Parameters } from './messages.js';
import { OipError } from './status.js';
import { checkedDims, rawOfTensor, tensorOfElements, tensorOfRaw, textOf, type Element } from './tensor-data.js';

/** A request as its message: tensors raw. Throws OipError 'unsupported' for tensors that the protocol cannot carry. */
export function requestToMessage(request: InferRequest): ModelInferRequest {
  return create(ModelInferRequestSchema, {
    modelName: request.model,
    modelVersion: request.version,
    id: request.id,
    parameters: parametersToMessage(request.parameters),
    inputs: request.inputs.map(tensorHeader),
    outputs: request.outputs.map(({ name }) => ({ name })),
    rawInputContents: request.inputs.map(({ tensor }) => rawOfTensor(tensor)),
  });
}

/** A message as a request; raw contents are shared, not copied. Throws OipError 'invalid' for data that does not fit its shape. */
export function requestOfMessage(message: ModelInferRequest): InferRequest {
  return {
    model: message.modelName,
    version: message.modelVersion,
    id: message.id,
    parameters: parametersOfMessage(message.parameters),
    inputs: tensorsOf(message.inputs, message.rawInputContents),
    outputs: message.outputs.map(({ name }) => ({ name })),
  };
}

/** A reply as its message: tensors raw. */
export function replyToMessage(reply: InferReply): ModelInferResponse {
  return create(ModelInferResponseSchema, {
    modelName: reply.model,
    modelVersion: reply.version,
    id: reply.id,
    parameters: parametersToMessage(reply.parameters),
    outputs: reply.outputs.map(tensorHeader),
    rawOutputContents: reply.outputs.map(({ tensor }) => rawOfTensor(tensor)),
  });
}

/** A message as a reply; servers that send typed contents are understood too. Throws OipError 'invalid'. */
export function replyOfMessage(message: ModelInferResponse): InferReply {
  return {
    model: message.modelName,
    version: message.modelVersion,
    id: message.id,
    parameters: parametersOfMessage(message.parameters),
    outputs: tensorsOf(message.outputs, message.rawOutputContents),
  };
}

/** A model's metadata as its message. */
export function metadataToMessage(metadata: ModelMetadata): ModelMetadataResponse {
  const tensors = (list: ModelMetadata['inputs']) =>
    list.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) }));
  return create(ModelMetadataResponseSchema, {
    name: metadata.name,
    versions: [...metadata.versions],
    platform: metadata.platform,
    inputs: tensors(metadata.inputs),
    outputs: tensors(metadata.outputs),
    parameters: parametersToMessage(metadata.parameters),
  });
}

/** A message as a model's metadata. */
export function metadataOfMessage(message: ModelMetadataResponse): ModelMetadata {
  const tensors = (list: ModelMetadataResponse['inputs']) =>
    list.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(Number) }));
  const { name, versions, platform } = message;
  return {
    ...{ name, versions, platform },
    inputs: tensors(message.inputs),
    outputs: tensors(message.outputs),
    parameters: parametersOfMessage(message.parameters),
  };
}

function tensorHeader({ name, tensor }: NamedTensor): { name: string; datatype: string; shape: bigint[] } {
  return { name, datatype: datatypeOf(tensor.dtype, name), shape: tensor.dims.map(BigInt) };
}

interface TensorMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly bigint[];
  readonly contents?: InferTensorContents;
}

function tensorsOf(tensors: readonly TensorMessage[], raw: readonly Uint8Array[]): readonly NamedTensor[] {
  if (raw.length > 0 && raw.length !== tensors.length)
    throw new OipError('invalid', `${raw.length} raw contents do not fit ${tensors.length} tensors`);
  return tensors.map(({ name, datatype, shape, contents }, index) => {
    const dtype = dtypeOf(datatype, name);
    const dims = checkedDims(shape, name);
    const bytes = raw[index];
    if (bytes === undefined)
      return { name, tensor: tensorOfElements(dtype, dims, listed(contents, dtype, name), name) };
    if (contents !== undefined) throw new OipError('invalid', `tensor '${name}' has both raw and typed contents`);
    return { name, tensor: tensorOfRaw(dtype, dims, bytes, name) };
  });
}

/** Which list of typed contents holds which element type. 16-bit floats have none: they must be raw. */
const LISTS: Readonly<Partial<Record<DataType, Exclude<keyof InferTensorContents, '$typeName' | '$unknown'>>>> = {
  bool: 'boolContents',
  int8: 'intContents',
  int16: 'intContents',
  int32: 'intContents',
  int64: 'int64Contents',
  uint8: 'uintContents',
  uint16: 'uintContents',
  uint32: 'uintContents',
  uint64: 'uint64Contents',
  float32: 'fp32Contents',
  float64: 'fp64Contents',
  string: 'bytesContents',
};

function listed(contents: InferTensorContents | undefined, dtype: DataType, name: string): ArrayLike<Element> {
  const list = LISTS[dtype];
  if (list === undefined) throw new OipError('invalid', `tensor '${name}' is ${dtype}, which must be sent raw`);
  if (contents === undefined) return [];
  if (list === 'bytesContents') return contents.bytesContents.map((bytes) => textOf(bytes, name));
  return contents[list];
}

function parametersToMessage(parameters: Parameters): Record<string, InferParameter> {
  const messages: Record<string, InferParameter> = {};
  for (const [name, value] of parameters)
    messages[name] = create(InferParameterSchema, { parameterChoice: choiceOf(value) });
  return messages;
}

function choiceOf(value: Parameter): MessageInitShape<typeof InferParameterSchema>['parameterChoice'] {
  if (typeof value === 'boolean') return { case: 'boolParam', value };
  if (typeof value === 'string') return { case: 'stringParam', value };
  if (typeof value === 'bigint') return { case: 'int64Param', value };
  return { case: 'doubleParam', value };
}

function parametersOfMessage(messages: Readonly<Record<string, InferParameter>>): Parameters {
  const parameters = new Map<string, Parameter>();
  for (const [name, { parameterChoice }] of Object.entries(messages))
    if (parameterChoice.value !== undefined) parameters.set(name, parameterChoice.value);
  return parameters;
}
