/** @file Caffe networks: text (`.prototxt`) says the layers, wire format (`.caffemodel`) says the same and holds the weights. */
import { assembleModel, type FoundLayer } from './assemble.js';
import {
  BLOBS,
  blobFields,
  caffeShapes,
  networkFields,
  OLD_BLOBS,
  oldTypes,
  partNames,
  windowOf,
} from './caffe-layers.js';
import { familyOf } from './families.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditTensor, AuditWeight, LayerFamily } from './model.js';
import { ProtoMessage } from './protobuf.js';
import { protoSettings, textSettings, type Settings } from './settings.js';
import { elementsOf, kernelMacs, type Shape } from './shape-rules.js';
import { parseTextFormat } from './text-format.js';

interface CaffeOptions {
  readonly limits?: ReadLimits;
  /** The other file of the pair: the text beside weights, the weights beside text. */
  readonly companion?: Uint8Array;
}

interface CaffeLayer {
  readonly name: string;
  readonly type: string;
  readonly settings: Settings;
}

/**
 * Reads weights (`.caffemodel`), with the inputs' shapes from `companion` (`.prototxt`) where these say them and the weights do not.
 * Throws AuditError where the bytes are no such network or exceed a limit.
 */
export function readCaffe(bytes: Uint8Array, options: CaffeOptions = {}): AuditModel {
  const budget = new ReadBudget('caffe', options.limits ?? defaultReadLimits);
  const message = new ProtoMessage(bytes, budget);
  const network = protoSettings(message, networkFields);
  const stored = storedWeights(message, budget);
  const inputs = options.companion ? inputShapes(textNetwork(options.companion, budget)) : new Map<string, Shape>();
  return networkModel('caffe', network, stored, inputs, budget);
}

/**
 * Reads a network in text (`.prototxt`); contents of weights come from `companion` (`.caffemodel`), sizes follow from the layers.
 * Throws AuditError where the bytes are no such network or exceed a limit.
 */
export function readPrototxt(bytes: Uint8Array, options: CaffeOptions = {}): AuditModel {
  const budget = new ReadBudget('caffe-prototxt', options.limits ?? defaultReadLimits);
  const network = textNetwork(bytes, budget);
  const stored = options.companion ? storedWeights(new ProtoMessage(options.companion, budget), budget) : new Map();
  return networkModel('caffe-prototxt', network, stored, new Map(), budget);
}

function textNetwork(bytes: Uint8Array, budget: ReadBudget): Settings {
  if (bytes.length > Math.min(budget.limits.maxFileBytes, 2 ** 28))
    throw budget.invalid('limit', `it has ${bytes.length} bytes`);
  return textSettings(parseTextFormat(new TextDecoder().decode(bytes), budget));
}

/** Layers that run when the network is used, not while it is trained. */
function layersOf(network: Settings, budget: ReadBudget): readonly CaffeLayer[] {
  const all = [...network.parts('layer'), ...network.parts('layers')].flatMap((settings): CaffeLayer[] => {
    const isPhase = (part: Settings, phase: number, word: string): boolean =>
      part.has('phase') && (part.enumWord('phase') === word || part.number('phase', -1) === phase);
    const training = settings.parts('include').some((part) => isPhase(part, 0, 'TRAIN'));
    const notTesting = settings.parts('exclude').some((part) => isPhase(part, 1, 'TEST'));
    if (training || notTesting) return [];
    const written = settings.enumWord('type');
    const old = oldTypes.find(([code, word]) => word === written || code === settings.number('type', -1));
    return [{ name: settings.word('name'), type: old?.[2] ?? written, settings }];
  });
  if (all.length === 0) throw budget.invalid('empty', 'it has no layer');
  if (all.some(({ type }) => type === '')) throw budget.invalid('layer', 'a layer has no type');
  return all;
}

/** Shapes that a network states for its inputs. */
function inputShapes(network: Settings): ReadonlyMap<string, Shape> {
  const shapes = new Map<string, Shape>();
  const names = network.words('input');
  const stated = network.parts('input_shape').map((part) => part.numbers('dim'));
  const dims = network.numbers('input_dim');
  names.forEach((name, i) => {
    const shape = stated[i] ?? dims.slice(4 * i, 4 * i + 4);
    if (shape.length > 0) shapes.set(name, shape);
  });
  for (const layer of network.parts('layer')) {
    const given = layer.part('input_param')?.parts('shape') ?? [];
    layer.words('top').forEach((name, i) => {
      const shape = (given[i] ?? given[0])?.numbers('dim');
      if (shape && shape.length > 0) shapes.set(name, shape);
    });
  }
  return shapes;
}

function networkModel(
  format: 'caffe' | 'caffe-prototxt',
  network: Settings,
  stored: ReadonlyMap<string, readonly AuditWeight[]>,
  given: ReadonlyMap<string, Shape>,
  budget: ReadBudget,
): AuditModel {
  const shapes = new Map<string, Shape | undefined>();
  for (const [name, shape] of [...given, ...inputShapes(network)]) shapes.set(name, budget.dims(shape));
  const tensor = (name: string): AuditTensor => ({ name, shape: shapes.get(name) ?? null, dtype: 'float32' });
  const inputs = new Map(network.words('input').map((name) => [name, tensor(name)]));
  const used = new Set<string>();
  const layers = layersOf(network, budget).map(({ name, type, settings }): FoundLayer => {
    const [from, to] = [settings.words('bottom'), settings.words('top')];
    for (const each of from) if (!to.includes(each)) used.add(each);
    const own = settings.part(partNames[type] ?? '');
    const before = from.map((each) => shapes.get(each));
    const known = before.filter((shape) => shape !== undefined);
    const made =
      type === 'Input' || known.length < before.length || before.length === 0
        ? []
        : (caffeShapes[type]?.(own, known, to.length) ?? to.map(() => known[0]));
    const from_ = from.map(tensor);
    if (type !== 'Input' && type !== 'Data') to.forEach((each, i) => shapes.set(each, made[i] && budget.dims(made[i])));
    else for (const each of to) inputs.set(each, tensor(each));
    const weights = stored.get(name) ?? expectedWeights(type, own, before[0], budget);
    return {
      name,
      op: type,
      family: familyIn(type, own),
      inputs: from_,
      outputs: to.map(tensor),
      weights,
      macs: macsOf(type, own, weights, before[0], shapes.get(to[0] ?? '')),
    };
  });
  const outputs = new Map(layers.flatMap((layer) => layer.outputs.map((value) => [value.name, value] as const)));
  return assembleModel(
    {
      format,
      name: network.word('name'),
      inputs: [...inputs.values()],
      outputs: [...outputs.values()].filter(({ name }) => !used.has(name) && !inputs.has(name)),
      layers,
    },
    budget,
  );
}

function familyIn(type: string, own: Settings | undefined): LayerFamily {
  const group = own?.number('group', 1) ?? 1;
  return type === 'Convolution' && group > 1 && group === own?.number('num_output')
    ? 'depthwise-convolution'
    : familyOf(type);
}

function macsOf(
  type: string,
  own: Settings | undefined,
  weights: readonly AuditWeight[],
  input: Shape | undefined,
  output: Shape | undefined,
): number | null {
  const kernel = weights[0]?.size ?? 0;
  switch (familyOf(type)) {
    case 'convolution':
    case 'depthwise-convolution':
      return kernel === 0 ? null : kernelMacs(kernel, output, own?.number('num_output') ?? 0);
    case 'transposed-convolution':
      return kernel === 0 ? null : kernelMacs(kernel, input, input?.[1] ?? 0);
    case 'dense':
      return kernel === 0 ? null : kernelMacs(kernel, output, own?.number('num_output') ?? 0);
    case 'recurrent': {
      const size = weights.reduce((sum, weight) => (weight.shape.length > 1 ? sum + weight.size : sum), 0);
      return input && size > 0 ? size * (input[0] ?? 1) * (input[1] ?? 1) : null;
    }
    default:
      return 0;
  }
}

/** Order of a kernel's axes; transposed convolutions are stored input channels first. */
function layoutOf(type: string, rank: number): Pick<AuditWeight, 'layout'> {
  if (rank === 4) return { layout: /^Deconvolution/.test(type) ? 'IOHW' : 'OIHW' };
  return rank === 2 ? { layout: 'OI' } : {};
}

/** Weights whose contents are in another file: sizes as Caffe would make them. */
function expectedWeights(
  type: string,
  own: Settings | undefined,
  input: Shape | undefined,
  budget: ReadBudget,
): AuditWeight[] {
  const learned = (name: string, shape: readonly number[]): AuditWeight => ({
    name,
    shape: budget.dims(shape),
    size: elementsOf(shape),
    dtype: 'float32',
    learned: true,
    ...layoutOf(type, shape.length),
  });
  const channels = input?.[1] ?? 0;
  const outputs = own?.number('num_output') ?? 0;
  const bias = own?.number('bias_term', 1) === 0 ? [] : [learned('bias', [outputs])];
  if (input === undefined) return [];
  switch (type) {
    case 'Convolution':
    case 'ConvolutionDepthwise':
    case 'DepthwiseConvolution':
    case 'Deconvolution': {
      if (own === undefined) return [];
      const group = Math.max(1, type === 'Convolution' || type === 'Deconvolution' ? own.number('group', 1) : channels);
      const area = [windowOf(own, 'h').kernel, windowOf(own, 'w').kernel];
      const [first, second] = type === 'Deconvolution' ? [channels, outputs] : [outputs, channels];
      return [learned('weight', [first, Math.floor(second / group), ...area]), ...bias];
    }
    case 'InnerProduct':
      return [learned('weight', [outputs, elementsOf(input.slice(own?.number('axis', 1) ?? 1))]), ...bias];
    case 'Embed':
      return [learned('weight', [own?.number('input_dim') ?? 0, outputs]), ...bias];
    case 'BatchNorm':
      return [learned('mean', [channels]), learned('variance', [channels])];
    case 'Scale':
      return [learned('scale', [channels]), ...(own?.number('bias_term') ? [learned('bias', [channels])] : [])];
    case 'PReLU':
      return [learned('slope', [channels])];
    default:
      return [];
  }
}

const BLOB_NAMES: Readonly<Record<string, readonly string[]>> = { BatchNorm: ['mean', 'variance', 'factor'] };

/** Weights by layer name. */
function storedWeights(network: ProtoMessage, budget: ReadBudget): Map<string, readonly AuditWeight[]> {
  const found = new Map<string, readonly AuditWeight[]>();
  const read = (layer: ProtoMessage, name: string, type: string, blobs: number): void => {
    const weights = layer.messages(blobs).map((blob, i): AuditWeight => {
      const floats = blob.fixed(blobFields.data, 4);
      const doubles = floats ? undefined : blob.fixed(blobFields.doubles, 8);
      const old = [blobFields.num, blobFields.channels, blobFields.height, blobFields.width].map((id) =>
        blob.int(id, 1),
      );
      const shape = budget.dims(blob.message(blobFields.shape)?.ints(1) ?? old);
      const count = floats ? floats.length / 4 : doubles ? doubles.length / 8 : elementsOf(shape);
      if (count !== elementsOf(shape))
        throw budget.invalid('weights', `layer '${name}' holds ${count} numbers for [${shape.join(', ')}]`);
      const bytes = floats ?? doubles;
      return {
        name: BLOB_NAMES[type]?.[i] ?? (i === 0 ? 'weight' : 'bias'),
        shape,
        size: count,
        dtype: doubles ? 'float64' : 'float32',
        // The third of a batch normalisation says how many batches were averaged.
        learned: !(type === 'BatchNorm' && i === 2),
        ...(bytes ? { bytes } : {}),
        ...(i === 0 ? layoutOf(type, shape.length) : {}),
      };
    });
    if (weights.length > 0) found.set(name, weights);
  };
  for (const layer of network.messages(100)) read(layer, layer.string(1), layer.string(2), BLOBS);
  for (const layer of network.messages(2)) read(layer, layer.string(4), '', OLD_BLOBS);
  return found;
}
