/** @file Value types → TypeProto. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { dataTypes, type Shape, type ValueType } from '../ir/index.js';
import { TypeProtoSchema, type TensorShapeProtoSchema, type TypeProto } from './gen/onnx_pb.js';

/** The message of a type; an unknown element type of a container is left out, as in files that do not state it. */
export function encodeType(type: ValueType): TypeProto {
  switch (type.kind) {
    case 'tensor':
    case 'sparse-tensor':
      return create(TypeProtoSchema, {
        value: {
          case: type.kind === 'tensor' ? 'tensorType' : 'sparseTensorType',
          value: {
            elemType: dataTypes[type.dtype].code,
            ...(type.shape === undefined ? {} : { shape: encodeShape(type.shape) }),
          },
        },
      });
    case 'sequence':
    case 'optional':
      return create(TypeProtoSchema, {
        value: {
          case: type.kind === 'sequence' ? 'sequenceType' : 'optionalType',
          value: type.element === undefined ? {} : { elemType: encodeType(type.element) },
        },
      });
    case 'map':
      return create(TypeProtoSchema, {
        value: {
          case: 'mapType',
          value: {
            keyType: dataTypes[type.key].code,
            ...(type.value === undefined ? {} : { valueType: encodeType(type.value) }),
          },
        },
      });
  }
}

function encodeShape(shape: Shape): MessageInitShape<typeof TensorShapeProtoSchema> {
  return {
    dim: shape.map((dim) => {
      if (dim === null) return {};
      return typeof dim === 'number'
        ? { value: { case: 'dimValue' as const, value: BigInt(dim) } }
        : { value: { case: 'dimParam' as const, value: dim } };
    }),
  };
}
