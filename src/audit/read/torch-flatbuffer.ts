/** @file Models for PyTorch Mobile in a FlatBuffer (`PTMF`): objects with attributes, tensors with their storages. */
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import type { ReadBudget } from './limits.js';
import type { TorchContents, TorchTensor } from './torch-layers.js';

/** Field ids of PyTorch's `mobile_bytecode.fbs`, by table. */
const fields = {
  module: { stateObject: 3, values: 4, storages: 6, objectTypes: 7 },
  value: { kind: 0, value: 1 },
  tensor: { storage: 0, type: 1, offset: 2, sizes: 3, strides: 4 },
  list: { items: 0 },
  dict: { keys: 0, values: 1 },
  text: { data: 0 },
  objectType: { name: 0, attributes: 2 },
  object: { type: 0, state: 1, attributes: 2 },
  function: { operators: 2 },
  operator: { name: 0 },
  storage: { data: 0 },
} as const;

/** Kinds of values, in the order of the union. */
const kinds = { tensor: 5, text: 6, list: 7, tuple: 8, dict: 9, object: 10, function: 16 } as const;

/** Element types by PyTorch's `ScalarType`. */
const scalarTypes: readonly string[] =
  'uint8,int8,int16,int32,int64,float16,float32,float64,complex32,complex64,complex128,bool,int8,uint8,int32,bfloat16'.split(
    ',',
  );

/** Reads the tensors of such a file by the names of their objects. Throws AuditError where it is none or exceeds a limit. */
export function readTorchFlatbuffer(bytes: Uint8Array, budget: ReadBudget): TorchContents {
  const root = new FlatBuffer(bytes, budget).root();
  const values = root.tables(fields.module.values);
  const types = root.tables(fields.module.objectTypes);
  const storages = new Map<string, Uint8Array>();
  root.tables(fields.module.storages).forEach((table, i) => {
    const data = table.bytes(fields.storage.data);
    if (data) storages.set(String(i), data);
  });
  const walk = new ValueWalk(values, types, budget);
  walk.value(root.uint32(fields.module.stateObject), '', 0);
  const operators = new Set<string>();
  for (const each of values)
    if (each.uint8(fields.value.kind) === kinds.function)
      for (const operator of each.table(fields.value.value)?.tables(fields.function.operators) ?? []) {
        const name = operator.string(fields.operator.name);
        if (name) operators.add(name.replace(/^aten::/, ''));
      }
  return { tensors: walk.tensors, modules: walk.modules, storages, operators };
}

class ValueWalk {
  readonly tensors: TorchTensor[] = [];
  readonly modules = new Map<string, string>();
  readonly #values: readonly FlatTable[];
  readonly #types: readonly FlatTable[];
  readonly #budget: ReadBudget;
  readonly #seen = new Set<number>();

  constructor(values: readonly FlatTable[], types: readonly FlatTable[], budget: ReadBudget) {
    this.#values = values;
    this.#types = types;
    this.#budget = budget;
  }

  value(index: number, name: string, depth: number): void {
    const at = this.#values[index];
    if (at === undefined || this.#seen.has(index)) return;
    if (depth > 200) throw this.#budget.invalid('limit', 'its objects are nested too deep');
    this.#budget.spend(1);
    this.#seen.add(index);
    const table = at.table(fields.value.value);
    if (table === undefined) return;
    const inside = (key: string | number): string => (name === '' ? String(key) : `${name}.${key}`);
    switch (at.uint8(fields.value.kind)) {
      case kinds.tensor:
        this.tensors.push(this.#tensor(table, name));
        return;
      case kinds.list:
      case kinds.tuple:
        (table.int32s(fields.list.items) ?? []).forEach((item, i) => this.value(item, inside(i), depth + 1));
        return;
      case kinds.dict: {
        const keys = table.int32s(fields.dict.keys) ?? [];
        (table.int32s(fields.dict.values) ?? []).forEach((item, i) =>
          this.value(item, inside(this.#text(keys[i]) ?? i), depth + 1),
        );
        return;
      }
      case kinds.object:
        this.#object(table, name, inside, depth);
    }
  }

  #object(table: FlatTable, name: string, inside: (key: string | number) => string, depth: number): void {
    const type = this.#types[table.uint32(fields.object.type)];
    const title = type?.string(fields.objectType.name) ?? '';
    this.modules.set(name, title.slice(title.lastIndexOf('.') + 1));
    const names = type?.strings(fields.objectType.attributes) ?? [];
    (table.int32s(fields.object.attributes) ?? []).forEach((item, i) =>
      this.value(item, inside(names[i] ?? i), depth + 1),
    );
    const state = table.uint32(fields.object.state);
    if (state > 0) this.value(state, name, depth + 1);
  }

  #text(index: number | undefined): string | undefined {
    const at = index === undefined ? undefined : this.#values[index];
    return at?.uint8(fields.value.kind) === kinds.text
      ? at.table(fields.value.value)?.string(fields.text.data)
      : undefined;
  }

  #tensor(table: FlatTable, name: string): TorchTensor {
    const shape = table.int32s(fields.tensor.sizes) ?? [];
    if (shape.some((dim) => dim < 0)) throw this.#budget.invalid('dims', `a tensor of shape [${shape.join(', ')}]`);
    return {
      name,
      storage: {
        dtype: scalarTypes[table.int8(fields.tensor.type)] ?? 'uint8',
        key: String(table.uint32(fields.tensor.storage)),
      },
      offset: Math.max(0, table.int32(fields.tensor.offset)),
      shape: this.#budget.dims(shape),
      strides: table.int32s(fields.tensor.strides) ?? [],
    };
  }
}
