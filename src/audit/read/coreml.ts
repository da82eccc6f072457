/** @file Core ML models (`.mlmodel`): the layers of neural networks and ML programs; for other kinds, what their description says. */
import { assembleModel, type FoundLayer } from './assemble.js';
import { coremlLayers, coremlShape, coremlWeights } from './coreml-layers.js';
import { programLayers } from './coreml-program.js';
import { familyOf } from './families.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditTensor, AuditWeight } from './model.js';
import { ProtoMessage } from './protobuf.js';
import { kernelMacs, matrixMacs, type Shape } from './shape-rules.js';

/** Kinds of models that hold a neural network; pipelines hold models. */
const NETWORKS: readonly number[] = [500, 403, 303];
const PIPELINES: readonly number[] = [200, 201, 202];

/** An ML program. */
const PROGRAM = 502;
/** Whether the model says that an app may train it further. */
const UPDATABLE = 10;

/**
 * Reads a Core ML specification; `companion` holds the weights of an ML program (`weight.bin` of its package).
 * Throws AuditError where the bytes are none or exceed a limit.
 */
export function readCoreml(
  bytes: Uint8Array,
  limits: ReadLimits = defaultReadLimits,
  companion?: Uint8Array,
): AuditModel {
  const budget = new ReadBudget('coreml', limits);
  const model = new ProtoMessage(bytes, budget);
  const description = model.message(2);
  if (description === undefined || !model.has(1)) throw budget.invalid('empty', 'it has no description');
  const metadata = description.message(100);
  const inputs = description.messages(1).map(featureOf);
  const notes: string[] = [];
  const program = model.message(PROGRAM);
  const layers = program ? programLayers(program, companion, budget) : networkLayers(model, budget, notes);
  const found: Record<string, string> = {};
  ['description', 'version', 'author', 'license'].forEach((name, i) => {
    const text = metadata?.string(i + 1);
    if (text) found[name] = text;
  });
  if (model.bool(UPDATABLE)) found['updatable'] = 'true';
  return assembleModel(
    {
      format: 'coreml',
      version: `specification ${model.int(1)}`,
      producer: metadata
        ?.messages(100)
        .map((entry) => `${entry.string(1)} ${entry.string(2)}`)
        .find((text) => /tools/i.test(text)),
      inputs,
      outputs: description.messages(10).map(featureOf),
      layers,
      metadata: found,
      notes,
    },
    budget,
  );
}

function networkLayers(model: ProtoMessage, budget: ReadBudget, notes: string[], prefix = ''): FoundLayer[] {
  const pipeline = PIPELINES.find((field) => model.has(field));
  if (pipeline !== undefined) {
    // A classifier or regressor holds its pipeline one message deeper.
    const holder = model.message(pipeline)!;
    const inner = pipeline === 202 ? holder : holder.message(1);
    return (inner?.messages(1) ?? []).flatMap((each, i) => networkLayers(each, budget, notes, `${prefix}${i}/`));
  }
  const field = NETWORKS.find((each) => model.has(each));
  if (field === undefined) {
    notes.push(`layers of this kind of model (${model.fields.filter((each) => each >= 200).join(', ')}) are not read`);
    return [];
  }
  const shapes = new Map<string, Shape>();
  for (const feature of (model.message(2)?.messages(1) ?? []).map(featureOf)) {
    const shape = feature.shape?.map((dim) => dim ?? 1);
    if (shape) shapes.set(feature.name, shape);
  }
  const tensor = (name: string): AuditTensor => ({
    name: prefix + name,
    shape: shapes.get(name) ?? null,
    dtype: 'float32',
  });
  return model
    .message(field)!
    .messages(1)
    .map((layer): FoundLayer => {
      const [name, from, to] = [layer.string(1), layer.strings(2), layer.strings(3)];
      const kind = layer.fields.find((each) => each >= 100);
      const op = kind === undefined ? 'unknown' : (coremlLayers.get(kind) ?? `layer ${kind}`);
      const settings =
        (kind === undefined ? undefined : layer.message(kind)) ?? new ProtoMessage(new Uint8Array(0), budget);
      const given = from.map((each) => shapes.get(each));
      const known = given.filter((shape) => shape !== undefined);
      const weights = coremlWeights(op, settings, budget);
      const stated = layer.messages(5).map((each) => each.ints(2));
      const made = known.length === given.length ? coremlShape(op, settings, known) : undefined;
      to.forEach((each, i) => {
        const shape = i === 0 && made ? made : stated[i];
        if (shape && shape.length > 0 && shape.every((dim) => dim > 0)) shapes.set(each, budget.dims(shape));
      });
      const transposed = op === 'convolution' && settings.bool(60);
      const groups = op === 'convolution' ? settings.int(10, 1) : 1;
      const family = transposed
        ? 'transposed-convolution'
        : groups > 1 && groups === settings.int(1)
          ? 'depthwise-convolution'
          : familyOf(op);
      return {
        name: prefix + name,
        op,
        family,
        inputs: from.map(tensor),
        outputs: to.map(tensor),
        weights,
        macs: macsOf(op, family, settings, weights, given, shapes.get(to[0] ?? '')),
      };
    });
}

function macsOf(
  op: string,
  family: string,
  settings: ProtoMessage,
  weights: readonly AuditWeight[],
  inputs: readonly (Shape | undefined)[],
  output: Shape | undefined,
): number | null {
  const kernel = weights[0]?.size ?? 0;
  const input = inputs[0];
  switch (family) {
    case 'convolution':
    case 'depthwise-convolution':
      return op === 'convolution' ? kernelMacs(kernel, output, settings.int(1)) : null;
    case 'transposed-convolution':
      return kernelMacs(kernel, input, input?.at(-3) ?? 0);
    case 'dense':
      return kernelMacs(kernel, output, settings.int(2));
    case 'matmul':
      if (kernel > 0) return kernelMacs(kernel, input, settings.int(5));
      return input && inputs[1] ? matrixMacs(input, inputs[1], settings.bool(1), settings.bool(2)) : null;
    case 'recurrent':
      return null;
    default:
      return 0;
  }
}

const ARRAY_TYPES: Readonly<Record<number, string>> = {
  65568: 'float32',
  65600: 'float64',
  131104: 'int32',
  65552: 'float16',
};

/** A described input or output; images as channels, height, width. */
function featureOf(feature: ProtoMessage): AuditTensor {
  const name = feature.string(1);
  const type = feature.message(3);
  const array = type?.has(5) ? type.message(5) : undefined;
  if (array) {
    const shape = array.ints(1);
    return { name, shape: shape.length > 0 ? shape : null, dtype: ARRAY_TYPES[array.int(2)] ?? null };
  }
  const image = type?.has(4) ? type.message(4) : undefined;
  // Colour space 10 is grey, 20 and 30 are colours.
  if (image) return { name, shape: [image.int(3) === 10 ? 1 : 3, image.int(2), image.int(1)], dtype: 'uint8' };
  return {
    name,
    shape: null,
    dtype: type?.has(1) ? 'int64' : type?.has(2) ? 'float64' : type?.has(3) ? 'string' : null,
  };
}
