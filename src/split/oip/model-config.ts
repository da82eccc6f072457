/** @file A model's `config.pbtxt`, as Triton's repository layout wants it (other servers pass over it). */
import type { TensorType } from '../../ir/index.js';
import { datatypeOf } from './datatypes.js';
import { OipError } from './status.js';

export interface ModelConfig {
  readonly name: string;
  readonly inputs: readonly ConfigTensor[];
  readonly outputs: readonly ConfigTensor[];
  /** Shown by servers, used by none. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface ConfigTensor {
  readonly name: string;
  readonly type: TensorType;
}

/**
 * The text of `config.pbtxt` for a model on ONNX Runtime. Shapes are whole ones (max_batch_size 0): packed tensors have no
 * batch axis that a server could join requests along. Throws OipError 'unsupported' for types that the protocol cannot
 * carry and for tensors of unknown rank.
 */
export function modelConfig({ name, inputs, outputs, parameters }: ModelConfig): string {
  const stated = Object.entries(parameters).map(
    ([key, value]) => `parameters { key: ${quoted(key)} value: { string_value: ${quoted(value)} } }`,
  );
  return [
    `name: ${quoted(name)}`,
    'backend: "onnxruntime"',
    'platform: "onnxruntime_onnx"',
    'max_batch_size: 0',
    ...inputs.map((tensor) => `input ${tensorText(tensor)}`),
    ...outputs.map((tensor) => `output ${tensorText(tensor)}`),
    ...stated,
    '',
  ].join('\n');
}

function tensorText({ name, type: { dtype, shape } }: ConfigTensor): string {
  if (shape === undefined)
    throw new OipError('unsupported', `the rank of '${name}' is not known, which a configuration must state`, {
      hint: 'Export the model with declared shapes.',
    });
  const datatype = datatypeOf(dtype, name);
  const dims = shape.map((dim) => (typeof dim === 'number' ? dim : -1));
  return `{ name: ${quoted(name)} data_type: TYPE_${datatype === 'BYTES' ? 'STRING' : datatype} dims: [ ${dims.join(', ')} ] }`;
}

/** A string of protobuf's text format. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"\n\r\t]/g, (c) => ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c] ?? `\\${c}`)}"`;
}
