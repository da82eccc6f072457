/** @file Keras models in HDF5: the configuration in an attribute, the weights as data sets below `model_weights`. */
import { Hdf5File } from './hdf5.js';
import { parsedJson } from './json.js';
import { kerasModel } from './keras-config.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel } from './model.js';
import type { TfTensor } from './tf-attributes.js';

/** Reads a Keras HDF5 model. Throws AuditError where the file is none, holds no configuration, or exceeds a limit. */
export function readKerasH5(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('keras-h5', limits);
  const file = new Hdf5File(bytes, budget);
  const root = file.object(file.root);
  const config = root.attributes.get('model_config');
  if (config === undefined) throw budget.invalid('config', 'it holds weights without a configuration');
  const weights = new Map<string, TfTensor>();
  const collect = (address: number, path: readonly string[], depth: number): void => {
    if (depth > 16) throw budget.invalid('limit', 'groups are nested more than 16 deep');
    const { data, children } = file.object(address);
    // `layer/…/kernel:0`: the first group is the layer, the last name the weight.
    if (data) weights.set(`${path[0] ?? ''}/${(path.at(-1) ?? '').replace(/:\d+$/, '')}`, data);
    for (const [name, child] of children) collect(child, [...path, name], depth + 1);
  };
  const stored = root.children.get('model_weights');
  if (stored !== undefined) collect(stored, [], 0);
  const version = root.attributes.get('keras_version');
  return kerasModel(
    'keras-h5',
    parsedJson(config, budget),
    { weights, producer: version && `Keras ${version}` },
    budget,
  );
}
