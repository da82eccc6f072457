/**
 * @file Times of a progressive model's parts without a profiler: each segment and head runs as a model of its own, on what the
 * parts before it made. For back ends that report no times per node.
 */
import { GraphBuilder, makeGraph, makeModel, Tensor, tensorType, type Model } from '../ir/index.js';
import { inferShapes } from '../passes/index.js';
import { measureInterleaved, openSession, percentile, type Session, type SessionOptions } from '../runtime/index.js';
import type { ExitCosts } from './costs.js';
import { Dataflow } from './dataflow.js';
import type { Progressive } from './progressive.js';
import { partModel } from './stages.js';

export interface TimePartsOptions {
  readonly session: SessionOptions;
  /** One sample for the network's input. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly runs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Time of each part, ms, N + 1 of both kinds: the first decile of its runs less that of a call without work, at least 0.
 * Their sum is not the backbone's time: what ONNX Runtime fuses across parts it cannot fuse here, and what crosses is handed
 * out; whoever uses them scales them to it. Throws what the runtime throws.
 */
export async function timeParts(
  { model, info }: Progressive,
  { session, feeds, runs, signal }: TimePartsOptions,
): Promise<ExitCosts> {
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const targets = [...info.exits.flatMap(({ value, output }) => [value, output]), info.final.logits];
  const parts = new Dataflow(model.graph, types, info.batch).parts(targets);
  const known = new Map<string, Tensor>(Object.entries(feeds));
  const opened: Session[] = [];
  const calls: { readonly part: number; readonly run: () => Promise<unknown> }[] = [];
  try {
    const idle = await openSession(idleModel(), session);
    opened.push(idle);
    const one = { x: Tensor.floats([0.5], [1]) };
    for (const [index, part] of parts.entries()) {
      // A head that is the value itself, or two exits on one value: nothing to run.
      if (part.nodes.length === 0) continue;
      const made = new Set(part.nodes.flatMap((node) => node.outputs));
      const outputs = [...new Set([targets[index]!, ...part.carried])].filter((name) => made.has(name));
      const own = await openSession(partModel(model, `part_${index}`, part, outputs, types), session);
      opened.push(own);
      const given = Object.fromEntries(part.inputs.map((name) => [name, known.get(name)!]));
      const results = await own.run(given);
      for (const [name, tensor] of Object.entries(results)) known.set(name, tensor);
      calls.push({ part: index, run: () => own.run(given) });
    }
    const timed = await measureInterleaved([() => idle.run(one), ...calls.map(({ run }) => run)], {
      ...{ runs, samples: true },
      ...(signal && { signal }),
    });
    const [call, ...whole] = timed.map(({ samples }) =>
      percentile(
        [...samples!].sort((a, b) => a - b),
        0.1,
      ),
    );
    const ms = new Float64Array(targets.length);
    calls.forEach(({ part }, index) => (ms[part] = Math.max(0, whole[index]! - call!)));
    const count = info.exits.length + 1;
    return {
      segments: Float64Array.from({ length: count }, (_, i) => ms[2 * i]!),
      heads: Float64Array.from({ length: count }, (_, i) => (i === count - 1 ? 0 : ms[2 * i + 1]!)),
      unit: 'ms',
    };
  } finally {
    await Promise.all(opened.map((own) => own.release()));
  }
}

/** One operator on one number: what a call costs. */
function idleModel(): Model {
  const b = new GraphBuilder(['x']);
  const y = b.op('Sigmoid', ['x']);
  const type = tensorType('float32', [1]);
  const { nodes, initializers } = b;
  return makeModel(
    makeGraph({ name: 'idle', inputs: [{ name: 'x', type }], outputs: [{ name: y, type }], nodes, initializers }),
  );
}
