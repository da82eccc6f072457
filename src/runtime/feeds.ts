/** @file Feeds checked against what a model declares, before ONNX Runtime sees them. */
import { formatShape, type Shape, type ValueType } from '../ir/index.js';
import { SessionRunError } from './errors.js';

/** What a check needs to know of a feed. */
export interface Fed {
  readonly dtype: string;
  readonly dims: readonly number[];
}

/** Throws SessionRunError unless every input is fed with the declared element type, rank and fixed dims, and nothing else is. */
export function checkFeeds(
  names: readonly string[],
  types: ReadonlyMap<string, ValueType | undefined>,
  feeds: Readonly<Record<string, Fed>>,
): void {
  const refuse = (message: string, hint: string): never => {
    throw new SessionRunError('invalid', 'runtime/feed', message, { hint });
  };
  for (const name of names) {
    const feed = feeds[name];
    if (feed === undefined) return refuse(`input '${name}' is not fed`, `The model's inputs are: ${names.join(', ')}.`);
    const type = types.get(name);
    if (type?.kind !== 'tensor') continue;
    const given = `${feed.dtype}${formatShape(feed.dims)}`;
    const declared = `${type.dtype}${formatShape(type.shape)}`;
    if (feed.dtype !== type.dtype)
      return refuse(`input '${name}' is ${given}, but the model takes ${declared}`, `Convert it to ${type.dtype}.`);
    if (!fits(feed.dims, type.shape))
      return refuse(
        `input '${name}' has shape ${formatShape(feed.dims)}, but the model takes ${formatShape(type.shape)}`,
        'Reshape or resize the input, or export the model with symbolic dims.',
      );
  }
  for (const name in feeds)
    if (!names.includes(name))
      refuse(`the model has no input '${name}'`, `The model's inputs are: ${names.join(', ')}.`);
}

function fits(dims: readonly number[], shape: Shape | undefined): boolean {
  if (shape === undefined) return true;
  if (dims.length !== shape.length) return false;
  return shape.every((dim, axis) => typeof dim !== 'number' || dim === dims[axis]);
}

/** The feeds in one line, for messages. */
export function describeFeeds(names: readonly string[], feeds: Readonly<Record<string, Fed>>): string {
  return names.map((name) => `${name} ${feeds[name]!.dtype}${formatShape(feeds[name]!.dims)}`).join(', ');
}
