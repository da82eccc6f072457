/** @file Measures a device's roofline through the engine itself: what no model on this back end can exceed by much. */
import { GraphBuilder, makeGraph, makeModel, Tensor, tensorType, type Model } from '../ir/index.js';
import { createRandom } from '../platform/index.js';
import { measureInterleaved, openSession, type Session, type SessionOptions } from '../runtime/index.js';
import type { Roofline } from './roofline.js';

export interface MeasureRooflineOptions extends SessionOptions {
  /** Edge of the square matrices; 1,024 where omitted. */
  readonly edge?: number;
  /** Elements of the summed arrays; 2²³ where omitted: 32 MB each. */
  readonly elements?: number;
  /** Runs of each; the fastest counts. 8 where omitted. */
  readonly runs?: number;
  readonly signal?: AbortSignal;
}

/** Matrix products, sums and operators without work in one run. */
const PRODUCTS = 4;
const SUMS = 6;
const TRIFLES = 256;

/**
 * Runs three made-up models and takes the fastest run of each: chained products of square matrices; chained sums of arrays
 * beyond the caches (two read, one written); chained operators on one number. Takes about a second and 100 MB. Throws what
 * the runtime throws.
 */
export async function measureRoofline(options: MeasureRooflineOptions = {}): Promise<Roofline> {
  const { edge = 1024, elements = 2 ** 23, runs = 8, signal, ...session } = options;
  const trials = [products(edge), sums(elements), trifles(TRIFLES), trifles(1)];
  const opened: Session[] = [];
  try {
    for (const { model } of trials) opened.push(await openSession(model, session));
    const timed = await measureInterleaved(
      opened.map((running, i) => () => running.run(trials[i]!.feeds)),
      { warmup: 2, runs, ...(signal && { signal }) },
    );
    const [product, sum, many, one] = timed.map(({ min }) => min) as [number, number, number, number];
    return {
      gflops: (PRODUCTS * 2 * edge ** 3) / product / 1e6,
      gbPerSecond: (4 * elements * (3 * SUMS + 1)) / sum / 1e6,
      dispatchMs: Math.max(0, many - one) / (TRIFLES - 1),
    };
  } finally {
    await Promise.all(opened.map((running) => running.release()));
  }
}

interface Trial {
  readonly model: Model;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

function products(edge: number): Trial {
  const b = new GraphBuilder(['a', 'b']);
  const random = createRandom(1);
  const noise = (): Tensor =>
    Tensor.floats(
      Float32Array.from({ length: edge * edge }, () => random.normal() / Math.sqrt(edge)),
      [edge, edge],
    );
  const weights = b.parameter('b', noise());
  let value = 'a';
  for (let i = 0; i < PRODUCTS; i++) value = b.op('MatMul', [value, weights]);
  return trial(b, { a: noise() }, value);
}

function sums(elements: number): Trial {
  const b = new GraphBuilder(['a', 'b']);
  let value = 'a';
  for (let i = 0; i < SUMS; i++) value = b.op('Add', [value, 'b']);
  const ones = Tensor.floats(new Float32Array(elements).fill(1), [elements]);
  return trial(b, { a: ones, b: ones }, value);
}

function trifles(count: number): Trial {
  const b = new GraphBuilder(['a', 'b']);
  let value = 'a';
  for (let i = 0; i < count; i++) value = b.op('Sigmoid', [value]);
  return trial(b, { a: Tensor.floats([0.5], [1]) }, value);
}

/** One number leaves the graph: handing out large results would take longer than the work. */
function trial(b: GraphBuilder, feeds: Readonly<Record<string, Tensor>>, value: string): Trial {
  const largest = b.op('ReduceMax', [value], { keepdims: 0 });
  const inputs = Object.entries(feeds).map(([name, { dtype, dims }]) => ({ name, type: tensorType(dtype, dims) }));
  const outputs = [{ name: largest, type: tensorType('float32', []) }];
  const { nodes, initializers } = b;
  return { model: makeModel(makeGraph({ name: 'roofline', inputs, outputs, nodes, initializers })), feeds };
}
