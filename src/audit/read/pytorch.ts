/** @file PyTorch checkpoints and TorchScript archives: parameters with names and shapes. Nothing of a pickle is run. */
import { assembleModel, bitsOf } from './assemble.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel } from './model.js';
import { isCall, isMap, isName, isReference, readPickle, wordOf, type Pickled } from './pickle.js';
import { noGraph, torchLayers, type TorchContents, type TorchStorage, type TorchTensor } from './torch-layers.js';
import { readTorchFlatbuffer } from './torch-flatbuffer.js';
import { zipEntries } from './zip-entries.js';

/** Element types by the class of their storage. */
const STORAGES: Readonly<Record<string, string>> = {
  FloatStorage: 'float32',
  DoubleStorage: 'float64',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
  QInt8Storage: 'int8',
  QUInt8Storage: 'uint8',
  QInt32Storage: 'int32',
  ComplexFloatStorage: 'complex64',
  ComplexDoubleStorage: 'complex128',
};

type Format = 'pytorch' | 'torchscript' | 'pytorch-mobile';

/**
 * Reads the parameters of a checkpoint (ZIP, or the format before 1.6), a TorchScript archive, or a model for PyTorch Mobile (ZIP or
 * FlatBuffer). Layers are modules by name; how they are wired is not known. Throws AuditError where the bytes are no such file, it
 * holds no tensor, or a limit is exceeded.
 */
export function readPytorch(
  bytes: Uint8Array,
  limits: ReadLimits = defaultReadLimits,
  format: Format = 'pytorch',
): AuditModel {
  const budget = new ReadBudget(format, limits);
  const found =
    bytes[0] === 0x50
      ? zipped(bytes, budget)
      : format === 'pytorch-mobile'
        ? readTorchFlatbuffer(bytes, budget)
        : pickled(legacy(bytes, budget), budget);
  const { tensors, modules, storages, operators } = found;
  if (tensors.length === 0) throw budget.invalid('empty', 'it holds no tensor');
  return assembleModel(
    {
      format,
      inputs: [],
      outputs: [],
      layers: torchLayers(tensors, modules, storages, budget),
      metadata: operators && operators.size > 0 ? { operators: [...operators].sort().join(' ') } : {},
      notes: [noGraph],
    },
    budget,
  );
}

interface Saved {
  readonly value: Pickled;
  readonly storages: ReadonlyMap<string, Uint8Array>;
}

function pickled({ value, storages }: Saved, budget: ReadBudget): TorchContents {
  const tensors: TorchTensor[] = [];
  const modules = new Map<string, string>();
  collect(value, '', { tensors, modules, seen: new Set(), budget }, 0);
  return { tensors, modules, storages };
}

/** Entries of an archive that say something: modules, constants of the code, their numbers, and the code itself. */
const ENTRIES = /^(?:[^/]+\/)?(data\.pkl|constants\.pkl|bytecode\.pkl|data\/[^/]+|constants\/[^/]+|code\/.+\.py)$/;

function zipped(bytes: Uint8Array, budget: ReadBudget): TorchContents {
  const entries = new Map<string, Uint8Array>();
  for (const [name, content] of zipEntries(bytes, (each) => ENTRIES.test(each), budget))
    entries.set(ENTRIES.exec(name)![1]!, content);
  const part = (name: string): TorchContents | undefined => {
    const content = entries.get(`${name}.pkl`);
    const storages = new Map<string, Uint8Array>();
    for (const [key, each] of entries) if (key.startsWith(`${name}/`)) storages.set(key.slice(name.length + 1), each);
    return content && pickled({ value: readPickle(content, 0, budget).value, storages }, budget);
  };
  const data = part('data');
  if (data === undefined) throw budget.invalid('archive', 'it has no data.pkl');
  // A frozen module has its parameters in its code's constants.
  const constants = part('constants');
  const operators = new Set<string>();
  const bytecode = entries.get('bytecode.pkl');
  if (bytecode) collectOperators(readPickle(bytecode, 0, budget).value, operators, budget);
  for (const [name, content] of entries) if (name.startsWith('code/')) operatorsOfCode(content, operators, budget);
  return {
    tensors: [...data.tensors, ...(constants?.tensors.map(asConstant) ?? [])],
    modules: data.modules,
    storages: new Map([
      ...data.storages,
      ...[...(constants?.storages ?? [])].map(([key, each]): [string, Uint8Array] => [`constants/${key}`, each]),
    ]),
    operators,
  };
}

const asConstant = (tensor: TorchTensor): TorchTensor => ({
  ...tensor,
  name: `constants.${tensor.name}`,
  storage: { ...tensor.storage, key: `constants/${tensor.storage.key}` },
});

/** Names such as `aten::conv2d`, which stand in the byte code as the first of a list. */
function collectOperators(value: Pickled, into: Set<string>, budget: ReadBudget): void {
  walkPickled(value, budget, (each) => {
    const name = Array.isArray(each) ? (each as readonly Pickled[])[0] : undefined;
    if (typeof name === 'string' && /^\w+::\w+$/.test(name)) into.add(name.replace(/^aten::/, ''));
  });
}

function operatorsOfCode(code: Uint8Array, into: Set<string>, budget: ReadBudget): void {
  budget.spend(code.length >>> 3);
  for (const [, name, custom] of utf8.decode(code).matchAll(/\b(?:torch\.(\w{1,80})|ops\.(\w{1,80}\.\w{1,80}))\(/g))
    into.add(name ?? custom!.replace('.', '::'));
}

const utf8 = new TextDecoder();

/** Five pickles (number, version, system, contents, keys), then each storage with its count in front. */
function legacy(bytes: Uint8Array, budget: ReadBudget): Saved {
  let at = 0;
  const next = (): Pickled => {
    const { value, end } = readPickle(bytes, at, budget);
    at = end;
    return value;
  };
  next();
  next();
  next();
  const value = next();
  const keys = next();
  const widths = new Map<string, number>();
  walkPickled(value, budget, (each) => {
    const storage = storageOf(each);
    if (storage) widths.set(storage.key, bitsOf(storage.dtype) / 8);
  });
  const storages = new Map<string, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const key of Array.isArray(keys) ? (keys as readonly Pickled[]) : []) {
    if (at + 8 > bytes.length) throw budget.invalid('truncated', 'it ends within its storages');
    const size = Number(view.getBigUint64(at, true)) * (widths.get(wordOf(key)) ?? 4);
    at += 8;
    if (at + size > bytes.length)
      throw budget.invalid('truncated', `a storage of ${size} bytes at ${at} of ${bytes.length}`);
    storages.set(wordOf(key), bytes.subarray(at, at + size));
    at += size;
  }
  return { value, storages };
}

/** Shows everything inside of a pickle to `visit`, once. */
function walkPickled(value: Pickled, budget: ReadBudget, visit: (each: Pickled) => void): void {
  const seen = new Set<Pickled>();
  const walk = (each: Pickled, depth: number): void => {
    if (typeof each !== 'object' || each === null || each instanceof Uint8Array || seen.has(each)) return;
    if (depth > DEEPEST) throw budget.invalid('limit', 'its pickle is nested too deep');
    budget.spend(1);
    seen.add(each);
    visit(each);
    if (isReference(each)) walk(each.id, depth + 1);
    else if (isMap(each))
      for (const [key, inner] of each.entries) {
        walk(key, depth + 1);
        walk(inner, depth + 1);
      }
    else if (isCall(each)) {
      walk(each.args, depth + 1);
      if (each.state !== undefined) walk(each.state, depth + 1);
    } else if (!isName(each)) for (const inner of each) walk(inner, depth + 1);
  };
  walk(value, 0);
}

const DEEPEST = 200;

function storageOf(value: Pickled | undefined): TorchStorage | undefined {
  if (!isReference(value) || !Array.isArray(value.id)) return undefined;
  const [word, type, key] = value.id as readonly Pickled[];
  if (word !== 'storage' || !isName(type) || (typeof key !== 'string' && typeof key !== 'number')) return undefined;
  const known = STORAGES[type.name.slice(type.name.lastIndexOf('.') + 1)];
  return known === undefined ? undefined : { dtype: known, key: wordOf(key) };
}

const numbers = (value: Pickled | undefined): readonly number[] =>
  Array.isArray(value) ? (value as readonly Pickled[]).filter((each) => typeof each === 'number') : [];

function tensorOf(value: Pickled, name: string, budget: ReadBudget): TorchTensor | undefined {
  if (!isCall(value) || !isName(value.callee) || !Array.isArray(value.args)) return undefined;
  const args = value.args as readonly Pickled[];
  if (/\._rebuild_parameter(_with_state)?$/.test(value.callee.name)) return tensorOf(args[0] ?? null, name, budget);
  if (!/\._rebuild_(tensor(_v2)?|qtensor)$/.test(value.callee.name)) return undefined;
  const storage = storageOf(args[0]);
  const shape = numbers(args[2]);
  if (storage === undefined || typeof args[1] !== 'number' || shape.some((dim) => dim < 0)) return undefined;
  return { name, storage, offset: args[1], shape: budget.dims(shape), strides: numbers(args[3]) };
}

interface Collected {
  readonly tensors: TorchTensor[];
  /** Classes of modules by name, where the pickle tells them. */
  readonly modules: Map<string, string>;
  readonly seen: Set<Pickled>;
  readonly budget: ReadBudget;
}

function collect(value: Pickled, name: string, to: Collected, depth: number): void {
  if (depth > DEEPEST) throw to.budget.invalid('limit', 'its pickle is nested too deep');
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || to.seen.has(value)) return;
  to.budget.spend(1);
  to.seen.add(value);
  const tensor = tensorOf(value, name, to.budget);
  const inside = (key: Pickled): string => (name === '' ? wordOf(key) : `${name}.${wordOf(key)}`);
  if (tensor) to.tensors.push(tensor);
  else if (isMap(value)) {
    for (const [key, each] of value.entries)
      // Modules keep their parameters and parts in dictionaries of these names; they are no part of a parameter's name.
      collect(each, /^(_parameters|_buffers|_modules)$/.test(wordOf(key)) ? name : inside(key), to, depth + 1);
  } else if (isCall(value)) {
    if (isName(value.callee)) to.modules.set(name, value.callee.name.slice(value.callee.name.lastIndexOf('.') + 1));
    if (value.state !== undefined) collect(value.state, name, to, depth + 1);
  } else if (Array.isArray(value))
    (value as readonly Pickled[]).forEach((each, i) => collect(each, inside(i), to, depth + 1));
}
