/** @file One model as the page draws it: nodes with costs and times, exits, cuts. */
import { isProgressive, readBaked, readProgressive, type ExitsInfo } from '../exits/index.js';
import { CuttleError, formatType, opsetOf, requiredInputs, type Model, type Node } from '../ir/index.js';
import { ancestorsOf, producersOf, readsOf } from '../ir/index.js';
import { costOf, inferShapes, inlineFunctions } from '../passes/index.js';
import type { Profile } from '../runtime/index.js';
import { frontierBytes, openSplitNetwork, cutsOf, type Cuts } from '../split/index.js';
import type { CutView, ExitView, ModelView, NodeView } from './messages.js';

/** More nodes than that are not drawn: nobody could read them. */
export const MAX_DRAWN_NODES = 5_000;

/** What a view is made of besides the model. */
export interface ModelViewContext {
  readonly path: string;
  readonly bytes: number;
  /** Measured layers, used where they are of this model. */
  readonly profile?: { readonly from: string; readonly profile: Profile };
}

/** The view of a model. Operators without rules cost nothing and are noted. Throws what reading metadata throws. */
export function viewOf(given: Model, { path, bytes, profile }: ModelViewContext): ModelView {
  const { model } = inlineFunctions(given);
  const { graph } = model;
  const cost = costOf(model, { unknownOps: 'skip' });
  const costs = new Map(cost.nodes.map((node) => [node.name, node]));
  const nodes = graph.nodes.slice(0, MAX_DRAWN_NODES);
  const place = new Map(nodes.map((node, i) => [node, i]));
  const producers = producersOf(graph);
  const at = (value: string): number | undefined => {
    const node = producers.get(value);
    return node === undefined ? undefined : place.get(node);
  };
  const info = isProgressive(model) ? readProgressive(model).info : undefined;
  const headOf = info === undefined ? new Map<Node, number>() : heads(model, info);
  const times = profile === undefined ? undefined : timesOf(nodes, profile.profile);
  const types = inferShapes(model, { unknownOps: 'skip' }).types;
  const notes = [...cost.notes];
  if (graph.nodes.length > nodes.length)
    notes.push(`Only the first ${nodes.length} of ${graph.nodes.length} operators are drawn.`);
  const { cuts, note } = cutsIn(model, at, place);
  if (note !== undefined) notes.push(note);
  return {
    ...{ path, bytes, cuts, notes },
    kind: info !== undefined ? 'progressive' : readBaked(model) !== undefined ? 'baked' : 'plain',
    opset: opsetOf(model),
    producer: [model.producer.name, model.producer.version].filter(Boolean).join(' '),
    params: cost.total.params,
    macs: cost.total.macs,
    peakActivationBytes: cost.total.peakActivationBytes,
    inputs: requiredInputs(graph).map(({ name, type }) => ({ name, type: formatType(type) })),
    outputs: graph.outputs.map(({ name, type }) => ({ name, type: formatType(type) })),
    nodes: nodes.map((node, i): NodeView => {
      const own = costs.get(node.name);
      const from = [...new Set([...readsOf(node)].map(at).filter((p) => p !== undefined && p !== i))] as number[];
      const exit = headOf.get(node);
      const ms = times?.[i];
      return {
        ...{ name: node.name, op: node.op, from },
        shape: node.outputs[0] === undefined ? '' : formatType(types.get(node.outputs[0])),
        macs: own?.macs ?? 0,
        params: own?.params ?? 0,
        memory: (own?.paramBytes ?? 0) + (own?.activationBytes ?? 0),
        ...(ms !== undefined && { ms }),
        ...(exit !== undefined && { exit }),
      };
    }),
    exits: (info?.exits ?? []).map((exit, i): ExitView => ({
      ...{ exit: i, value: exit.value, head: exit.head.kind, position: exit.position },
      node: at(exit.value) ?? 0,
      answer: at(exit.output) ?? 0,
    })),
    ...(times !== undefined && { timesFrom: profile!.from }),
  };
}

/** The exit that alone needs a node: what hangs between the backbone and its logits. */
function heads({ graph }: Model, info: ExitsInfo): ReadonlyMap<Node, number> {
  const backbone = new Set(ancestorsOf(graph, [info.final.output, info.final.logits]));
  const found = new Map<Node, number>();
  info.exits.forEach(({ output }, exit) => {
    for (const node of ancestorsOf(graph, [output])) if (!backbone.has(node) && !found.has(node)) found.set(node, exit);
  });
  return found;
}

/** Times by node; `undefined` where the profile is of another model. A fused layer's time stands at its own node. */
function timesOf(nodes: readonly Node[], profile: Profile): readonly number[] | undefined {
  const layers = new Map(profile.layers.map((layer) => [layer.name, layer.ms]));
  const names = new Set(nodes.map(({ name }) => name));
  const known = profile.layers.filter(({ name }) => names.has(name)).length;
  if (known < 0.8 * profile.layers.length) return undefined;
  return nodes.map(({ name }) => layers.get(name) ?? 0);
}

/** The cuts of the network; a graph that cannot be split has none, and a note says why. */
function cutsIn(
  model: Model,
  at: (value: string) => number | undefined,
  place: ReadonlyMap<Node, number>,
): { readonly cuts: readonly CutView[]; readonly note?: string } {
  let cuts: Cuts;
  try {
    cuts = isProgressive(model) ? openSplitNetwork(model).cuts : cutsOf(model);
  } catch (error) {
    if (!(error instanceof CuttleError)) throw error;
    return { cuts: [], note: `It cannot be split: ${error.message}.` };
  }
  const symbols = Object.fromEntries(batchSymbols(cuts.model).map((name) => [name, 1]));
  const bytes = frontierBytes(cuts, symbols);
  return {
    cuts: cuts.cuts.map(({ index, nodes, frontier }): CutView => ({
      ...{ index, frontier },
      device: cuts.nodes.slice(0, nodes).flatMap((node) => place.get(node) ?? at(node.outputs[0] ?? '') ?? []),
      crossing: [...new Set(frontier.flatMap((value) => at(value) ?? []))],
      bytes: Number.isFinite(bytes[index]) ? bytes[index]! : null,
    })),
  };
}

function batchSymbols({ graph }: Model): readonly string[] {
  return [
    ...new Set(
      requiredInputs(graph).flatMap(({ type }) =>
        type?.kind === 'tensor' ? (type.shape ?? []).filter((dim) => typeof dim === 'string') : [],
      ),
    ),
  ];
}
