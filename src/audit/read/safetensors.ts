/** @file safetensors: a JSON of names, types and shapes, then the numbers. Layers are modules by name, as in PyTorch. */
import { assembleModel, bitsOf } from './assemble.js';
import { jsonOf, list, record, text } from './json.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel } from './model.js';
import { elementsOf, rowMajor } from './shape-rules.js';
import { noGraph, torchLayers, type TorchTensor } from './torch-layers.js';

const types: Readonly<Record<string, string>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  F8_E4M3: 'float8e4m3fn',
  F8_E5M2: 'float8e5m2',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U64: 'uint64',
  U32: 'uint32',
  U16: 'uint16',
  U8: 'uint8',
  BOOL: 'bool',
};

/** Reads the parameters of a safetensors file. Throws AuditError where it is none, holds no tensor, or exceeds a limit. */
export function readSafetensors(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('safetensors', limits);
  if (bytes.length < 8 || bytes.length > limits.maxFileBytes)
    throw budget.invalid('limit', `it has ${bytes.length} bytes`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > bytes.length - 8) throw budget.invalid('truncated', `a header of ${length} bytes`);
  const header = record(jsonOf(bytes.subarray(8, 8 + length), budget));
  const data = bytes.subarray(8 + length);
  const tensors: TorchTensor[] = [];
  const storages = new Map<string, Uint8Array>();
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    budget.spend(1);
    const entry = record(value);
    const dtype = types[text(entry['dtype'])] ?? text(entry['dtype']).toLowerCase();
    const shape = budget.dims(list(entry['shape']).map(Number));
    const [from, to] = list(entry['data_offsets']).map(Number);
    if (shape.some((dim) => dim < 0) || from === undefined || to === undefined || !(from >= 0 && from <= to))
      throw budget.invalid('tensor', `'${name}' has no sound shape or place`);
    if (to > data.length) throw budget.invalid('truncated', `'${name}' ends at byte ${to} of ${data.length}`);
    if (to - from !== Math.ceil((elementsOf(shape) * bitsOf(dtype)) / 8))
      throw budget.invalid('tensor', `'${name}' of shape [${shape.join(', ')}] has ${to - from} bytes`);
    storages.set(name, data.subarray(from, to));
    tensors.push({ name, storage: { dtype, key: name }, offset: 0, shape, strides: rowMajor(shape) });
  }
  if (tensors.length === 0) throw budget.invalid('empty', 'it holds no tensor');
  return assembleModel(
    {
      format: 'safetensors',
      inputs: [],
      outputs: [],
      layers: torchLayers(tensors, new Map(), storages, budget),
      metadata: Object.fromEntries(
        Object.entries(record(header['__metadata__'])).map(([key, each]) => [key, text(each)]),
      ),
      notes: [noGraph],
    },
    budget,
  );
}
