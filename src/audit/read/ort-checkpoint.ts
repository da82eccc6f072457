/** @file Checkpoints of ONNX Runtime's on-device training (`ODTC`): trained and frozen parameters by name. */
import { dataTypeOfCode } from '../../ir/index.js';
import { assembleModel } from './assemble.js';
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel } from './model.js';
import { rowMajor } from './shape-rules.js';
import { noGraph, torchLayers, type TorchTensor } from './torch-layers.js';

/** Field ids of `ort_training_checkpoint.fbs` and of the tensors of `ort.fbs`. */
const fields = {
  checkpoint: { version: 0, modules: 1, optimisers: 2 },
  modules: { trained: 0, frozen: 1 },
  optimiser: { name: 0, step: 1 },
  tensor: { name: 0, dims: 2, type: 3, bytes: 4 },
} as const;

/** Reads the parameters of a checkpoint. Throws AuditError where the bytes are none, it holds no tensor, or a limit is exceeded. */
export function readOrtCheckpoint(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('ort-checkpoint', limits);
  const root = new FlatBuffer(bytes, budget).root();
  const modules = root.table(fields.checkpoint.modules);
  const storages = new Map<string, Uint8Array>();
  const tensors = [fields.modules.trained, fields.modules.frozen]
    .flatMap((id) => modules?.tables(id) ?? [])
    .flatMap((table) => tensorOf(table, storages, budget));
  if (tensors.length === 0) throw budget.invalid('empty', 'it holds no tensor');
  const metadata: Record<string, string> = { trained: String(modules?.tables(fields.modules.trained).length ?? 0) };
  for (const group of root.tables(fields.checkpoint.optimisers))
    metadata[`optimiser ${group.string(fields.optimiser.name) ?? ''}`] = `step ${group.uint64(fields.optimiser.step)}`;
  return assembleModel(
    {
      format: 'ort-checkpoint',
      version: String(root.int32(fields.checkpoint.version)),
      inputs: [],
      outputs: [],
      layers: torchLayers(tensors, new Map(), storages, budget),
      metadata,
      notes: [noGraph],
    },
    budget,
  );
}

function tensorOf(table: FlatTable, storages: Map<string, Uint8Array>, budget: ReadBudget): readonly TorchTensor[] {
  const name = table.string(fields.tensor.name) ?? '';
  const dtype = dataTypeOfCode(table.int32(fields.tensor.type));
  const shape = budget.dims(table.int64s(fields.tensor.dims) ?? []);
  if (dtype === undefined || dtype === 'string' || shape.some((dim) => dim < 0)) return [];
  const bytes = table.bytes(fields.tensor.bytes);
  if (bytes && bytes.length > 0) storages.set(name, bytes);
  return [{ name, storage: { dtype, key: name }, offset: 0, shape, strides: rowMajor(shape) }];
}
