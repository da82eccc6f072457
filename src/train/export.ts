/** @file Puts trained values back into a model. */
import { InvalidGraphError, type Model, type Tensor } from '../ir/index.js';

/**
 * The model with other contents for some of its initializers; structure, metadata and all other bytes stay.
 * Throws InvalidGraphError where one does not exist or has another type or shape.
 */
export function withConstants(model: Model, values: ReadonlyMap<string, Tensor>): Model {
  const initializers = new Map(model.graph.initializers);
  for (const [name, value] of values) {
    const old = initializers.get(name);
    if (old?.dtype !== value.dtype || old.dims.join() !== value.dims.join())
      throw new InvalidGraphError(
        `the model has no initializer '${name}' of type ${value.dtype}[${value.dims.join(', ')}]`,
      );
    initializers.set(name, value);
  }
  return { ...model, graph: { ...model.graph, initializers } };
}
