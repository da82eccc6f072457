/** @file Under which hashes two models are the same: learned numbers, their signs, the graph, the skeleton. */
import type { AuditLayer, AuditModel, AuditTensor, AuditWeight } from '../read/model.js';
import type { LayerIdentity, ModelIdentity } from './analysis.js';
import { hashOfLines, type HasherFactory } from './hasher.js';
import { kernelAxes, kernelOf } from './kernel-axes.js';
import { canonicalBytes, weightValues } from './weight-values.js';

/** A layer with weights and what is folded into it. */
interface WeightedLayer {
  readonly layer: AuditLayer;
  readonly members: readonly AuditLayer[];
}

const FEWEST_SIGNS = 256;
const FEWEST_KERNELS = 3;

/** Computes all hashes of a model. */
export function modelIdentity(model: AuditModel, hasher: HasherFactory): ModelIdentity {
  const groups = weightedLayers(model.layers);
  const tensors: string[] = [];
  const signs: string[] = [];
  const layers: LayerIdentity[] = [];
  const seen = new Set<string>();
  let isWhole = groups.length > 0;
  for (const { layer, members } of groups) {
    const hashes: string[] = [];
    let bytes = 0;
    for (const weight of members.flatMap(({ weights }) => weights)) {
      if (!weight.learned || weight.size === 0 || (weight.key !== undefined && seen.has(weight.key))) continue;
      if (weight.key !== undefined) seen.add(weight.key);
      const stored = canonicalBytes(weight);
      if (stored === undefined) {
        isWhole = false;
        continue;
      }
      bytes += stored.byteLength;
      // Some writers give every layer a bias, and fill it with zeros where the network has none.
      if (kernelAxes(weight) === undefined && stored.every((byte) => byte === 0)) continue;
      const hash = hasher();
      hash.update(new TextEncoder().encode(weight.dtype));
      hash.update(stored);
      hashes.push(hash.hex());
    }
    if (hashes.length === 0) continue;
    tensors.push(...hashes);
    layers.push({ name: layer.name, hash: hashes.length === 1 ? hashes[0]! : hashOfLines(hashes, hasher), bytes });
    const sign = kernelSigns(layer, members, hasher);
    if (sign !== undefined) signs.push(sign);
  }
  // Formats order independent branches differently: a set has no order.
  const ofSet = (hashes: readonly string[]): string | null =>
    isWhole && hashes.length > 0 ? hashOfLines([...hashes].sort(), hasher) : null;
  const skeleton = skeletonOf(groups);
  // A handful of signs or kernels is the same by chance.
  const signed = groups.reduce((sum, { layer }) => sum + (kernelOf(layer)?.size ?? 0), 0);
  return {
    weights: ofSet(tensors),
    signs: signed >= FEWEST_SIGNS ? ofSet(signs) : null,
    graph: model.layers.length > 0 ? hashOfLines(graphLines(model), hasher) : null,
    skeleton: skeleton.length >= FEWEST_KERNELS ? hashOfLines(skeleton, hasher) : null,
    layers,
  };
}

/** Layers with learned numbers; normalisations and biases that can be folded belong to the layer before them. */
export function weightedLayers(layers: readonly AuditLayer[]): readonly WeightedLayer[] {
  const groups: { layer: AuditLayer; members: AuditLayer[] }[] = [];
  const byName = new Map<string, { members: AuditLayer[] }>();
  for (const layer of layers) {
    if (!layer.weights.some(({ learned }) => learned)) continue;
    const root = layer.foldsInto === undefined ? undefined : byName.get(`${layer.graph ?? ''}\0${layer.foldsInto}`);
    if (root !== undefined) {
      root.members.push(layer);
      continue;
    }
    const group = { layer, members: [layer] };
    groups.push(group);
    byName.set(`${layer.graph ?? ''}\0${layer.name}`, group);
  }
  return groups;
}

const GAIN = /^(fusedbatchnorm|batchnorm|scale|mul|multiply)/;

/**
 * Hash of the signs of a layer's kernel, after what folds into it: the same for one network in float32 and float16, with its
 * normalisations apart or folded, whatever tool rounded it. `undefined` for layers without a kernel.
 */
function kernelSigns(layer: AuditLayer, members: readonly AuditLayer[], hasher: HasherFactory): string | undefined {
  const kernel = kernelOf(layer);
  const values = kernel && weightValues(kernel);
  if (kernel === undefined || values === undefined || values.length !== kernel.size) return undefined;
  const axes = kernelAxes(kernel) ?? {
    outputs: 1,
    inputs: kernel.size,
    window: [],
    strides: { output: 0, input: 1, window: 1 },
  };
  const { outputs, inputs, window, strides } = axes;
  const positions = window.reduce((size, dim) => size * dim, 1);
  if (outputs * inputs * positions !== values.length) return undefined;
  const flips = flippedChannels(members.slice(1), outputs);
  const zero = kernel.zeroPoint ?? 0;
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  let at = 0;
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let k = 0; k < positions; k++, at++) {
        const value = values[o * strides.output + i * strides.input + k * strides.window]! - zero;
        if (flips?.[o] === 1 ? value > 0 : value < 0) bits[at >> 3]! |= 1 << (at & 7);
      }
  const hash = hasher();
  hash.update(bits);
  return hash.hex();
}

/** Output channels that a folded gain turns round. */
function flippedChannels(folded: readonly AuditLayer[], outputs: number): Uint8Array | undefined {
  let flips: Uint8Array | undefined;
  for (const { op, weights } of folded) {
    const learned = weights.filter((weight) => weight.learned);
    const gain = learned[0];
    if (gain === undefined || !GAIN.test(op.toLowerCase().replace(/[^a-z]/g, '')) || gain.size !== outputs) continue;
    // Caffe's BatchNorm holds mean, variance and a factor; Keras may leave out the gain.
    if (learned.at(-1)!.size === 1 || /beta|mean/.test(gain.name.split('/').at(-1) ?? '')) continue;
    const values = weightValues(gain);
    if (values === undefined) continue;
    flips ??= new Uint8Array(outputs);
    for (let o = 0; o < outputs; o++) if (values[o]! < 0) flips[o]! ^= 1;
  }
  return flips;
}

/** One line a layer: what it does, which values it reads and makes, by number, and the shapes of its constants. */
function* graphLines(model: AuditModel): Generator<string> {
  const numbers = new Map<string, number>();
  const value = (tensor: AuditTensor, graph: string | undefined, isNew: boolean): string => {
    const name = `${graph ?? ''}\0${tensor.name}`;
    if (isNew || !numbers.has(name)) numbers.set(name, numbers.size);
    return `${numbers.get(name)}:${shapeText(tensor.shape)}:${tensor.dtype ?? '?'}`;
  };
  for (const input of model.inputs) yield `input ${value(input, undefined, true)}`;
  for (const layer of model.layers) {
    const inputs = layer.inputs.map((tensor) => value(tensor, layer.graph, false)).join(' ');
    const outputs = layer.outputs.map((tensor) => value(tensor, layer.graph, true)).join(' ');
    const weights = layer.weights.map(({ shape, dtype }) => `${shapeText(shape)}:${dtype}`).join(' ');
    yield `${layer.op} | ${inputs} | ${outputs} | ${weights}`;
  }
}

const shapeText = (shape: AuditTensor['shape']): string =>
  shape === null ? '?' : shape.map((dim) => dim ?? '?').join('x');

/** What is left of a network in every format: its kernels' sizes and the work of each, in no order. */
function skeletonOf(groups: readonly WeightedLayer[]): readonly string[] {
  return groups
    .flatMap(({ layer }) => {
      const kernel = kernelOf(layer);
      return kernel === undefined ? [] : [`${kernelText(kernel)} ${layer.macs ?? '?'}`];
    })
    .sort();
}

function kernelText(kernel: AuditWeight): string {
  const axes = kernelAxes(kernel);
  if (axes === undefined) return `${[...kernel.shape].filter((dim) => dim !== 1).join('x')}`;
  return [axes.outputs, axes.inputs, ...axes.window.filter((dim) => dim !== 1)].join('x');
}
