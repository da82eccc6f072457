/**
 * @file What an executed exit costs besides its head: the decision, always the same, and handing on what crosses from its stage
 * to the next, which grows with the bytes. Fitted to designs that were really run.
 */
import { byteLength, sizeOf } from '../ir/index.js';
import { inferShapes } from '../passes/index.js';
import { Dataflow } from './dataflow.js';
import type { Progressive } from './progressive.js';
import { logitsOf } from './stages.js';

/**
 * Bytes that cross from each exit's stage to the rest of the network, for one sample; exits inside residual blocks have the
 * skipped tensor cross too. One number per early exit; open dims count as 1.
 */
export function crossingBytes(progressive: Progressive): Float64Array {
  const { model, info } = progressive;
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const flow = new Dataflow(model.graph, types, info.batch);
  return Float64Array.from(info.exits, (_, exit) => {
    const rest = flow.parts([logitsOf(progressive, exit), info.final.logits])[1]!;
    return rest.inputs.reduce((sum, name) => {
      const type = types.get(name);
      if (type?.kind !== 'tensor' || type.shape === undefined) return sum;
      return sum + byteLength(type.dtype, sizeOf(type.shape.map((dim) => (typeof dim === 'number' ? dim : 1))));
    }, 0);
  });
}

/** A design that ran to its end, and what it took beyond its kernels, ms (less than nothing where timing scatters). */
export interface ObservedOverhead {
  readonly exits: readonly number[];
  readonly ms: number;
}

/**
 * What each exit adds, ms, as `decision + rate · bytes`, both at least 0, closest to the observations by least squares.
 * `bytes`: of each exit, as `crossingBytes` gives them.
 */
export function fitExitOverhead(observed: readonly ObservedOverhead[], bytes: Float64Array): Float64Array {
  let [nn, nb, bb, ny, by] = [0, 0, 0, 0, 0];
  for (const { exits, ms } of observed) {
    const n = exits.length;
    const crossed = exits.reduce((sum, exit) => sum + bytes[exit]!, 0);
    nn += n * n;
    nb += n * crossed;
    bb += crossed * crossed;
    ny += n * ms;
    by += crossed * ms;
  }
  const ratio = (a: number, b: number): number => (b > 0 ? Math.max(0, a / b) : 0);
  const determinant = nn * bb - nb * nb;
  // Where all designs have the same bytes per exit, the two cannot be told apart.
  const free = determinant > 1e-9 * nn * bb;
  const decision = free ? (ny * bb - by * nb) / determinant : -1;
  const rate = free ? (by * nn - ny * nb) / determinant : -1;
  if (decision >= 0 && rate >= 0) return bytes.map((crossed) => decision + rate * crossed);
  // On the border of the allowed quarter one of the two is 0: the one that explains less.
  const onlyDecision = ratio(ny, nn);
  const onlyRate = ratio(by, bb);
  const gain = (value: number, y: number, square: number): number => 2 * value * y - value * value * square;
  return gain(onlyDecision, ny, nn) >= gain(onlyRate, by, bb)
    ? bytes.map(() => onlyDecision)
    : bytes.map((crossed) => onlyRate * crossed);
}
