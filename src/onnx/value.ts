/** @file Single values in files of their own (TensorProto, SequenceProto, OptionalProto): recorded inputs and outputs. */
import { toBinary } from '@bufbuild/protobuf';
import type { SparseTensor, Tensor } from '../ir/index.js';
import { decodeSparseTensor, decodeTensor, type TensorSource } from './decode-tensor.js';
import { parse } from './decode.js';
import { encodeTensor } from './encode-graph.js';
import { OnnxFormatError } from './errors.js';
import {
  OptionalProtoSchema,
  SequenceProtoSchema,
  TensorProtoSchema,
  type OptionalProto,
  type SequenceProto,
} from './gen/onnx_pb.js';
import { defaultLimits, type OnnxLimits } from './limits.js';

/** A value of any ONNX kind; an empty optional has no value. */
export type StoredValue =
  | { readonly kind: 'tensor'; readonly tensor: Tensor }
  | { readonly kind: 'sparse-tensor'; readonly tensor: SparseTensor }
  | { readonly kind: 'sequence'; readonly values: readonly StoredValue[] }
  | { readonly kind: 'optional'; readonly value: StoredValue | undefined };

/** The value in a file that holds one message of the given kind. Throws OnnxFormatError or OnnxUnsupportedError. */
export function decodeValue(
  bytes: Uint8Array,
  kind: 'tensor' | 'sequence' | 'optional',
  options: { readonly limits?: Partial<OnnxLimits> } = {},
): { readonly name: string; readonly value: StoredValue } {
  const limits = { ...defaultLimits, ...options.limits };
  const source: TensorSource = { limits, externalData: undefined };
  switch (kind) {
    case 'tensor': {
      const proto = parse(TensorProtoSchema, bytes, limits);
      return { name: proto.name, value: { kind, tensor: decodeTensor(proto, source) } };
    }
    case 'sequence': {
      const proto = parse(SequenceProtoSchema, bytes, limits);
      return { name: proto.name, value: sequenceValue(proto, source) };
    }
    case 'optional': {
      const proto = parse(OptionalProtoSchema, bytes, limits);
      return { name: proto.name, value: optionalValue(proto, source) };
    }
  }
}

/** A tensor as a file of its own. */
export function encodeTensorFile(name: string, tensor: Tensor): Uint8Array {
  return toBinary(TensorProtoSchema, encodeTensor(name, tensor));
}

// Element kinds of SequenceProto and OptionalProto.
const UNDEFINED = 0;
const TENSOR = 1;
const SPARSE_TENSOR = 2;
const SEQUENCE = 3;
const OPTIONAL = 5;

function sequenceValue(proto: SequenceProto, source: TensorSource): StoredValue {
  const values = ((): readonly StoredValue[] => {
    switch (proto.elemType) {
      case UNDEFINED:
        return [];
      case TENSOR:
        return proto.tensorValues.map((tensor) => ({ kind: 'tensor', tensor: decodeTensor(tensor, source) }));
      case SPARSE_TENSOR:
        return proto.sparseTensorValues.map((tensor) => ({
          kind: 'sparse-tensor',
          tensor: decodeSparseTensor(tensor, source),
        }));
      case SEQUENCE:
        return proto.sequenceValues.map((sequence) => sequenceValue(sequence, source));
      case OPTIONAL:
        return proto.optionalValues.map((optional) => optionalValue(optional, source));
      default:
        throw new OnnxFormatError('value', `sequence '${proto.name}' has elements of kind ${proto.elemType}`);
    }
  })();
  return { kind: 'sequence', values };
}

function optionalValue(proto: OptionalProto, source: TensorSource): StoredValue {
  const value = ((): StoredValue | undefined => {
    switch (proto.elemType) {
      case UNDEFINED:
        return undefined;
      case TENSOR:
        return proto.tensorValue && { kind: 'tensor', tensor: decodeTensor(proto.tensorValue, source) };
      case SPARSE_TENSOR:
        return (
          proto.sparseTensorValue && {
            kind: 'sparse-tensor',
            tensor: decodeSparseTensor(proto.sparseTensorValue, source),
          }
        );
      case SEQUENCE:
        return proto.sequenceValue && sequenceValue(proto.sequenceValue, source);
      case OPTIONAL:
        return proto.optionalValue && optionalValue(proto.optionalValue, source);
      default:
        throw new OnnxFormatError('value', `optional '${proto.name}' holds a value of kind ${proto.elemType}`);
    }
  })();
  return { kind: 'optional', value };
}
