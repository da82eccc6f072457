/** @file Parameters of PyTorch by name → modules as layers, with what they are by their class or by the shapes of their parameters. */
import { bitsOf, type FoundLayer } from './assemble.js';
import type { ReadBudget } from './limits.js';
import type { AuditWeight, LayerFamily } from './model.js';
import { elementsOf } from './shape-rules.js';

/** Where numbers of a tensor lie. */
export interface TorchStorage {
  readonly dtype: string;
  readonly key: string;
}

/** A parameter or buffer, by the name that its module gives it. */
export interface TorchTensor {
  readonly name: string;
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** What a file of PyTorch holds. */
export interface TorchContents {
  readonly tensors: readonly TorchTensor[];
  /** Classes of modules by name, where the file tells them. */
  readonly modules: ReadonlyMap<string, string>;
  readonly storages: ReadonlyMap<string, Uint8Array>;
  /** Names of the operators that its code uses. */
  readonly operators?: ReadonlySet<string>;
}

/** What is not known of a file without a graph. */
export const noGraph =
  'it holds parameters without a graph that is read: wiring, shapes of values and MACs are not known; ' +
  'a normalisation that stands behind a convolution of as many channels counts as folded into it';

/** Layers of a file that holds parameters by name: one per module, in the file's order. Throws AuditError where a tensor leaves its storage. */
export function torchLayers(
  tensors: readonly TorchTensor[],
  modules: ReadonlyMap<string, string>,
  storages: ReadonlyMap<string, Uint8Array>,
  budget: ReadBudget,
): FoundLayer[] {
  const groups = new Map<string, TorchTensor[]>();
  for (const tensor of tensors) {
    const layer = tensor.name.slice(0, Math.max(0, tensor.name.lastIndexOf('.')));
    const list = groups.get(layer);
    if (list) list.push(tensor);
    else groups.set(layer, [tensor]);
  }
  const layers: FoundLayer[] = [];
  for (const [name, list] of groups) {
    const family = familyOf(name, list, modules.get(name));
    const weights = list.map((tensor) => weightOf(tensor, family, storages, budget));
    layers.push({
      name: name === '' ? '(root)' : name,
      op: modules.get(name) ?? 'module',
      family,
      inputs: [],
      outputs: [],
      weights,
      macs: family === 'normalisation' || family === 'other' || family === 'embedding' ? 0 : null,
      foldsAt: foldedInto(layers, list, weights),
    });
  }
  return layers;
}

/** Where a batch normalisation goes by the order of modules: into a convolution right before it that makes as many channels. */
function foldedInto(
  before: readonly FoundLayer[],
  tensors: readonly TorchTensor[],
  weights: readonly AuditWeight[],
): number | undefined {
  if (!tensors.some(({ name }) => lastPart(name) === 'running_mean')) return undefined;
  const kernel = before.at(-1)?.weights?.[0];
  const channels = kernel?.shape[kernel.layout === 'IOHW' ? 1 : 0];
  return kernel?.layout !== undefined && weights.every(({ learned, size }) => !learned || size === channels)
    ? before.length - 1
    : undefined;
}

const lastPart = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/** What a module is by its class, else by the shapes of its parameters; tables of vectors by their names. */
function familyOf(name: string, tensors: readonly TorchTensor[], type = ''): LayerFamily {
  const last = ({ name }: TorchTensor): string => lastPart(name);
  const weight = tensors.find((tensor) => last(tensor) === 'weight');
  if (/Embedding/.test(type) || /(^|\.)(\w*embed\w*|wte|wpe)$/.test(name)) return 'embedding';
  if (/ConvTranspose/.test(type)) return 'transposed-convolution';
  if (tensors.some((tensor) => /^weight_(ih|hh)_l\d/.test(last(tensor)))) return 'recurrent';
  if (tensors.some((tensor) => last(tensor) === 'running_mean')) return 'normalisation';
  if (weight === undefined) return 'other';
  if (weight.shape.length >= 3)
    return weight.shape[1] === 1 && weight.shape[0]! > 1 ? 'depthwise-convolution' : 'convolution';
  return weight.shape.length === 2 ? 'dense' : 'normalisation';
}

function weightOf(
  { name, storage, offset, shape, strides }: TorchTensor,
  family: LayerFamily,
  storages: ReadonlyMap<string, Uint8Array>,
  budget: ReadBudget,
): AuditWeight {
  const size = elementsOf(shape);
  const width = bitsOf(storage.dtype) / 8;
  const whole = storages.get(storage.key);
  // Strides of 0 repeat an element.
  const reach = size === 0 ? 0 : shape.reduce((last, dim, i) => last + (dim - 1) * (strides[i] ?? 0), offset + 1);
  if (whole !== undefined && reach * width > whole.length)
    throw budget.invalid('storage', `'${name}' lies outside of its storage`);
  let step = 1;
  // Axes of one have any stride.
  const isPlain = shape
    .map((_, i) => i)
    .reverse()
    .every((i) => {
      const fits = shape[i] === 1 || strides[i] === step;
      step *= shape[i]!;
      return fits;
    });
  const isKernel = name.endsWith('weight') && shape.length >= 2;
  return {
    name,
    shape,
    size,
    dtype: storage.dtype,
    learned: storage.dtype !== 'int64' && storage.dtype !== 'bool',
    ...(whole && isPlain ? { bytes: whole.subarray(offset * width, (offset + size) * width) } : {}),
    key: `${storage.key}@${offset}`,
    ...(isKernel && family !== 'embedding' && family !== 'recurrent'
      ? { layout: family === 'transposed-convolution' ? 'IOHW' : shape.length === 2 ? 'OI' : 'OIHW' }
      : {}),
  };
}
