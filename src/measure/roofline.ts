/** @file The roofline (Williams et al. 2009): what a device could do at most, and what holds a layer back. */

/** What a device reached on work that asks for one thing only. */
export interface Roofline {
  /** Floating-point operations per second, in 10⁹: large matrix products. */
  readonly gflops: number;
  /** Bytes per second to and from memory, in 10⁹: sums of arrays larger than the caches. */
  readonly gbPerSecond: number;
  /** Time that the engine needs for an operator with next to no work, ms. */
  readonly dispatchMs: number;
}

/** What holds a layer back: arithmetic, memory, or the engine's own time per operator. */
export type Bound = 'compute' | 'memory' | 'overhead';

/** What a layer has to do. */
export interface Work {
  readonly flops: number;
  /** Read and written at least once: inputs, weights and outputs of the layer. */
  readonly bytes: number;
}

/** How a layer did. */
export interface Achieved {
  readonly gflops: number;
  readonly gbPerSecond: number;
  readonly bound: Bound;
  /**
   * Part of what the roofline allows for this ratio of operations to bytes. Above 1 where data that fits into the caches is
   * faster than memory; absent for layers that do not compute or move anything.
   */
  readonly ofRoof?: number;
}

/** A layer this short is mostly the engine's own time: so many times an operator without work. */
const SHORT = 2;

/** Operations per byte above which arithmetic is the limit. */
export function ridgeOf({ gflops, gbPerSecond }: Roofline): number {
  return gflops / gbPerSecond;
}

/** The most that the device can do of some work, in 10⁹ operations per second. */
export function attainable(roofline: Roofline, { flops, bytes }: Work): number {
  return bytes === 0 ? roofline.gflops : Math.min(roofline.gflops, (roofline.gbPerSecond * flops) / bytes);
}

/** What a layer that took `ms` achieved, against the roofline. */
export function achieved(roofline: Roofline, work: Work, ms: number): Achieved {
  const { flops, bytes } = work;
  const perSecond = (amount: number): number => (ms > 0 ? amount / ms / 1e6 : 0);
  const gflops = perSecond(flops);
  const gbPerSecond = perSecond(bytes);
  const intensive = bytes === 0 || flops / bytes >= ridgeOf(roofline);
  const bound = ms <= SHORT * roofline.dispatchMs ? 'overhead' : intensive ? 'compute' : 'memory';
  const roof = intensive ? gflops / roofline.gflops : gbPerSecond / roofline.gbPerSecond;
  return { gflops, gbPerSecond, bound, ...(flops + bytes > 0 && ms > 0 && { ofRoof: roof }) };
}
