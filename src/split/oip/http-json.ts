/**
 * @file Requests and replies as HTTP bodies: JSON, with tensors' bytes behind it where both ends wish (the binary-data
 * extension: the header Inference-Header-Content-Length says where the JSON ends).
 */
import * as z from 'zod/mini';
import { inEnglish } from '../../platform/index.js';
import { datatypeOf, dtypeOf } from './datatypes.js';
import type { InferReply, InferRequest, NamedTensor, Parameter, Parameters, RequestedOutput } from './messages.js';
import { OipError } from './status.js';
import {
  checkedDims,
  elementsOfTensor,
  rawOfTensor,
  tensorOfElements,
  tensorOfRaw,
  type Element,
} from './tensor-data.js';

/** Header with the bytes of JSON in a body that goes on with tensors' bytes. */
export const INFERENCE_HEADER = 'inference-header-content-length';

/** A body and what its headers must say. */
export interface HttpBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** Bytes of JSON at the start; absent where there is nothing else. */
  readonly jsonBytes: number | undefined;
}

const parameter = z.union([z.boolean(), z.string(), z.number()]);
// Other implementations write null for what is left out.
const parameters = z.nullish(z.record(z.string(), z.nullable(parameter)));
const tensor = z.object({
  name: z.string(),
  shape: z.array(z.number()),
  datatype: z.string(),
  parameters,
  data: z.nullish(z.array(z.unknown())),
});
const requested = z.object({ name: z.string(), parameters });
const requestSchema = z.object({
  id: z.nullish(z.string()),
  parameters,
  inputs: z.array(tensor),
  outputs: z.nullish(z.array(requested)),
});
const replySchema = z.object({
  model_name: z.string(),
  model_version: z.nullish(z.string()),
  id: z.nullish(z.string()),
  parameters,
  outputs: z.array(tensor),
});
type TensorJson = z.infer<typeof tensor>;

/** Parameters that speak of the transport: they end where the transport does. */
const BINARY_OUTPUT = 'binary_data_output';
const BINARY_SIZE = 'binary_data_size';
const BINARY = 'binary_data';

/** A request as a body; tensors follow as bytes, and the reply's are asked for as bytes, unless `binary` is false. */
export function requestToHttp(request: InferRequest, { binary = true }: { readonly binary?: boolean } = {}): HttpBody {
  const given = new Map(request.parameters);
  if (binary) given.set(BINARY_OUTPUT, true);
  const outputs = request.outputs.map((output) => {
    const own = output.binary === undefined ? '' : `,"parameters":{"${BINARY}":${output.binary}}`;
    return `{"name":${JSON.stringify(output.name)}${own}}`;
  });
  const fields = [
    ...(request.id === '' ? [] : [`"id":${JSON.stringify(request.id)}`]),
    ...parametersField(given),
    `"inputs":${tensorsToJson(request.inputs, () => binary)}`,
    ...(outputs.length === 0 ? [] : [`"outputs":[${outputs.join(',')}]`]),
  ];
  return joined(`{${fields.join(',')}}`, binary ? request.inputs : []);
}

/**
 * A body as a request; tensors sent as bytes are views of it where they lie aligned. `jsonBytes` is what
 * Inference-Header-Content-Length says. Throws OipError 'invalid'.
 */
export function requestOfHttp(
  path: { readonly model: string; readonly version: string },
  bytes: Uint8Array,
  jsonBytes: number | undefined,
): InferRequest {
  const { json, rest } = parsed(bytes, jsonBytes, requestSchema, 'inference request');
  const given = parametersOf(json.parameters);
  const binary = given.get(BINARY_OUTPUT) === true;
  given.delete(BINARY_OUTPUT);
  return {
    ...path,
    id: json.id ?? '',
    parameters: given,
    inputs: tensorsOfJson(json.inputs, rest),
    outputs: (json.outputs ?? []).map((output): RequestedOutput => {
      const own = output.parameters?.[BINARY];
      return { name: output.name, binary: typeof own === 'boolean' ? own : binary };
    }),
    ...(binary && (json.outputs ?? []).length === 0 ? { [ALL_BINARY]: true } : {}),
  };
}

/** Set on a request that names no outputs and wants them all as bytes. */
const ALL_BINARY = Symbol('all outputs as bytes');

/** A reply as a body; a tensor follows as bytes where the request asked for that. Throws OipError for NaN and infinities in JSON. */
export function replyToHttp(reply: InferReply, request: InferRequest): HttpBody {
  const all = (request as { readonly [ALL_BINARY]?: boolean })[ALL_BINARY] === true;
  const wishes = new Map(request.outputs.map(({ name, binary }) => [name, binary === true]));
  const isBinary = (name: string): boolean => wishes.get(name) ?? all;
  const fields = [
    `"model_name":${JSON.stringify(reply.model)}`,
    `"model_version":${JSON.stringify(reply.version)}`,
    ...(reply.id === '' ? [] : [`"id":${JSON.stringify(reply.id)}`]),
    ...parametersField(reply.parameters),
    `"outputs":${tensorsToJson(reply.outputs, isBinary)}`,
  ];
  return joined(
    `{${fields.join(',')}}`,
    reply.outputs.filter(({ name }) => isBinary(name)),
  );
}

/** A body as a reply. Throws OipError 'invalid'. */
export function replyOfHttp(bytes: Uint8Array, jsonBytes: number | undefined): InferReply {
  const { json, rest } = parsed(bytes, jsonBytes, replySchema, 'inference reply');
  return {
    model: json.model_name,
    version: json.model_version ?? '',
    id: json.id ?? '',
    parameters: parametersOf(json.parameters),
    outputs: tensorsOfJson(json.outputs, rest),
  };
}

/** Bytes of JSON that a header states. Throws OipError 'invalid' for what is no number. */
export function statedJsonBytes(header: string | null | undefined): number | undefined {
  if (header === null || header === undefined || header === '') return undefined;
  if (!/^\d{1,12}$/.test(header)) throw new OipError('invalid', `${INFERENCE_HEADER} is '${header}', which is no size`);
  return Number(header);
}

/** Parameters as a JSON object's text; bigints keep all their digits. */
export function parametersToJson(given: Parameters): string {
  const entries = Array.from(given, ([name, value]) => {
    const text = typeof value === 'bigint' ? String(value) : JSON.stringify(value);
    return `${JSON.stringify(name)}:${text}`;
  });
  return `{${entries.join(',')}}`;
}

const parametersField = (given: Parameters): readonly string[] =>
  given.size === 0 ? [] : [`"parameters":${parametersToJson(given)}`];

function parametersOf(json: TensorJson['parameters']): Map<string, Parameter> {
  const parameters = new Map<string, Parameter>();
  for (const [name, value] of Object.entries(json ?? {})) if (value !== null) parameters.set(name, value);
  return parameters;
}

function tensorsToJson(tensors: readonly NamedTensor[], isBinary: (name: string) => boolean): string {
  const texts = tensors.map(({ name, tensor: { dims }, tensor }) => {
    const head = `"name":${JSON.stringify(name)},"datatype":"${datatypeOf(tensor.dtype, name)}","shape":[${dims.join(',')}]`;
    const body = isBinary(name)
      ? `"parameters":{"${BINARY_SIZE}":${rawOfTensor(tensor).length}}`
      : `"data":[${dataText(tensor, name)}]`;
    return `{${head},${body}}`;
  });
  return `[${texts.join(',')}]`;
}

function dataText(tensor: NamedTensor['tensor'], name: string): string {
  const elements = Array.from(elementsOfTensor(tensor));
  if (elements.some((value) => typeof value === 'number' && !Number.isFinite(value)))
    throw new OipError('invalid', `tensor '${name}' holds NaN or infinite values, which JSON cannot carry`, {
      hint: 'Ask for it as binary data.',
    });
  return elements.map((value) => (typeof value === 'string' ? JSON.stringify(value) : String(value))).join(',');
}

function joined(json: string, binary: readonly NamedTensor[]): HttpBody {
  const text = new TextEncoder().encode(json);
  if (binary.length === 0) return { bytes: text, contentType: 'application/json', jsonBytes: undefined };
  const raws = binary.map(({ tensor }) => rawOfTensor(tensor));
  const bytes = new Uint8Array(raws.reduce((sum, { length }) => sum + length, text.length));
  bytes.set(text);
  let at = text.length;
  for (const raw of raws) {
    bytes.set(raw, at);
    at += raw.length;
  }
  return { bytes, contentType: 'application/octet-stream', jsonBytes: text.length };
}

function parsed<T>(
  bytes: Uint8Array,
  jsonBytes: number | undefined,
  schema: z.ZodMiniType<T>,
  what: string,
): { readonly json: T; readonly rest: Uint8Array } {
  const end = jsonBytes ?? bytes.length;
  if (end > bytes.length)
    throw new OipError('invalid', `${INFERENCE_HEADER} says ${end} bytes of JSON, but the body has ${bytes.length}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end)));
  } catch (cause) {
    throw new OipError('invalid', `the ${what} is not JSON`, { cause });
  }
  const result = schema.safeParse(json, inEnglish);
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    throw new OipError('invalid', `the ${what} is malformed: ${path.map(String).join('.')}: ${message}`);
  }
  return { json: result.data, rest: bytes.subarray(end) };
}

function tensorsOfJson(tensors: readonly TensorJson[], rest: Uint8Array): readonly NamedTensor[] {
  let at = 0;
  const named = tensors.map(({ name, shape, datatype, parameters: own, data }): NamedTensor => {
    const dtype = dtypeOf(datatype, name);
    const dims = checkedDims(shape, name);
    const size = own?.[BINARY_SIZE];
    if (size === undefined || size === null)
      return { name, tensor: tensorOfElements(dtype, dims, flattened(data, name), name) };
    if (data !== undefined && data !== null)
      throw new OipError('invalid', `tensor '${name}' has both data and ${BINARY_SIZE}`);
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || at + size > rest.length)
      throw new OipError('invalid', `tensor '${name}' claims ${String(size)} bytes, but ${rest.length - at} are left`);
    at += size;
    return { name, tensor: tensorOfRaw(dtype, dims, rest.subarray(at - size, at), name) };
  });
  if (at !== rest.length) throw new OipError('invalid', `${rest.length - at} bytes of the body belong to no tensor`);
  return named;
}

/** Nested lists in row-major order: the protocol allows both forms. */
function flattened(data: readonly unknown[] | null | undefined, name: string): readonly Element[] {
  if (data === undefined || data === null) throw new OipError('invalid', `tensor '${name}' has no data`);
  let flat: readonly unknown[] = data;
  for (let depth = 0; flat.some(Array.isArray); depth++) {
    if (depth === 64) throw new OipError('invalid', `tensor '${name}' nests its data too deeply`);
    flat = flat.flat();
  }
  return flat as readonly Element[];
}
