/** @file The progressive model: backbone and all exits in one ONNX file, with metadata that says where each exit hangs. */
import { CuttleError, type Model } from '../ir/index.js';
import { inEnglish } from '../platform/index.js';
import { Dataflow } from './dataflow.js';
import { EXITS_KEY, exitsInfoSchema, type ExitsInfo } from './progressive-schema.js';

/** A model whose `cuttle.exits` entry is missing, malformed or does not fit its graph. Exit code 3. */
export class NotProgressiveError extends CuttleError {
  constructor(why: string, cause?: unknown) {
    super('invalid', 'exits/not-progressive', `this is no progressive model: ${why}`, {
      hint: 'A progressive model is made by `cuttle adapt`; its exits are described in the metadata entry cuttle.exits.',
      cause,
    });
  }
}

/** A progressive model and what its metadata says. */
export interface Progressive {
  readonly model: Model;
  readonly info: ExitsInfo;
}

/** True where a model claims to be progressive. */
export function isProgressive(model: Model): boolean {
  return model.metadata.has(EXITS_KEY);
}

/**
 * Reads a progressive model: its metadata is validated against the schema and against the graph.
 * Throws NotProgressiveError.
 */
export function readProgressive(model: Model): Progressive {
  const text = model.metadata.get(EXITS_KEY);
  if (text === undefined) throw new NotProgressiveError('it has no metadata entry cuttle.exits');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new NotProgressiveError('its cuttle.exits entry is not JSON', cause);
  }
  const parsed = exitsInfoSchema.safeParse(json, inEnglish);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new NotProgressiveError(`cuttle.exits: ${issue!.path.join('.')}: ${issue!.message}`, parsed.error);
  }
  const info = parsed.data;
  const outputs = new Set(model.graph.outputs.map((output) => output.name));
  for (const name of [...info.exits.map((exit) => exit.output), info.final.output, info.final.logits])
    if (!outputs.has(name)) throw new NotProgressiveError(`it has no output '${name}', which cuttle.exits names`);
  if (!model.graph.inputs.some((input) => input.name === info.input))
    throw new NotProgressiveError(`it has no input '${info.input}', which cuttle.exits names`);
  return { model, info };
}

/** The same model with other metadata: new temperatures, say. */
export function writeProgressive(model: Model, info: ExitsInfo): Progressive {
  const metadata = new Map(model.metadata).set(EXITS_KEY, JSON.stringify(exitsInfoSchema.parse(info)));
  return readProgressive({ ...model, metadata });
}

/**
 * A progressive model with calibrated softmax temperatures: one per exit, then the final one.
 * Throws NotProgressiveError where their number does not fit.
 */
export function withTemperatures({ model, info }: Progressive, temperatures: ArrayLike<number>): Progressive {
  if (temperatures.length !== info.exits.length + 1)
    throw new NotProgressiveError(`${temperatures.length} temperatures do not fit its ${info.exits.length + 1} exits`);
  return writeProgressive(model, {
    ...info,
    exits: info.exits.map((exit, index) => ({ ...exit, temperature: temperatures[index]! })),
    final: { ...info.final, temperature: temperatures[info.exits.length]! },
  });
}

/** Logits outputs of all exits in execution order, the final one last. */
export function logitsOutputs(info: ExitsInfo): readonly string[] {
  return [...info.exits.map((exit) => exit.output), info.final.logits];
}

/** Calibrated temperatures of all exits, the final one last. */
export function temperaturesOf(info: ExitsInfo): readonly number[] {
  return [...info.exits.map((exit) => exit.temperature), info.final.temperature];
}

/** The backbone alone: the model without its exits, outputs as before. */
export function backboneOf({ model, info }: Progressive): Model {
  const exits = new Set(info.exits.map((exit) => exit.output));
  const logitsAdded = info.final.logits !== info.final.output;
  const outputs = model.graph.outputs.filter(
    ({ name }) => !exits.has(name) && !(logitsAdded && name === info.final.logits),
  );
  const flow = new Dataflow(model.graph, new Map(), info.batch);
  const marks = flow.ancestors(outputs.map((output) => output.name));
  const nodes = flow.nodes.filter((_, index) => marks[index]);
  const used = new Set<string>(outputs.map((output) => output.name));
  for (const node of nodes) for (const input of node.inputs) used.add(input);
  const metadata = new Map(model.metadata);
  metadata.delete(EXITS_KEY);
  return {
    ...model,
    metadata,
    graph: {
      ...model.graph,
      nodes,
      outputs,
      initializers: new Map([...model.graph.initializers].filter(([name]) => used.has(name))),
    },
  };
}
