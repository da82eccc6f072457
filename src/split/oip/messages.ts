/** @file Requests and replies of the Open Inference Protocol v2 as plain data: what every transport carries. */
import type { Tensor } from '../../ir/index.js';

/** A parameter's value: a bigint travels as int64, a number as double. */
export type Parameter = boolean | string | number | bigint;

export type Parameters = ReadonlyMap<string, Parameter>;

export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

export interface RequestedOutput {
  readonly name: string;
  /** HTTP alone: whether its data should follow the JSON as bytes; the request's default where omitted. */
  readonly binary?: boolean;
}

/** A ModelInfer request. */
export interface InferRequest {
  readonly model: string;
  /** '' where the server shall choose. */
  readonly version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly NamedTensor[];
  /** All outputs where empty. */
  readonly outputs: readonly RequestedOutput[];
}

/** The reply to a ModelInfer request. */
export interface InferReply {
  readonly model: string;
  readonly version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly outputs: readonly NamedTensor[];
}

/** An input or output of a model; −1 stands for a dim of any size. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

/** The reply to a ModelMetadata request. */
export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly parameters: Parameters;
}

/** The reply to a ServerMetadata request. */
export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export const NO_PARAMETERS: Parameters = new Map();

/** A request with what is left out filled in. */
export function inferRequest(
  model: string,
  inputs: readonly NamedTensor[],
  rest: Partial<Omit<InferRequest, 'model' | 'inputs'>> = {},
): InferRequest {
  return { model, inputs, version: '', id: '', parameters: NO_PARAMETERS, outputs: [], ...rest };
}
