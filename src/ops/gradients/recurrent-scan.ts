/** @file A recurrence over the steps of a sequence, as a Scan node that reads and writes its sequences in place. */
import { tensorType, type GraphBuilder, type Shape } from '../../ir/index.js';
import { Arith } from './arith.js';
import type { RecurrentLayer, Track } from './recurrent-layer.js';

/** What one step sees: [B, width] each, under the names of the recurrence's states and tracks. */
export interface StepContext<States extends string, Tracks extends string, Optional extends string> {
  readonly b: GraphBuilder;
  readonly e: Arith;
  readonly states: Readonly<Record<States, string>>;
  readonly tracks: Readonly<Record<Tracks, string> & Partial<Record<Optional, string>>>;
}

export interface Recurrence<
  States extends string,
  Tracks extends string,
  Outputs extends string,
  Optional extends string = never,
> {
  /** First values, [B, hidden] each. */
  readonly states: Readonly<Record<States, string>>;
  readonly tracks: Readonly<Record<Tracks, Track>>;
  /** Tracks that a step may have to do without. */
  readonly optional?: Readonly<Record<Optional, Track | undefined>>;
  /** From the last step to the first; what it gives stands in the order of the steps either way. */
  readonly reverse: boolean;
  /** Emits one step: the next states, and values to be stacked. It may read values around it. */
  readonly step: (context: StepContext<States, Tracks, Optional>) => {
    readonly states: Readonly<Record<States, string>>;
    readonly outputs: Readonly<Record<Outputs, string>>;
  };
}

/**
 * Emits a recurrence (Scan-16): final states [B, hidden] and stacked outputs [T, B, …]. Scan hands out slices of its inputs
 * without copying them and lets the body write into the stacked outputs, so a step costs little beyond its operators.
 */
export function recur<
  States extends string,
  Tracks extends string,
  Outputs extends string,
  Optional extends string = never,
>(
  layer: RecurrentLayer,
  recurrence: Recurrence<States, Tracks, Outputs, Optional>,
): { readonly states: Readonly<Record<States, string>>; readonly outputs: Readonly<Record<Outputs, string>> } {
  const { c, dtype, hidden } = layer;
  const inner = c.b.nested();
  const batch = c.shape(c.inputs[0]!)[1]!;
  const shape = (width: number): Shape => [batch, width];
  const stateNames = Object.keys(recurrence.states) as States[];
  const given: Readonly<Record<string, Track | undefined>> = { ...recurrence.tracks, ...recurrence.optional };
  const present = Object.entries(given).flatMap(([name, track]) => (track === undefined ? [] : [{ name, track }]));
  const states = record(stateNames, (name) => inner.freshInput(`step_${name}`, tensorType(dtype, shape(hidden))));
  const tracks = Object.fromEntries(
    present.map(({ name, track }) => [
      name,
      inner.freshInput(`step_${name}`, tensorType(track.dtype ?? dtype, shape(track.width))),
    ]),
  ) as StepContext<States, Tracks, Optional>['tracks'];
  const made = recurrence.step({ b: inner, e: new Arith(inner, dtype), states, tracks });
  const outputNames = Object.keys(made.outputs) as Outputs[];
  // A body's outputs must be distinct values that its own nodes make.
  const seen = new Set<string>([...inner.inputs.map(({ name }) => name)]);
  const own = (value: string): string => {
    const distinct = seen.has(value) ? inner.op('Identity', [value]) : value;
    seen.add(distinct);
    return distinct;
  };
  const bodyOutputs = [
    ...stateNames.map((name) => own(made.states[name])),
    ...outputNames.map((name) => own(made.outputs[name])),
  ];
  const body = inner.graph(
    inner.fresh('step_body'),
    bodyOutputs.map((name) => ({ name, type: tensorType(dtype) })),
  );
  const direction = recurrence.reverse ? 1 : 0;
  const results = c.b.ops(
    'Scan',
    [...stateNames.map((name) => recurrence.states[name]), ...present.map(({ track }) => track.value)],
    {
      body: { type: 'graph', value: body },
      num_scan_inputs: present.length,
      scan_input_directions: present.map(() => direction),
      ...(outputNames.length > 0 && { scan_output_directions: outputNames.map(() => direction) }),
    },
    { outputs: bodyOutputs.length, name: 'grad_recurrence' },
  );
  return {
    states: record(stateNames, (_, index) => results[index]!),
    outputs: record(outputNames, (_, index) => results[stateNames.length + index]!),
  };
}

function record<Name extends string>(
  names: readonly Name[],
  value: (name: Name, index: number) => string,
): Record<Name, string> {
  return Object.fromEntries(names.map((name, index) => [name, value(name, index)])) as Record<Name, string>;
}
