/** @file Keras v3 (`.keras`): an archive with the configuration and an HDF5 file of weights, numbered instead of named. */
import { Hdf5File, type Hdf5Data } from './hdf5.js';
import { jsonOf, list, record, text, type Json } from './json.js';
import { kerasModel } from './keras-config.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel } from './model.js';
import { zipEntries } from './zip-entries.js';

/** Reads a `.keras` file. Throws AuditError where it is none or exceeds a limit. */
export function readKerasV3(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('keras', limits);
  const entries = zipEntries(bytes, (name) => /^(config|metadata)\.json$|^model\.weights\.h5$/.test(name), budget);
  const configuration = entries.get('config.json');
  if (configuration === undefined) throw budget.invalid('archive', 'it has no config.json');
  const config = jsonOf(configuration, budget);
  const metadata = entries.get('metadata.json');
  const version = metadata && text(record(jsonOf(metadata, budget))['keras_version']);
  const stored = entries.get('model.weights.h5');
  const weights = new Map<string, Hdf5Data>();
  if (stored) {
    const file = new Hdf5File(stored, budget);
    collect(config, new Groups(file, budget), file.root, weights, 0);
  }
  return kerasModel('keras', config, { weights, producer: version && `Keras ${version}` }, budget);
}

class Groups {
  readonly #file: Hdf5File;
  readonly budget: ReadBudget;

  constructor(file: Hdf5File, budget: ReadBudget) {
    this.#file = file;
    this.budget = budget;
  }

  children(at: number): ReadonlyMap<string, number> {
    return this.#file.object(at).children;
  }

  data(at: number): Hdf5Data | undefined {
    return this.#file.object(at).data;
  }
}

/** Weights of a model's layers, under `layer/#number`. Groups are called as their layer, or by class with a counter. */
function collect(config: Json, groups: Groups, at: number, into: Map<string, Hdf5Data>, depth: number): void {
  if (depth > 16) throw groups.budget.invalid('limit', 'models are nested more than 16 deep');
  const parts = groups.children(at);
  const layers = parts.get('layers') ?? parts.get('_layer_checkpoint_dependencies');
  if (layers === undefined) return;
  const stored = groups.children(layers);
  const counts = new Map<string, number>();
  for (const each of list(record(record(config)['config'])['layers'])) {
    groups.budget.spend(1);
    const layer = record(each);
    const name = text(record(layer['config'])['name']) || text(layer['name']);
    const kind = snakeCase(text(layer['class_name']));
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    const group = stored.get(count === 0 ? kind : `${kind}_${count}`) ?? stored.get(name);
    if (group === undefined) continue;
    weightsOf(groups, group, name, into, 0);
    collect(each, groups, group, into, depth + 1);
  }
}

/** The weights of a layer, and of the one that it wraps (`cell`, `layer`, `forward_layer`). */
function weightsOf(groups: Groups, at: number, name: string, into: Map<string, Hdf5Data>, depth: number): void {
  if (depth > 4) return;
  const children = groups.children(at);
  const vars = children.get('vars');
  if (vars !== undefined)
    for (const [number, address] of groups.children(vars)) {
      const data = groups.data(address);
      if (data && !into.has(`${name}/#${number}`)) into.set(`${name}/#${number}`, data);
    }
  for (const inner of ['cell', 'layer', 'forward_layer']) {
    const address = children.get(inner);
    if (address !== undefined) weightsOf(groups, address, name, into, depth + 1);
  }
}

/** As Keras names groups: `BatchNormalization` → `batch_normalization`, `Conv2DTranspose` → `conv2d_transpose`. */
function snakeCase(name: string): string {
  return name
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
