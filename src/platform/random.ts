/** @file Seeded random numbers: the same sequence on every machine, for initial weights, shuffles and searches. */

/** A deterministic source of random numbers. */
export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
  /** Uniform integer in [0, n). */
  int(n: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** Shuffles in place (Fisher–Yates) and returns the same array. */
  shuffle<T extends { [index: number]: unknown; readonly length: number }>(array: T): T;
  /** The whole state, for checkpoints. */
  state(): readonly number[];
}

/**
 * A generator for a seed: sfc32 (Chris Doty-Humphrey, PractRand), its state filled by splitmix32 from the seed.
 * `state` continues a saved one instead.
 */
export function createRandom(seed: number, state?: readonly number[]): Random {
  let [a, b, c, counter, spare] = state ?? [...splitmix(seed, 3), 1, NaN];
  const next32 = (): number => {
    const sum = (a! + b! + counter!) | 0;
    counter = (counter! + 1) | 0;
    a = b! ^ (b! >>> 9);
    b = (c! + (c! << 3)) | 0;
    c = ((c! << 21) | (c! >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  if (state === undefined) for (let warmUp = 0; warmUp < 12; warmUp++) next32();
  const random: Random = {
    next: () => next32() / 4294967296,
    int: (n) => Math.floor(random.next() * n),
    normal() {
      if (Number.isFinite(spare)) {
        const value = spare!;
        spare = NaN;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
      const angle = 2 * Math.PI * random.next();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    shuffle(array) {
      for (let i = array.length - 1; i > 0; i--) {
        const j = random.int(i + 1);
        const held = array[i];
        (array as { [index: number]: unknown })[i] = array[j];
        (array as { [index: number]: unknown })[j] = held;
      }
      return array;
    },
    state: () => [a!, b!, c!, counter!, spare!],
  };
  return random;
}

function splitmix(seed: number, count: number): number[] {
  let x = seed | 0;
  return Array.from({ length: count }, () => {
    x = (x + 0x9e3779b9) | 0;
    let z = x ^ (x >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) | 0;
  });
}
