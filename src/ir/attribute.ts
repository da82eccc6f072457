/** @file Node attributes: a discriminated union, short constructors, and typed readers with ONNX defaults. */
import { InvalidGraphError } from './error.js';
import type { Attribute, Graph, Node } from './graph.js';
import { clampToSafeInteger, type Tensor } from './tensor.js';

type ValueOf<T extends Attribute['type']> = Extract<Attribute, { type: T }>['value'];

export const float = (value: number): Attribute => ({ type: 'float', value });
export const floats = (value: readonly number[]): Attribute => ({ type: 'floats', value });
export const int = (value: number | bigint): Attribute => ({ type: 'int', value: BigInt(value) });
export const ints = (value: readonly (number | bigint)[]): Attribute => ({ type: 'ints', value: value.map(BigInt) });
export const string = (value: string): Attribute => ({ type: 'string', value });
export const strings = (value: readonly string[]): Attribute => ({ type: 'strings', value });
export const tensor = (value: Tensor): Attribute => ({ type: 'tensor', value });
export const graph = (value: Graph): Attribute => ({ type: 'graph', value });

function read<T extends Attribute['type']>(node: Node, name: string, type: T): ValueOf<T> | undefined {
  const attribute = node.attributes.get(name);
  if (attribute === undefined) return undefined;
  if (attribute.type !== type)
    throw new InvalidGraphError(
      `node '${node.name}' (${node.op}): attribute '${name}' is ${attribute.type}, not ${type}`,
    );
  return attribute.value as ValueOf<T> | undefined;
}

/** Integer attribute as a number (INT64 sentinels saturate), or the default. Throws InvalidGraphError on another type. */
export function intOf<D extends number | undefined>(node: Node, name: string, fallback: D): number | D {
  const value = read(node, name, 'int');
  return value === undefined ? fallback : clampToSafeInteger(value);
}

/** Integer-list attribute as numbers (INT64 sentinels saturate), or the default. */
export function intsOf<D extends readonly number[] | undefined>(
  node: Node,
  name: string,
  fallback: D,
): readonly number[] | D {
  return read(node, name, 'ints')?.map(clampToSafeInteger) ?? fallback;
}

/** Float attribute, or the default. */
export function floatOf<D extends number | undefined>(node: Node, name: string, fallback: D): number | D {
  return read(node, name, 'float') ?? fallback;
}

/** Float-list attribute, or the default. */
export function floatsOf<D extends readonly number[] | undefined>(
  node: Node,
  name: string,
  fallback: D,
): readonly number[] | D {
  return read(node, name, 'floats') ?? fallback;
}

/** String attribute, or the default. */
export function stringOf<D extends string | undefined>(node: Node, name: string, fallback: D): string | D {
  return read(node, name, 'string') ?? fallback;
}

/** String-list attribute, or the default. */
export function stringsOf<D extends readonly string[] | undefined>(
  node: Node,
  name: string,
  fallback: D,
): readonly string[] | D {
  return read(node, name, 'strings') ?? fallback;
}

/** Tensor attribute, where present. */
export function tensorOf(node: Node, name: string): Tensor | undefined {
  return read(node, name, 'tensor');
}

/** Sub-graph attribute, where present. */
export function graphOf(node: Node, name: string): Graph | undefined {
  return read(node, name, 'graph');
}

/** Every sub-graph that a node carries, with the attribute it stands in. */
export function subgraphsOf(node: Node): readonly (readonly [name: string, graph: Graph])[] {
  const found: [string, Graph][] = [];
  for (const [name, attribute] of node.attributes) {
    if (attribute.type === 'graph') found.push([name, attribute.value]);
    else if (attribute.type === 'graphs') for (const graph of attribute.value) found.push([name, graph]);
  }
  return found;
}
