/** @file The last step of every conversion: outputs under their public names, types of values, a model. */
import {
  EMIT_OPSET,
  makeModel,
  makeNode,
  MAX_EMIT_OPSET,
  subgraphsOf,
  tensorType,
  type Model,
  type Node,
  type Value,
} from '../../ir/index.js';
import { inferShapes, removeDeadNodes } from '../../passes/index.js';
import type { Emitter } from './emitter.js';
import type { Flow } from './flow.js';

/** An output: its value, its public name. */
export interface Ending {
  readonly name: string;
  readonly flow: Flow;
}

/** Whether quantised ends stay integers, or are real numbers outside. */
export type Ends = 'stored' | 'real';

/** Types that QuantizeLinear and DequantizeLinear know from opset 21 on. */
const LATE_TYPES: ReadonlySet<string> = new Set(['int16', 'uint16']);

/** The model of what was emitted. Values that nobody needs are gone; types that can be inferred are stated. */
export function finished(
  e: Emitter,
  name: string,
  endings: readonly Ending[],
  ends: Ends,
  metadata: ReadonlyMap<string, string>,
): Model {
  const { builder } = e;
  e.stem = '';
  const made = endings.map(({ name: wanted, flow }) => ({
    wanted,
    flow,
    name: ends === 'real' ? e.real(flow) : e.stored(flow),
  }));
  const { nodes } = builder;
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const nested = nodes.some((node) => subgraphsOf(node).length > 0);
  const renamed = new Map<string, string>();
  const inputs = new Set(builder.inputs.map((input) => input.name));
  const taken = new Set(inputs);
  const outputs: Value[] = [];
  const aliases: (readonly [value: string, name: string])[] = [];
  for (const { wanted, flow, name: value } of made) {
    // An input that is also an output would lose its name.
    let public_ = wanted || value;
    while (taken.has(public_)) public_ = `${public_}_out`;
    taken.add(public_);
    const constant = inputs.has(value) ? undefined : builder.initializers.get(public_);
    if (constant) {
      // A constant of that name makes room.
      renamed.set(public_, builder.parameter(`${public_}_value`, constant));
      builder.initializers.delete(public_);
    }
    if (producers.has(value) && !renamed.has(value) && !nested && (public_ === value || !producers.has(public_)))
      renamed.set(value, public_);
    else aliases.push([value, public_]);
    const dtype = ends === 'real' && (flow.quantisation || flow.type === 'float16') ? 'float32' : flow.type;
    outputs.push({ name: public_, type: tensorType(dtype, flow.shape) });
  }
  const rename = (value: string): string => renamed.get(value) ?? value;
  const plain = nodes.map((node): Node =>
    renamed.size === 0 ? node : { ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) },
  );
  for (const [value, public_] of aliases)
    plain.push(
      makeNode({
        name: builder.fresh(`${public_}_identity`),
        op: 'Identity',
        inputs: [rename(value)],
        outputs: [public_],
      }),
    );
  const late = [...builder.initializers.values()].some(({ dtype }) => LATE_TYPES.has(dtype));
  const graph = { ...builder.graph(name, outputs), nodes: plain };
  const model = makeModel(graph, { metadata, opsets: new Map([['', late ? MAX_EMIT_OPSET : EMIT_OPSET]]) });
  const { model: live } = removeDeadNodes(model);
  const { types } = inferShapes(live, { unknownOps: 'skip' });
  return {
    ...live,
    graph: {
      ...live.graph,
      outputs: live.graph.outputs.map((output) => ({ name: output.name, type: types.get(output.name) ?? output.type })),
    },
  };
}
