/** @file A whole network as a chain of parts, so that a run under way can be stopped: ONNX Runtime itself cannot stop inside one. */
import { byteLength, sizeOf, type Model, type Tensor } from '../../ir/index.js';
import { encodeModel } from '../../onnx/index.js';
import { bindDims, costOf, extract, inferShapes } from '../../passes/index.js';
import { turn } from '../../platform/index.js';
import { openSession, type Session, type SessionOptions } from '../../runtime/index.js';
import type { Cut, Cuts } from '../cuts.js';

/** What the engine needs of a network that runs whole: one session, or a chain of them. */
export interface Runner {
  run(
    feeds: Readonly<Record<string, Tensor>>,
    options: { readonly outputs: readonly string[]; readonly signal: AbortSignal },
  ): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

/** A cut may lie this far from its place, as a share of a part, where less crosses there. */
const REACH = 0.25;

/**
 * Cuts that divide a network into `parts` of about equal work: near each place the one where fewest bytes cross.
 * Fewer where the network is not that divisible. Throws what `bindDims` throws.
 */
export function evenStops({ model, cuts, nodes }: Cuts, parts: number): readonly number[] {
  if (parts <= 1) return [];
  const { nodes: costs } = costOf(model, { unknownOps: 'skip' });
  const macs = new Map(costs.map((node) => [node.name, node.macs]));
  const before = [0];
  for (const node of nodes) before.push(before.at(-1)! + (macs.get(node.name) ?? 0));
  const step = before.at(-1)! / parts;
  const bytes = bytesOfOneSample(model);
  const size = ({ frontier }: Cut): number => frontier.reduce((sum, name) => sum + (bytes.get(name) ?? Infinity), 0);
  const at = ({ nodes: count }: Cut): number => before[count]!;
  const stops: number[] = [];
  for (let place = step; place < before.at(-1)! - REACH * step; place += step) {
    const last = stops.at(-1) ?? 0;
    const free = cuts.slice(last + 1, -1);
    const near = free.filter((cut) => Math.abs(at(cut) - place) <= REACH * step);
    const best =
      near.length > 0 ? near.reduce((a, b) => (size(b) < size(a) ? b : a)) : free.find((c) => at(c) >= place);
    if (best !== undefined) stops.push(best.index);
  }
  return stops;
}

/** Bytes of every value for one sample, where its shape is known then. */
function bytesOfOneSample(model: Model): ReadonlyMap<string, number> {
  const symbols = new Set<string>();
  for (const { type } of model.graph.inputs)
    if (type?.kind === 'tensor') for (const dim of type.shape ?? []) if (typeof dim === 'string') symbols.add(dim);
  const one = symbols.size === 0 ? model : bindDims(model, Object.fromEntries([...symbols].map((s) => [s, 1]))).model;
  const bytes = new Map<string, number>();
  for (const [name, type] of inferShapes(one, { unknownOps: 'skip' }).types)
    if (type.kind === 'tensor' && type.shape?.every((dim) => typeof dim === 'number') === true)
      bytes.set(name, byteLength(type.dtype, sizeOf(type.shape)));
  return bytes;
}

interface Part {
  readonly session: Session;
  /** Values that later parts or the caller still need. */
  readonly keep: ReadonlySet<string>;
}

/**
 * Opens the network divided at some cuts. Its answers are those of the whole but for what ONNX Runtime would have fused
 * across a cut. Contract: `stops` ascending, none the first or last cut. Throws what `extract` and the runtime throw.
 */
export async function openChain(
  { model, cuts, types }: Cuts,
  stops: readonly number[],
  options: SessionOptions,
): Promise<Runner> {
  const outputs = model.graph.outputs.map(({ name }) => name);
  const marks = [0, ...stops, cuts.length - 1];
  const parts: Part[] = [];
  const release = async (): Promise<void> => {
    await Promise.all(parts.map(({ session }) => session.release()));
  };
  try {
    for (const [i, to] of marks.slice(1).entries()) {
      const [start, end] = [cuts[marks[i]!]!, cuts[to]!];
      const known = new Set([...start.frontier, ...start.finished]);
      const made = [...new Set([...end.frontier, ...end.finished])].filter((name) => !known.has(name));
      const part = extract(model, { inputs: start.frontier, outputs: made }, { types });
      const session = await openSession(encodeModel(part), options);
      parts.push({ session, keep: new Set([...end.frontier, ...outputs]) });
    }
  } catch (error) {
    await release();
    throw error;
  }
  return {
    release,
    async run(feeds, { outputs: asked, signal }) {
      let known: Record<string, Tensor> = { ...feeds };
      for (const [i, { session, keep }] of parts.entries()) {
        if (asked.every((name) => known[name] !== undefined)) break;
        // A run blocks the thread: word that nobody waits any more gets its turn between two.
        if (i > 0) await turn();
        signal.throwIfAborted();
        const made = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, known[name]!])));
        known = Object.fromEntries(Object.entries({ ...known, ...made }).filter(([name]) => keep.has(name)));
      }
      return Object.fromEntries(asked.map((name) => [name, known[name]!]));
    },
  };
}
