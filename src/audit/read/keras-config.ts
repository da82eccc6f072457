/** @file A Keras configuration (`model_config`) as layers: sequential, functional and nested models. */
import type { ModelFormat } from '../formats.js';
import { assembleModel, type FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { list, record, text, type Json } from './json.js';
import { kerasLayers, type KerasSettings } from './keras-layers.js';
import type { ReadBudget } from './limits.js';
import type { AuditModel, AuditTensor, AuditWeight } from './model.js';
import { elementsOf, kernelMacs, type Shape } from './shape-rules.js';
import type { TfTensor } from './tf-attributes.js';

interface KerasParts {
  /** Stored weights by `layer/name`, or `layer/#number` where they have no names. */
  readonly weights: ReadonlyMap<string, TfTensor>;
  readonly producer?: string | undefined;
}

const KEEPS = /^(activation|softmax|normalisation|elementwise)$/;

/** The normal form of a configuration. Throws AuditError where it holds no layers or nests too deep. */
export function kerasModel(
  format: Extract<ModelFormat, 'keras-h5' | 'tfjs-layers' | 'keras'>,
  config: Json,
  { weights, producer }: KerasParts,
  budget: ReadBudget,
): AuditModel {
  const walk = new KerasWalk(weights, budget);
  const outputs = walk.model(config, [], '', 0);
  if (walk.layers.length === 0) throw budget.invalid('empty', 'its configuration holds no layers');
  return assembleModel(
    {
      format,
      name: text(record(record(config)['config'])['name']),
      producer,
      inputs: walk.inputs,
      outputs,
      layers: walk.layers,
      notes: walk.notes,
    },
    budget,
  );
}

class KerasWalk {
  readonly layers: FoundLayer[] = [];
  readonly inputs: AuditTensor[] = [];
  readonly notes: string[] = [];
  readonly #weights: ReadonlyMap<string, TfTensor>;
  readonly #budget: ReadBudget;

  constructor(weights: ReadonlyMap<string, TfTensor>, budget: ReadBudget) {
    this.#weights = weights;
    this.#budget = budget;
  }

  /** Walks a model for given inputs; returns its results. */
  model(config: Json, given: readonly AuditTensor[], prefix: string, depth: number): readonly AuditTensor[] {
    if (depth > 16) throw this.#budget.invalid('limit', 'models are nested more than 16 deep');
    const body = record(config)['config'];
    const layers = list(Array.isArray(body) ? body : record(body)['layers']);
    const values = new Map<string, AuditTensor>();
    let last: readonly AuditTensor[] = given;
    let nextInput = 0;
    const isSequential =
      text(record(config)['class_name']) === 'Sequential' ||
      layers.every((each) => record(each)['inbound_nodes'] === undefined);
    for (const each of layers) {
      this.#budget.spend(1);
      const layer = record(each);
      const settings = record(layer['config']);
      const type = text(layer['class_name']);
      const name = text(layer['name']) || text(settings['name']) || `${type} ${this.layers.length}`;
      const sources = inboundNames(layer['inbound_nodes'], this.#budget);
      const stated = list(settings['batch_input_shape'] ?? settings['batch_shape'] ?? layer['batch_input_shape']);
      let inputs = isSequential ? last : sources.flatMap((source) => values.get(source) ?? []);
      if (inputs.length === 0 && stated.length > 0) {
        const input =
          given[nextInput++] ?? this.#input(type === 'InputLayer' ? name : `${name}_input`, stated, settings);
        inputs = [input];
      }
      const inner =
        record(layer['config'])['layers'] !== undefined || (type === 'Sequential' && Array.isArray(layer['config']));
      last =
        type === 'InputLayer'
          ? inputs
          : inner
            ? this.model(each, inputs, `${prefix}${name}/`, depth + 1)
            : [this.#layer(type, name, settings, inputs, prefix)];
      if (last[0]) values.set(name, last[0]);
    }
    const named = list(record(body)['output_layers']).map((each) => text(list(each)[0]));
    const results = named.flatMap((name) => values.get(name) ?? []);
    return results.length > 0 ? results : last;
  }

  #input(name: string, stated: readonly Json[], settings: KerasSettings): AuditTensor {
    const shape = stated.map((dim) => (typeof dim === 'number' && dim >= 0 ? dim : null));
    this.#budget.dims(shape.map((dim) => dim ?? 1));
    const input = { name, shape, dtype: text(settings['dtype']) || 'float32' };
    this.inputs.push(input);
    return input;
  }

  #layer(
    type: string,
    name: string,
    settings: KerasSettings,
    inputs: readonly AuditTensor[],
    prefix: string,
  ): AuditTensor {
    // TimeDistributed and Bidirectional hold the layer that has the weights.
    const wrapped = record(settings['layer']);
    const op = text(wrapped['class_name']) || type;
    const own = wrapped['config'] === undefined ? settings : record(wrapped['config']);
    const rule = kerasLayers[op];
    const shapes = inputs.map(({ shape }) => shape?.map((dim) => dim ?? 1));
    const known = shapes.filter((shape) => shape !== undefined);
    const input = known.length === shapes.length ? known[0] : undefined;
    const first = text(own['data_format']) === 'channels_first';
    if (first) this.notes.push(`layer '${name}' has its channels first: its shapes are not known`);
    const family = familyOf(op);
    const expected = input && !first ? (rule?.weights?.(own, input) ?? []) : [];
    const times = type === 'Bidirectional' ? 2 : 1;
    const weights = expected.map(({ name: part, shape, layout }, i): AuditWeight => {
      const stored = this.#stored(name, part, i, shape);
      return {
        name: part,
        shape: this.#budget.dims(times === 2 ? [2, ...shape] : shape),
        size: times * elementsOf(shape),
        dtype: stored?.dtype ?? 'float32',
        learned: true,
        ...(stored?.bytes && times === 1 ? { bytes: stored.bytes } : {}),
        ...(layout && times === 1 ? { layout } : {}),
      };
    });
    const made: Shape | undefined =
      input && !first && wrapped['config'] === undefined
        ? rule
          ? rule.shape
            ? rule.shape(own, input, known)
            : input
          : KEEPS.test(family)
            ? input
            : undefined
        : undefined;
    const output: AuditTensor = {
      name: prefix + name,
      shape: made ? this.#budget.dims(made) : null,
      dtype: text(settings['dtype']) || 'float32',
    };
    const activation = text(own['activation']);
    this.layers.push({
      name: prefix + name,
      op: type,
      family,
      inputs,
      outputs: [output],
      weights,
      macs: macsOf(op, family, weights, input, made),
      activated: activation !== '' && activation !== 'linear' && family !== 'activation',
      activation: activation === 'linear' ? undefined : activation,
    });
    return output;
  }

  /** A stored weight, under its layer's name and its own or its number, where its shape is the expected one. */
  #stored(layer: string, name: string, number: number, shape: readonly number[]): TfTensor | undefined {
    const found = this.#weights.get(`${layer}/${name}`) ?? this.#weights.get(`${layer}/#${number}`);
    return found !== undefined && elementsOf(found.shape) === elementsOf(shape) ? found : undefined;
  }
}

function macsOf(
  op: string,
  family: string,
  weights: readonly AuditWeight[],
  input: Shape | undefined,
  output: Shape | undefined,
): number | null {
  const kernel = weights[0]?.size ?? 0;
  switch (family) {
    case 'convolution':
    case 'depthwise-convolution': {
      if (kernel === 0 || output === undefined) return null;
      if (op !== 'SeparableConv2D') return kernelMacs(kernel, output, output.at(-1) ?? 0);
      const positions = elementsOf(output) / Math.max(1, output.at(-1) ?? 1);
      return positions * (kernel + (weights[1]?.size ?? 0));
    }
    case 'transposed-convolution':
    case 'dense':
      return kernel === 0 ? null : kernelMacs(kernel, input, input?.at(-1) ?? 0);
    case 'recurrent': {
      if (input === undefined || kernel === 0) return null;
      return (kernel + (weights[1]?.size ?? 0)) * (elementsOf(input) / Math.max(1, input.at(-1) ?? 1));
    }
    case 'attention':
      return null;
    default:
      return 0;
  }
}

/** Names of the layers that feed a layer's first use: `[[["name", 0, 0, {}]]]`, or in Keras 3 tensors with a history. */
function inboundNames(nodes: Json, budget: ReadBudget): readonly string[] {
  const found: string[] = [];
  const visit = (value: Json, depth: number): void => {
    if (depth > 32) throw budget.invalid('limit', 'inputs of a layer are nested too deep');
    budget.spend(1);
    if (Array.isArray(value)) {
      const items = list(value);
      if (typeof items[0] === 'string' && typeof items[1] === 'number') found.push(text(items[0]));
      else for (const item of items) visit(item, depth + 1);
      return;
    }
    const fields = record(value);
    const history = list(fields['keras_history']);
    if (history.length > 0) found.push(text(history[0]));
    else for (const each of Object.values(fields)) if (typeof each === 'object') visit(each, depth + 1);
  };
  visit(list(nodes)[0], 0);
  return found;
}
