/** @file ncnn networks, as text or binary `.param`, with their weights from a `.bin` where it is at hand. */
import { assembleModel, type FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditTensor, AuditWeight } from './model.js';
import { ncnnShapes, ncnnTypes, ncnnWeights, type NcnnSettings } from './ncnn-layers.js';
import { NcnnWeightFile } from './ncnn-weights.js';
import { elementsOf, kernelMacs, type Shape } from './shape-rules.js';

/** First line of a text file, first word of a binary one. */
export const NCNN_TEXT_MAGIC = '7767517';
export const NCNN_BINARY_MAGIC = 0x007685dd;

interface NcnnOptions {
  readonly weights?: Uint8Array;
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  readonly limits?: ReadLimits;
}

interface NcnnLayer {
  readonly type: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly settings: NcnnSettings;
}

interface NcnnNetwork {
  readonly layers: readonly NcnnLayer[];
  readonly notes: readonly string[];
}

/**
 * Reads an ncnn network (text or binary); `weights` are the bytes of its `.bin`, without which sizes are known but no contents;
 * `inputShapes` (channels, height, width by name) stand for what a network does not say of its inputs.
 * Throws AuditError where the bytes are no such network or exceed a limit.
 */
export function readNcnn(bytes: Uint8Array, options: NcnnOptions = {}): AuditModel {
  const limits = options.limits ?? defaultReadLimits;
  const budget = new ReadBudget('ncnn', limits);
  if (bytes.length > limits.maxFileBytes) throw budget.invalid('limit', `it has ${bytes.length} bytes`);
  const binary =
    bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) === NCNN_BINARY_MAGIC;
  const network = binary ? readBinary(bytes, budget) : readText(bytes, budget);
  const notes = [...network.notes];
  const file = options.weights && new NcnnWeightFile(options.weights, budget);
  const shapes = new Map<string, Shape | undefined>();
  const tensor = (name: string): AuditTensor => ({ name, shape: shapes.get(name) ?? null, dtype: 'float32' });
  const layers = network.layers.map((layer): FoundLayer => {
    const given = layer.inputs.map((name) => shapes.get(name));
    const known = given.filter((shape) => shape !== undefined);
    const hinted = hints(layer);
    const rule = ncnnShapes[layer.type];
    // A rule needs all of its inputs; a layer without a rule of its own keeps the shape of the first.
    const made =
      known.length < given.length
        ? []
        : rule
          ? rule(layer.settings, known, layer.outputs.length)
          : layer.outputs.map(() => known[0]);
    layer.outputs.forEach((name, i) => {
      const asked = layer.type === 'Input' ? options.inputShapes?.[name] : undefined;
      const shape = asked ?? hinted?.[i] ?? made[i];
      shapes.set(name, shape && budget.dims(shape));
    });
    const weights = weightsOf(layer, file, budget);
    return {
      name: layer.name,
      op: layer.type,
      inputs: layer.inputs.map(tensor),
      outputs: layer.outputs.map(tensor),
      weights,
      macs: macsOf(layer, weights, given[0], shapes.get(layer.outputs[0] ?? '')),
      activated: /Convolution|InnerProduct/.test(layer.type) && layer.settings.number(9) !== 0,
    };
  });
  if (file && file.left > 0) notes.push(`${file.left} bytes of the weights belong to no layer`);
  const used = new Set(network.layers.flatMap(({ inputs }) => inputs));
  return assembleModel(
    {
      format: binary ? 'ncnn-binary' : 'ncnn',
      inputs: network.layers.flatMap(({ type, outputs }) => (type === 'Input' ? outputs.map(tensor) : [])),
      outputs: network.layers.flatMap(({ outputs }) => outputs.filter((name) => !used.has(name)).map(tensor)),
      layers,
      notes,
    },
    budget,
  );
}

/** Shapes that ncnnoptimize writes beside a layer: rank, width, height, channels of each result. */
function hints({ settings, outputs }: NcnnLayer): readonly (Shape | undefined)[] | undefined {
  const list = settings.list(30);
  if (list === undefined || list.length < 4 * outputs.length) return undefined;
  return outputs.map((_, i) => {
    const [rank = 0, width = 0, height = 0, channels = 0] = list.slice(4 * i, 4 * i + 4);
    const shape = rank === 1 ? [width] : rank === 2 ? [height, width] : rank === 3 ? [channels, height, width] : [];
    return shape.length > 0 && shape.every((dim) => dim > 0) ? shape : undefined;
  });
}

function weightsOf(layer: NcnnLayer, file: NcnnWeightFile | undefined, budget: ReadBudget): AuditWeight[] {
  const expected = ncnnWeights[layer.type]?.(layer.settings) ?? [];
  return expected.map(({ name, size, flagged, shape, learned }) => {
    if (!Number.isSafeInteger(size) || size < 0)
      throw budget.invalid('weights', `layer '${layer.name}' has ${size} weights`);
    return {
      name,
      shape: budget.dims(shape ?? [size]),
      size,
      learned: learned ?? true,
      ...(shape?.length === 4 ? { layout: 'OIHW' as const } : shape?.length === 2 ? { layout: 'OI' as const } : {}),
      ...(file ? file.take(size, flagged) : { dtype: 'float32' }),
    };
  });
}

function macsOf(
  layer: NcnnLayer,
  weights: readonly AuditWeight[],
  input: Shape | undefined,
  output: Shape | undefined,
): number | null {
  const kernel = weights[0]?.size ?? 0;
  switch (familyOf(layer.type)) {
    case 'convolution':
    case 'depthwise-convolution':
      return kernelMacs(kernel, output, layer.settings.number(0));
    case 'transposed-convolution':
      return kernelMacs(kernel, input, input?.[0] ?? 0);
    case 'dense':
      // Gemm's matrices may both be values; its shapes are then known only when it runs.
      if (layer.type === 'Gemm')
        return layer.settings.number(7) * layer.settings.number(8) * layer.settings.number(9) || null;
      return output ? kernel * (elementsOf(output) / Math.max(1, layer.settings.number(0))) : kernel;
    case 'recurrent': {
      const size = kernel + (weights[2]?.size ?? 0);
      return input ? size * (input[0] ?? 1) : null;
    }
    case 'attention':
    case 'matmul':
      return null;
    default:
      return 0;
  }
}

class Settings implements NcnnSettings {
  readonly #numbers = new Map<number, number>();
  readonly #lists = new Map<number, readonly number[]>();

  set(id: number, value: number | readonly number[]): void {
    if (typeof value === 'number') this.#numbers.set(id, value);
    else this.#lists.set(id, value);
  }

  number(id: number, fallback = 0): number {
    return this.#numbers.get(id) ?? fallback;
  }

  list(id: number): readonly number[] | undefined {
    return this.#lists.get(id);
  }
}

/** Keys of lists count down from here. */
const LIST_KEY = -23300;

function readText(bytes: Uint8Array, budget: ReadBudget): NcnnNetwork {
  const lines = new TextDecoder().decode(bytes).split('\n');
  if (lines[0]?.trim() !== NCNN_TEXT_MAGIC) throw budget.invalid('magic', `the first line is not ${NCNN_TEXT_MAGIC}`);
  const [declared = NaN] = (lines[1] ?? '').trim().split(/\s+/).map(Number);
  if (!Number.isInteger(declared)) throw budget.invalid('header', 'the second line does not count layers and values');
  const layers: NcnnLayer[] = [];
  for (const line of lines.slice(2)) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || words[0] === undefined) continue;
    budget.spend(words.length);
    layers.push(textLayer(words, layers.length, budget));
    if (layers.length > budget.limits.maxLayers)
      throw budget.invalid('limit', `it has more than ${budget.limits.maxLayers} layers`);
  }
  if (layers.length === 0) throw budget.invalid('empty', 'it has no layer');
  const notes = layers.length === declared ? [] : [`it declares ${declared} layers and holds ${layers.length}`];
  return { layers, notes };
}

function textLayer(words: readonly string[], index: number, budget: ReadBudget): NcnnLayer {
  const [type = '', name = '', inputs = '', outputs = ''] = words;
  const [inputCount, outputCount] = [Number(inputs), Number(outputs)];
  const rest = 4 + inputCount + outputCount;
  if (
    !Number.isInteger(inputCount) ||
    !Number.isInteger(outputCount) ||
    inputCount < 0 ||
    outputCount < 0 ||
    rest > words.length
  )
    throw budget.invalid('layer', `layer ${index} ('${name}') does not list its values`);
  const settings = new Settings();
  for (const word of words.slice(rest)) {
    const at = word.indexOf('=');
    const id = Number(word.slice(0, at));
    const values = word
      .slice(at + 1)
      .split(',')
      .map(Number);
    if (at < 1 || !Number.isInteger(id))
      throw budget.invalid('layer', `layer ${index} ('${name}') has a setting '${word}'`);
    if (id <= LIST_KEY) settings.set(LIST_KEY - id, values.slice(1));
    // Words and expressions, as newer writers put in Reshape, are no numbers: the setting is then not known.
    else if (!Number.isNaN(values[0])) settings.set(id, values[0]!);
  }
  return { type, name, inputs: words.slice(4, 4 + inputCount), outputs: words.slice(4 + inputCount, rest), settings };
}

/** Settings that are fractions; a binary file does not say which are. */
const FRACTIONS: Readonly<Record<string, readonly number[]>> = { Interp: [1, 2] };

function readBinary(bytes: Uint8Array, budget: ReadBudget): NcnnNetwork {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 4;
  const next = (): number => {
    if (at + 4 > bytes.length) throw budget.invalid('truncated', `it ends at byte ${bytes.length}`);
    at += 4;
    return view.getInt32(at - 4, true);
  };
  const names = (count: number): string[] => {
    if (count < 0 || count * 4 > bytes.length - at) throw budget.invalid('layer', `a layer has ${count} values`);
    return Array.from({ length: count }, () => String(next()));
  };
  const count = next();
  next();
  if (count < 1 || count > budget.limits.maxLayers) throw budget.invalid('limit', `it has ${count} layers`);
  const layers: NcnnLayer[] = [];
  for (let index = 0; index < count; index++) {
    const code = next();
    const type = ncnnTypes[code] ?? `Custom${code}`;
    const [inputCount, outputCount] = [next(), next()];
    const inputs = names(inputCount);
    const outputs = names(outputCount);
    const settings = new Settings();
    for (let id = next(); id !== -233; id = next()) {
      budget.spend(1);
      const fraction = FRACTIONS[type]?.includes(id) ?? false;
      if (id <= LIST_KEY) settings.set(LIST_KEY - id, names(next()).map(Number));
      else {
        const value = next();
        settings.set(id, fraction ? view.getFloat32(at - 4, true) : value);
      }
    }
    layers.push({ type, name: `${type} ${index}`, inputs, outputs, settings });
  }
  return { layers, notes: at < bytes.length ? [`${bytes.length - at} bytes follow the last layer`] : [] };
}
