/** @file Gradients of Scan and Loop: the iterations run backwards, in a Scan or Loop of their own. */
import { ancestorsOf, graphOf, intOf, intsOf, isFloat, readsOf, type Dim, type Graph } from '../../ir/index.js';
import type { VjpContext, VjpRule } from '../record.js';
import { copiesInto, invariantNodes, repeatableNodes } from './control-flow-again.js';
import { tripCount } from '../shapes/control-flow.js';
import { keepStacks } from './control-flow-keep.js';
import { reverseLoop, reverseScan, type Carried, type Reverse, type Stack } from './control-flow-reverse.js';
import { backwardOf, inside, namesIn, zerosOf, type Backward } from './control-flow-saved.js';
import { fromFront, range } from './shaping.js';

/** Scan and Loop in one form. */
interface Iteration {
  readonly body: Graph;
  /** Number of values that go from one iteration to the next. */
  readonly carried: number;
  /** Position of the first carried value among the node's inputs, the body's inputs and the body's outputs. */
  readonly atNode: number;
  readonly atBody: number;
  readonly atResult: number;
  /** Number of iterations; `null` where it is not known before the graph runs. */
  readonly length: Dim;
  /** Scanned inputs, as stacks. */
  readonly scanned: readonly Stack[];
  /** How scan output `i`, of name `value`, is stacked. */
  stackOf(this: void, i: number, value: string): Stack;
  readonly reverse: Reverse;
}

/**
 * Scan-9 … 21. The states' gradients are carried backwards, those of captured values are summed on the way, those of
 * scanned inputs are stacked as the inputs were.
 */
const scan: VjpRule = (c) => {
  const body = graphOf(c.node, 'body') ?? c.refuse('its body is missing');
  const count = intOf(c.node, 'num_scan_inputs', 1);
  const carried = c.node.inputs.length - count;
  const stack = (kind: 'input' | 'output', i: number, value: string, like = value): Stack => ({
    value,
    axis: fromFront(intsOf(c.node, `scan_${kind}_axes`, [])[i] ?? 0, c.shape(like).length),
    inOrder: (intsOf(c.node, `scan_${kind}_directions`, [])[i] ?? 0) === 0,
  });
  const scanned = c.node.inputs.slice(carried).map((value, i) => stack('input', i, value));
  return iterate(c, {
    body,
    carried,
    atNode: 0,
    atBody: 0,
    atResult: 0,
    length: c.shape(scanned[0]!.value)[scanned[0]!.axis]!,
    scanned,
    stackOf: (i, value) => stack('output', i, value, c.node.outputs[carried + i]),
    reverse: reverseScan(c, scanned[0]!),
  });
};

/** Loop-16 … 21, whatever ends it: the backward Loop runs as often as the forward one really ran. */
const loop: VjpRule = (c) =>
  iterate(c, {
    body: graphOf(c.node, 'body') ?? c.refuse('its body is missing'),
    carried: Math.max(c.node.inputs.length - 2, 0),
    atNode: 2,
    atBody: 2,
    atResult: 1,
    length: tripCount(c.node, (i) => c.constant(c.inputs[i])?.numbers()[0]) ?? null,
    scanned: [],
    stackOf: (_, value) => ({ value, axis: 0, inOrder: true }),
    reverse: reverseLoop(c),
  });

/**
 * The backward body takes the gradients of one iteration's results and gives those of what the iteration began with. Forward
 * values that it reads are slices of stacks: scanned inputs, scan outputs, and what the forward node has to give in addition.
 */
function iterate(c: VjpContext, form: Iteration): readonly (string | undefined)[] {
  const { body, carried, atNode, atBody, atResult, scanned, reverse } = form;
  const { b } = reverse;
  const stateIn = body.inputs.slice(atBody, atBody + carried).map(({ name }) => name);
  const slices = body.inputs.slice(atBody + carried).map(({ name }) => name);
  const wantedSlices = slices.filter((_, i) => c.wants(atNode + carried + i));
  const tracked = trackedStates(c, form, wantedSlices);

  const seeds = new Array<string | undefined>(body.outputs.length);
  const incoming = new Map(tracked.map((i) => [i, b.fresh('grad_state')]));
  for (const [i, name] of incoming) seeds[atResult + i] = name;
  for (let i = carried; i < c.grads.length; i++) {
    const gradient = c.grads[i];
    if (gradient !== undefined)
      seeds[atResult + i] = reverse.slice(form.stackOf(i - carried, gradient), b.fresh('grad_slice'));
  }
  const wanted = [...tracked.map((i) => stateIn[i]!), ...wantedSlices];
  const walked = c.differentiate(body, { b, seeds, inputs: wanted });

  const states = tracked.map((i): Carried => {
    const name = incoming.get(i)!;
    const type = walked.type(stateIn[i]!);
    const last = c.outputs[i] ?? c.inputs[atNode + i]!;
    // Where the state's shape is open, iterations may differ in it.
    const like = type.shape!.includes(null) ? stateIn[i]! : name;
    return {
      name,
      type,
      start: c.grads[i] ?? zerosOf(c, c.type(last), last),
      next: walked.gradients.get(stateIn[i]!) ?? zerosOf(inside(c, b), type, like),
    };
  });
  const captured = [...walked.gradients.keys()].filter((value) => !wanted.includes(value));
  const sums = captured.map((value): Carried => {
    const name = b.fresh('grad_so_far');
    const type = c.type(value);
    const next = b.op('Add', [name, walked.gradients.get(value)!], {}, { name: 'grad_sum' });
    return { name, type, start: zerosOf(c, type, value), next };
  });
  const given = wantedSlices.flatMap((value) => {
    const gradient = walked.gradients.get(value);
    const position = slices.indexOf(value);
    return gradient === undefined ? [] : [{ position, gradient, type: walked.type(value), like: scanned[position]! }];
  });
  if (states.length + sums.length + given.length === 0) return [];

  const backward = backwardOf(
    walked,
    b,
    [...states, ...sums].map(({ next }) => next),
  );
  const { places, kept } = provide(c, form, backward, slices, walked.isSteady);
  let counted = c.outputs.slice(carried).find((output) => output !== undefined);
  if (reverse.counts && counted === undefined && kept.length === 0) kept.push(body.inputs[0]!.name);
  const stacks = keepStacks(c, {
    before: body,
    body: backward.forward,
    carried,
    atResult,
    values: kept,
    type: backward.type,
    length: form.length,
    stackOf: form.stackOf,
  });
  for (const [value, stack] of stacks) {
    counted ??= stack.value;
    const place = places.get(value);
    if (place !== undefined) reverse.slice(stack, place);
  }

  const outputs = reverse.finish({ name: 'grad_iteration', carried: [...states, ...sums], given, places, counted });
  captured.forEach((value, i) => c.contribute(value, outputs[states.length + i]!));
  const gradients = new Array<string | undefined>(c.node.inputs.length);
  tracked.forEach((i, at) => (gradients[atNode + i] = outputs[at]));
  given.forEach(({ position }, at) => {
    gradients[atNode + carried + position] = outputs[states.length + sums.length + at];
  });
  return gradients;
}

/**
 * Where the backward body finds the forward values that it reads: a value that no iteration changes is computed once more outside; a scanned
 * input is its slice; one whose shape may differ from iteration to iteration is computed again in place, because such values cannot be
 * stacked; everything else is `kept`: stacked by the forward node, under the place that is given here.
 */
function provide(
  c: VjpContext,
  form: Iteration,
  { forward, reads, type }: Backward,
  slices: readonly string[],
  isSteady: (dim: Dim) => boolean,
): { readonly places: ReadonlyMap<string, string>; readonly kept: string[] } {
  const { scanned, reverse } = form;
  const places = new Map<string, string>();
  const kept: string[] = [];
  const own = namesIn(forward);
  const invariant = invariantNodes(forward);
  const repeatable = repeatableNodes(forward);
  const outside = copiesInto(c.b, invariant, () => undefined);
  const again = copiesInto(reverse.b, repeatable, (value) => {
    if (!own.has(value)) return value;
    const known = places.get(value);
    if (known !== undefined) return known;
    const stack = scanned[slices.indexOf(value)];
    if (invariant.has(value)) places.set(value, outside(value));
    else if (stack) places.set(value, reverse.slice(stack, reverse.b.fresh(`${value}_back`)));
    else if (!repeatable.has(value) || type(value).shape!.every(isSteady)) {
      places.set(value, reverse.b.fresh(`${value}_back`));
      kept.push(value);
    }
    return places.get(value);
  });
  for (const value of reads) places.set(value, again(value));
  return { places, kept };
}

/** The carried values whose gradient has to be carried backwards: they depend on a wanted value, and the loss depends on them. */
function trackedStates(c: VjpContext, form: Iteration, slices: readonly string[]): readonly number[] {
  const { body, carried, atNode, atBody, atResult } = form;
  const into = (i: number): string => body.inputs[atBody + i]!.name;
  const out = (i: number): string => body.outputs[atResult + i]!.name;
  const all = range(carried);

  const dependent = closure(
    all.filter((i) => c.wants(atNode + i)),
    (live) => {
      const reached = c.dependents(body, [...[...live].map(into), ...slices]);
      return all.filter((i) => reached.has(out(i)) && isFloat(c.type(c.inputs[atNode + i]!).dtype));
    },
  );
  const results = body.outputs.slice(atResult + carried).filter((_, i) => c.grads[carried + i] !== undefined);
  const influential = closure(
    all.filter((i) => c.grads[i] !== undefined),
    (active) => {
      const ends = [...[...active].map(out), ...results.map(({ name }) => name)];
      const read = new Set([...ends, ...ancestorsOf(body, ends).flatMap((node) => [...readsOf(node)])]);
      return all.filter((i) => read.has(into(i)));
    },
  );
  return all.filter((i) => dependent.has(i) && influential.has(i));
}

/** A set grown by `next` until nothing is added. */
function closure(start: readonly number[], next: (set: ReadonlySet<number>) => readonly number[]): ReadonlySet<number> {
  const set = new Set(start);
  for (let size = -1; size !== set.size;) {
    size = set.size;
    for (const i of next(set)) set.add(i);
  }
  return set;
}

export const iterationGradients: Readonly<Record<string, VjpRule>> = { Scan: scan, Loop: loop };
