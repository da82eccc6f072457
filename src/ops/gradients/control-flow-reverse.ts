/** @file The Scan or Loop that runs iterations backwards: how it reads stacked values and gives what it computed. */
import {
  graph as graphAttribute,
  int,
  makeGraph,
  makeNode,
  Tensor,
  tensorType,
  type GraphBuilder,
  type TensorType,
  type Value,
} from '../../ir/index.js';
import type { VjpContext } from '../record.js';
import { outputOf, rewired } from './control-flow-saved.js';

/** A value that holds one slice for each iteration, joined along an axis. */
export interface Stack {
  readonly value: string;
  readonly axis: number;
  /** Whether slice t belongs to iteration t; otherwise the slices stand in the opposite order. */
  readonly inOrder: boolean;
}

/** A value that goes from one backward iteration to the next. */
export interface Carried {
  /** Its name inside the body. */
  readonly name: string;
  readonly type: TensorType;
  /** What it begins as, outside. */
  readonly start: string;
  /** What it becomes, inside. */
  readonly next: string;
}

/** Slices that the backward iterations give. */
export interface Given {
  readonly gradient: string;
  readonly type: TensorType;
  /** The stack whose axis and order they follow. */
  readonly like: Stack;
}

export interface ReverseParts {
  readonly name: string;
  readonly carried: readonly Carried[];
  readonly given: readonly Given[];
  /** Forward value → where the body finds it. */
  readonly places: ReadonlyMap<string, string>;
  /** A stack with one slice along axis 0 for each iteration that ran; `undefined` where the reversal needs none. */
  readonly counted: string | undefined;
}

/** Builds the backward node. */
export interface Reverse {
  /** Takes the nodes of the backward body. */
  readonly b: GraphBuilder;
  /** Whether the number of iterations must be told by a stack of the forward node. */
  readonly counts: boolean;
  /** Makes the slice of this iteration a value of the body, under the given free name; returns that. */
  slice(this: void, stack: Stack, name: string): string;
  /** Emits the node; gives the carried values' last states, then the stacks. */
  finish(parts: ReverseParts): readonly string[];
}

/** A Scan in the opposite direction. `paced` is a stack of the forward Scan, which sets the number of iterations where nothing else does. */
export function reverseScan(c: VjpContext, paced: Stack): Reverse {
  const b = c.b.nested();
  const slices: { readonly inner: string; readonly stack: Stack }[] = [];
  const slice = (stack: Stack, name: string): string => {
    slices.push({ inner: name, stack });
    return name;
  };
  const direction = ({ inOrder }: Stack): number => (inOrder ? 1 : 0);
  return {
    b,
    counts: false,
    slice,
    finish({ name, carried, given, places }) {
      if (slices.length === 0) slice(paced, b.fresh('pace'));
      const outputs = ownOutputs(b, places, [
        ...carried.map(({ next, type }) => ({ name: next, type })),
        ...given.map(({ gradient, type }) => ({ name: gradient, type })),
      ]);
      const stacks = slices.map(({ stack }) => stack);
      const body = makeGraph({
        name: `${name}_body`,
        inputs: [
          ...carried.map(({ name: inner, type }) => outputOf(inner, type)),
          ...slices.map(({ inner }) => untyped(inner)),
        ],
        nodes: rewired(b, places),
        initializers: b.initializers,
        outputs,
      });
      return c.b.ops(
        'Scan',
        [...carried.map(({ start }) => start), ...stacks.map(({ value }) => value)],
        {
          body: graphAttribute(body),
          num_scan_inputs: slices.length,
          scan_input_axes: stacks.map(({ axis }) => axis),
          scan_input_directions: stacks.map(direction),
          ...(given.length > 0 && {
            scan_output_axes: given.map(({ like }) => like.axis),
            scan_output_directions: given.map(({ like }) => direction(like)),
          }),
        },
        { outputs: carried.length + given.length, name },
      );
    },
  };
}

/** A Loop that counts down from the last iteration that ran; it may have been none. */
export function reverseLoop(c: VjpContext): Reverse {
  const b = c.b.nested();
  const position = b.fresh('position');
  return {
    b,
    counts: true,
    slice({ value, axis }, name) {
      const attributes = new Map([['axis', int(axis)]]);
      b.nodes.push(
        makeNode({ name: b.fresh('slice'), op: 'Gather', inputs: [value, position], outputs: [name], attributes }),
      );
      return name;
    },
    finish({ name, carried, places, counted }) {
      const length = c.b.op('Squeeze', [c.b.op('Shape', [counted], { start: 0, end: 1 }), c.b.int64s([0])]);
      const one = c.b.constant(Tensor.scalar('int64', 1), 'one');
      const count: Carried = {
        name: position,
        type: tensorType('int64', []),
        start: c.b.op('Sub', [length, one]),
        next: b.op('Sub', [position, one]),
      };
      const all = [count, ...carried];
      const iteration = b.fresh('iteration');
      const condition = b.fresh('condition');
      const truth: Value = { name: condition, type: tensorType('bool', []) };
      const body = makeGraph({
        name: `${name}_body`,
        inputs: [
          { name: iteration, type: tensorType('int64', []) },
          truth,
          ...all.map(({ name: inner, type }) => outputOf(inner, type)),
        ],
        outputs: ownOutputs(b, places, [
          { name: condition, type: tensorType('bool', []) },
          ...all.map(({ next, type }) => ({ name: next, type })),
        ]),
        nodes: rewired(b, places),
        initializers: b.initializers,
      });
      const outputs = c.b.ops(
        'Loop',
        [length, undefined, ...all.map(({ start }) => start)],
        { body: graphAttribute(body) },
        { outputs: all.length, name },
      );
      return outputs.slice(1);
    },
  };
}

/** Body outputs: each a value that one of the body's own nodes makes, and none twice. */
function ownOutputs(
  b: GraphBuilder,
  places: ReadonlyMap<string, string>,
  values: readonly { readonly name: string; readonly type: TensorType }[],
): readonly Value[] {
  const free = new Set(b.nodes.flatMap((node) => node.outputs));
  return values.map(({ name, type }) => {
    const found = places.get(name) ?? name;
    return outputOf(free.delete(found) ? found : b.op('Identity', [found]), type);
  });
}

const untyped = (name: string): Value => ({ name, type: undefined });
