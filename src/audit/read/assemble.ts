/** @file Layers as a reader found them → the normal form: shared weights counted once, foldings marked, totals summed. */
import type { ModelFormat } from '../formats.js';
import { familyOf } from './families.js';
import type { ReadBudget } from './limits.js';
import type {
  AuditLayer,
  AuditModel,
  AuditQuantisation,
  AuditSignature,
  AuditTensor,
  AuditTotals,
  AuditWeight,
  LayerFamily,
} from './model.js';

/** What a reader says of one layer. */
export interface FoundLayer {
  readonly name: string;
  readonly op: string;
  /** Where the operator's name does not tell. */
  readonly family?: LayerFamily;
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
  readonly weights?: readonly AuditWeight[];
  /** `null` where it cannot be known; 0 where omitted. */
  readonly macs?: number | null;
  readonly graph?: string;
  /** Not reached from the main graph: its MACs are no part of the total. */
  readonly aside?: boolean;
  readonly perChannel?: boolean;
  /** Ends in an activation of its own, so that nothing behind it can be folded into it. */
  readonly activated?: boolean;
  /** That activation, where its name is known. */
  readonly activation?: string | undefined;
  /** Index of the layer that it can be folded into, where that is known without wires. */
  readonly foldsAt?: number | undefined;
}

/** What a reader says of a whole model. */
export interface FoundModel {
  readonly format: ModelFormat;
  readonly name?: string | undefined;
  readonly producer?: string | undefined;
  readonly version?: string | undefined;
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
  readonly layers: readonly FoundLayer[];
  readonly signatures?: readonly AuditSignature[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly notes?: readonly string[];
}

/** Normalisations, scales and biases that become part of the layer before them when a network is made ready for inference. */
const FOLDABLE =
  /^(batchnorm(alization)?(v\d)?|fusedbatchnorm(v\d)?|scale|bias|biasadd|add(v2)?|sub|mul|div|realdiv|multiply|binaryop|elementwiseadd|elementwisemul|elementwisesub|elementwisediv)$/;
/** Layers that only rearrange what a convolution made: TensorFlow writes dilated ones between two of these. */
const TRANSPARENT = /^(batchtospacend)$/;
const FOLD_TARGETS: ReadonlySet<LayerFamily> = new Set([
  'convolution',
  'depthwise-convolution',
  'transposed-convolution',
  'dense',
  'matmul',
]);

/** Makes the normal form. Throws AuditError where there are more layers than the limit allows. */
export function assembleModel(found: FoundModel, budget: ReadBudget): AuditModel {
  if (found.layers.length > budget.limits.maxLayers)
    throw budget.invalid('limit', `it has ${found.layers.length} layers`);
  const folds = foldings(found.layers);
  const counted = new Set<string>();
  const layers = found.layers.map((layer, index): AuditLayer => {
    let params = 0;
    for (const weight of layer.weights ?? []) {
      if (!weight.learned || (weight.key !== undefined && counted.has(weight.key))) continue;
      if (weight.key !== undefined) counted.add(weight.key);
      params += weight.size;
    }
    const target = folds.targets.get(index);
    return {
      name: layer.name,
      op: layer.op,
      family: layer.family ?? familyOf(layer.op),
      inputs: layer.inputs,
      outputs: layer.outputs,
      macs: layer.macs === undefined ? 0 : layer.macs,
      params,
      weights: layer.weights ?? [],
      ...(layer.graph === undefined ? {} : { graph: layer.graph }),
      ...(layer.activation ? { activation: layer.activation } : {}),
      ...(target === undefined ? {} : { foldsInto: found.layers[target]!.name }),
    };
  });
  const { name, producer, version } = found;
  return {
    format: found.format,
    ...(name ? { name } : {}),
    ...(producer ? { producer } : {}),
    ...(version ? { version } : {}),
    inputs: found.inputs,
    outputs: found.outputs,
    layers,
    totals: totalsOf(found.layers, layers, folds),
    quantisation: quantisationOf(found.layers, layers),
    signatures: found.signatures ?? [],
    metadata: found.metadata ?? {},
    notes: found.notes ?? [],
  };
}

interface Foldings {
  /** Index of a normalisation → index of the layer that it becomes part of. */
  readonly targets: ReadonlyMap<number, number>;
  /** Layers without a bias that gain one, with its length. */
  readonly biases: ReadonlyMap<number, number>;
}

function foldings(layers: readonly FoundLayer[]): Foldings {
  const uses = new Map<string, number>();
  for (const layer of layers)
    for (const { name } of layer.inputs) uses.set(key(layer, name), (uses.get(key(layer, name)) ?? 0) + 1);
  const targets = new Map<number, number>();
  const biases = new Map<number, number>();
  // Caffe layers may write over their input: the last writer so far is the producer.
  const writers = new Map<string, number>();
  const rootOf = (layer: FoundLayer, inPlace: boolean): number | undefined => {
    const at = key(layer, layer.inputs[0]!.name);
    const writer = writers.get(at);
    if (writer === undefined || !(inPlace || uses.get(at) === 1)) return undefined;
    const before = layers[writer]!;
    if (before.activated === true) return undefined;
    if (TRANSPARENT.test(plain(before.op)) && before.inputs.length > 0) return rootOf(before, false);
    return targets.get(writer) ?? writer;
  };
  layers.forEach((layer, index) => {
    const input = layer.inputs[0];
    const learned = learnedOf(layer);
    if (layer.foldsAt !== undefined) {
      targets.set(index, layer.foldsAt);
      const kernels = learnedOf(layers[layer.foldsAt]!);
      if (kernels.length === 1) biases.set(layer.foldsAt, Math.max(...learned.map((weight) => weight.size)));
    } else if (layer.inputs.length === 1 && FOLDABLE.test(plain(layer.op)) && learned.length > 0) {
      const target = rootOf(layer, layer.outputs[0]?.name === input!.name);
      const before = target === undefined ? undefined : layers[target];
      const kernels = before && learnedOf(before);
      const channels = Math.max(...learned.map((weight) => weight.size));
      if (
        kernels !== undefined &&
        FOLD_TARGETS.has(before!.family ?? familyOf(before!.op)) &&
        (kernels[0]?.size ?? 0) % channels === 0 &&
        kernels.length > 0
      ) {
        targets.set(index, target!);
        if (kernels.length === 1) biases.set(target!, channels);
      }
    }
    for (const { name } of layer.outputs) writers.set(key(layer, name), index);
  });
  return { targets, biases };
}

function learnedOf(layer: FoundLayer): readonly AuditWeight[] {
  return (layer.weights ?? []).filter((weight) => weight.learned);
}

const key = (layer: FoundLayer, name: string): string => `${layer.graph ?? ''}\0${name}`;
const plain = (op: string): string => op.toLowerCase().replace(/[^a-z0-9]/g, '');

function totalsOf(found: readonly FoundLayer[], layers: readonly AuditLayer[], folds: Foldings): AuditTotals {
  let macs = 0;
  let uncounted = 0;
  let anyKnown = false;
  let stored = 0;
  let folded = 0;
  let constants = 0;
  let paramBytes = 0;
  const seen = new Set<string>();
  layers.forEach((layer, index) => {
    if (found[index]!.aside !== true) {
      if (layer.macs === null) uncounted++;
      else {
        macs += layer.macs;
        anyKnown ||= layer.macs > 0;
      }
    }
    stored += layer.params;
    if (layer.foldsInto !== undefined) folded += layer.params;
    for (const weight of layer.weights) {
      if (weight.key !== undefined && seen.has(weight.key)) continue;
      if (weight.key !== undefined) seen.add(weight.key);
      if (weight.learned) paramBytes += weight.bytes?.byteLength ?? Math.ceil((weight.size * bitsOf(weight.dtype)) / 8);
      else constants += weight.size;
    }
  });
  let gained = 0;
  for (const channels of folds.biases.values()) gained += channels;
  return {
    layers: layers.length,
    macs: uncounted > 0 && !anyKnown ? null : macs,
    uncountedLayers: uncounted,
    params: stored - folded + gained,
    storedParams: stored,
    paramBytes,
    constants,
  };
}

/** Bits of one stored element by its type's name; 32 where the name does not say. */
export function bitsOf(dtype: string): number {
  if (dtype === 'bool') return 8;
  const digits = /(\d+)(?!.*\d)/.exec(dtype.replace(/^bfloat/, 'float').replace(/^(float8).*/, '$1'));
  return digits ? Number(digits[1]) : 32;
}

/** `q4_0`, `iq2_xs`, `tq1_0`: blocks of ggml. */
const SMALL = /^(u?int(2|4|8|16)|float8|[it]?q\d)/;
const HALF = /^b?float16$/;

function quantisationOf(found: readonly FoundLayer[], layers: readonly AuditLayer[]): AuditQuantisation {
  const weights: Record<string, number> = {};
  const activations: Record<string, number> = {};
  const seen = new Set<string>();
  for (const layer of layers) {
    for (const weight of layer.weights) {
      if (!weight.learned || (weight.key !== undefined && seen.has(weight.key))) continue;
      if (weight.key !== undefined) seen.add(weight.key);
      weights[weight.dtype] = (weights[weight.dtype] ?? 0) + weight.size;
    }
    for (const { dtype } of layer.outputs) if (dtype !== null) activations[dtype] = (activations[dtype] ?? 0) + 1;
  }
  const sum = (counts: Readonly<Record<string, number>>, which: RegExp): number =>
    Object.entries(counts).reduce((total, [dtype, count]) => (which.test(dtype) ? total + count : total), 0);
  const all = sum(weights, /./);
  const small = sum(weights, SMALL);
  const flowing = sum(activations, SMALL) / Math.max(1, sum(activations, /^(u?int(4|8|16)|b?float|float8)/));
  // Biases of quantised layers are 32-bit: a majority of small weights is what tells.
  const smallWeights = all > 0 && small * 2 > all;
  return {
    scheme:
      smallWeights && flowing > 0.5
        ? 'full'
        : smallWeights
          ? 'weights'
          : all > 0 && sum(weights, HALF) * 2 > all
            ? 'float16'
            : 'none',
    weights,
    activations,
    perChannelLayers: found.filter((layer) => layer.perChannel === true).length,
    convertLayers: layers.filter((layer) => layer.family === 'quantise').length,
  };
}
