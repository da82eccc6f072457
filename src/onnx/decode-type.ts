/** @file TypeProto → value types. */
import { dataTypeOfCode, type DataType, type Dim, type Shape, type ValueType } from '../ir/index.js';
import { OnnxFormatError, OnnxUnsupportedError } from './errors.js';
import type { TensorShapeProto, TypeProto } from './gen/onnx_pb.js';
import type { OnnxLimits } from './limits.js';

/**
 * The type, or `undefined` where none is stated (no case set, or element type 0).
 * Throws OnnxUnsupportedError for opaque types and unknown element types, OnnxFormatError for impossible dims.
 */
export function decodeType(
  type: TypeProto | undefined,
  of: string,
  limits: OnnxLimits,
  depth = 1,
): ValueType | undefined {
  if (depth > limits.maxTypeDepth)
    throw new OnnxFormatError('limit', `the type of '${of}' is nested more than ${limits.maxTypeDepth} deep`);
  const inner = (element: TypeProto | undefined): ValueType | undefined => decodeType(element, of, limits, depth + 1);
  switch (type?.value.case) {
    case 'tensorType':
    case 'sparseTensorType': {
      const { elemType, shape } = type.value.value;
      if (elemType === 0) return undefined;
      const kind = type.value.case === 'tensorType' ? 'tensor' : 'sparse-tensor';
      return { kind, dtype: decodeDataType(elemType, of), shape: decodeShape(shape, of, limits) };
    }
    case 'sequenceType':
      return { kind: 'sequence', element: inner(type.value.value.elemType) };
    case 'optionalType':
      return { kind: 'optional', element: inner(type.value.value.elemType) };
    case 'mapType':
      return {
        kind: 'map',
        key: decodeDataType(type.value.value.keyType, of),
        value: inner(type.value.value.valueType),
      };
    case 'opaqueType':
      throw new OnnxUnsupportedError('type', `'${of}' has an opaque type, which is not supported`);
    case undefined:
      return undefined;
  }
}

/** A TensorProto.DataType code as a data type. Throws OnnxUnsupportedError for a code that is not known. */
export function decodeDataType(code: number, of: string): DataType {
  const dtype = dataTypeOfCode(code);
  if (dtype === undefined)
    throw code === 0
      ? new OnnxFormatError('dtype', `'${of}' has no element type`)
      : new OnnxUnsupportedError('dtype', `'${of}' has element type ${code}, which is not supported`, {
          hint: 'Export the model with element types of ONNX 1.18 or older.',
        });
  return dtype;
}

function decodeShape(shape: TensorShapeProto | undefined, of: string, limits: OnnxLimits): Shape | undefined {
  if (shape === undefined) return undefined;
  if (shape.dim.length > limits.maxRank)
    throw new OnnxFormatError('limit', `'${of}' has ${shape.dim.length} dims, more than ${limits.maxRank}`);
  return shape.dim.map(({ value }): Dim => {
    if (value.case === 'dimParam') return value.value === '' ? null : value.value;
    if (value.case === undefined) return null;
    // Exporters write −1 where they do not know a dim.
    if (value.value < 0n) return null;
    if (value.value > BigInt(Number.MAX_SAFE_INTEGER))
      throw new OnnxFormatError('dims', `'${of}' has a dim of ${value.value}`);
    return Number(value.value);
  });
}
