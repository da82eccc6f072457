/** @file Which layout and codec to use at a bit-width: measured on the very tensors that cross, for the link they cross. */
import type { Tensor } from '../../ir/index.js';
import { now } from '../../platform/index.js';
import { pureCodecs, type CodecName, type Codecs } from './codecs.js';
import { packTensors, unpackTensors, type Packing } from './pack.js';

/** What one packing cost on a set of samples: means per sample. */
export interface MeasuredPacking {
  readonly packing: Packing;
  readonly bytes: number;
  /** Bytes of the same tensors unpacked, per byte sent. */
  readonly ratio: number;
  readonly packMs: number;
  readonly unpackMs: number;
}

export interface MeasurePackingOptions {
  /** Codecs to try; those that need nothing where omitted. */
  readonly codecs?: Codecs;
  /** Times each sample is packed and unpacked; the fastest counts. 5 where omitted. */
  readonly runs?: number;
}

/** Every layout × codec at a bit-width on the tensors of some samples. Throws PackingError where they cannot be packed. */
export function measurePackings(
  samples: readonly Readonly<Record<string, Tensor>>[],
  bits: number,
  { codecs = pureCodecs, runs = 5 }: MeasurePackingOptions = {},
): readonly MeasuredPacking[] {
  const names = [...codecs.keys()];
  const packings = names.flatMap((codec: CodecName) =>
    (['lanes', 'planes'] as const).map((layout): Packing => ({ bits, layout, codec })),
  );
  return packings.map((packing) => measurePacking(samples, packing, codecs, runs));
}

function measurePacking(
  samples: readonly Readonly<Record<string, Tensor>>[],
  packing: Packing,
  codecs: Codecs,
  runs: number,
): MeasuredPacking {
  let bytes = 0;
  let unpacked = 0;
  let packMs = 0;
  let unpackMs = 0;
  for (const tensors of samples) {
    const frame = packTensors(tensors, packing, codecs);
    bytes += frame.length;
    for (const tensor of Object.values(tensors)) unpacked += tensor.bytes.length;
    packMs += fastest(runs, () => packTensors(tensors, packing, codecs));
    unpackMs += fastest(runs, () => unpackTensors(frame, codecs));
  }
  const count = Math.max(1, samples.length);
  return {
    packing,
    bytes: bytes / count,
    ratio: unpacked / Math.max(1, bytes),
    packMs: packMs / count,
    unpackMs: unpackMs / count,
  };
}

/** Among measured packings the one that takes least time over a link: packing, sending and unpacking, ms. */
export function cheapestPacking(measured: readonly MeasuredPacking[], bytesPerMs: number): MeasuredPacking {
  return measured.reduce((best, other) => (totalMs(other, bytesPerMs) < totalMs(best, bytesPerMs) ? other : best));
}

function totalMs({ bytes, packMs, unpackMs }: MeasuredPacking, bytesPerMs: number): number {
  return packMs + bytes / bytesPerMs + unpackMs;
}

function fastest(runs: number, work: () => unknown): number {
  let least = Infinity;
  for (let run = 0; run < runs; run++) {
    const start = now();
    work();
    least = Math.min(least, now() - start);
  }
  return least;
}
