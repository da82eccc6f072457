/** @file The protocol's datatypes and ONNX's, one to one. */
import type { DataType } from '../../ir/index.js';
import { OipError } from './status.js';

/** Which ONNX element type a datatype is. ONNX's complex, float8 and 4-bit types have none. */
const DATATYPES = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: 'bfloat16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<string, DataType>;

export type Datatype = keyof typeof DATATYPES;

const BY_DTYPE = new Map<DataType, Datatype>(
  (Object.keys(DATATYPES) as Datatype[]).map((name) => [DATATYPES[name], name]),
);

/** The ONNX type of a datatype. Throws OipError 'invalid' for a name that the protocol does not know. */
export function dtypeOf(datatype: string, tensor: string): DataType {
  if (!Object.hasOwn(DATATYPES, datatype))
    throw new OipError('invalid', `tensor '${tensor}' has datatype '${datatype}', which the protocol does not know`);
  return DATATYPES[datatype as Datatype];
}

/** The datatype of an ONNX type. Throws OipError 'unsupported' for types that the protocol cannot carry. */
export function datatypeOf(dtype: DataType, tensor: string): Datatype {
  const datatype = BY_DTYPE.get(dtype);
  if (datatype === undefined)
    throw new OipError('unsupported', `tensor '${tensor}' is ${dtype}, which the protocol cannot carry`);
  return datatype;
}
