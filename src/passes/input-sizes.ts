/** @file Gives a model's inputs other sizes: batch, height, width, whatever the file declares. */
import { CuttleError, requiredInputs, type Dim, type Model, type Value } from '../ir/index.js';
import { inferShapes } from './infer-shapes.js';

export interface InputSizes {
  /** Size of the first axis of every input. */
  readonly batch?: number;
  /** Height and width of every input with four axes (batch, channels, height, width). */
  readonly resolution?: readonly [height: number, width: number];
}

/** A model that only works at the sizes that it declares. Exit code 4. */
export class FixedSizeError extends CuttleError {
  constructor(what: string, cause?: unknown) {
    super('unsupported', 'passes/fixed-size', `the model cannot take ${what}`, {
      hint: 'Only networks without layers of a fixed size behind the images (such as fully convolutional ones) can be resized.',
      cause,
    });
  }
}

/**
 * Declares other sizes for the inputs; types further inside are derived anew. Nothing is computed differently: a Reshape or a
 * matrix product that was made for the old size is not adapted but refused.
 * Contract: requires inputs of known rank; ensures that no node and no constant changes. Throws FixedSizeError where there is no
 * axis to size or shape inference finds that the sizes do not fit.
 */
export function withInputSizes(model: Model, sizes: InputSizes): Model {
  const { batch, resolution } = sizes;
  if (batch === undefined && resolution === undefined) return model;
  const what = [
    ...(batch === undefined ? [] : [`a batch of ${batch}`]),
    ...(resolution === undefined ? [] : [`inputs of ${resolution[0]}×${resolution[1]}`]),
  ].join(' with ');
  const fed = new Set(requiredInputs(model.graph).map(({ name }) => name));
  let images = 0;
  const inputs = model.graph.inputs.map((input): Value => {
    if (!fed.has(input.name) || input.type?.kind !== 'tensor') return input;
    const { shape } = input.type;
    if (shape === undefined) throw new FixedSizeError(`${what}: its input '${input.name}' declares no shape`);
    const dims: Dim[] = [...shape];
    if (batch !== undefined && dims.length > 0) dims[0] = batch;
    if (resolution !== undefined && dims.length === 4) {
      images++;
      [dims[2], dims[3]] = resolution;
    }
    return { ...input, type: { ...input.type, shape: dims } };
  });
  if (resolution !== undefined && images === 0) throw new FixedSizeError(`${what}: no input has four axes`);
  const outputs = model.graph.outputs.map((output): Value => {
    const { type } = output;
    if (type?.kind !== 'tensor') return output;
    return { ...output, type: { ...type, shape: type.shape?.map(() => null) } };
  });
  const resized: Model = { ...model, graph: { ...model.graph, inputs, outputs, types: new Map() } };
  try {
    const { types } = inferShapes(resized, { unknownOps: 'skip' });
    return {
      ...resized,
      graph: { ...resized.graph, outputs: outputs.map(({ name, type }) => ({ name, type: types.get(name) ?? type })) },
    };
  } catch (cause) {
    throw new FixedSizeError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}
