/** @file Packing: bounds of quantisation, bit planes, codecs against independent ones, frames against hostile bytes, vectors. */
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CuttleError, Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import {
  integersOfPlanes,
  planesOf,
  quantiseToPlanes,
  shuffleBytes,
  unshuffleBytes,
  valuesOfPlanes,
} from '../../src/split/packing/bit-planes.js';
import { openCodecs, openNativeLz4, openZstd, pureCodecs, type Codecs } from '../../src/split/packing/codecs.js';
import { CodecMissingError, FrameError, PackingError } from '../../src/split/packing/errors.js';
import { decodeFrame, encodeFrame } from '../../src/split/packing/frame.js';
import { compressLz4, decompressLz4, lz4Bound } from '../../src/split/packing/lz4.js';
import { packTensors, unpackTensors } from '../../src/split/packing/pack.js';
import { dequantise, levelsOf, quantise, scaleOf, SMALLEST_STEP } from '../../src/split/packing/quantise.js';

const floats = (dims: readonly number[], values: Float32Array | readonly number[]): Tensor<'float32'> =>
  Tensor.floats(values, dims);

/** A map as a ReLU leaves it: smooth, about half zeros. */
function reluMap(size: number, seed = 1): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: size }, (_, i) => Math.max(0, Math.sin(i / 70) + 0.3 * random.normal()));
}

describe('quantisation', () => {
  test('errs by half a step at most, and float32 rounding', () => {
    fc.assert(
      fc.property(
        fc.float32Array({
          noNaN: true,
          noDefaultInfinity: true,
          minLength: 1,
          maxLength: 60,
          max: 2 ** 100,
          min: -(2 ** 100),
        }),
        fc.integer({ min: 1, max: 16 }),
        (values, bits) => {
          const scale = scaleOf(values, bits)!;
          const back = dequantise(quantise(values, scale), scale);
          const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
          const range = Math.max(...values) - Math.min(...values);
          const bound = Math.max(range / levelsOf(bits), SMALLEST_STEP) / 2 + 2 ** -21 * largest;
          values.forEach((value, i) => expect(Math.abs(value - back[i]!)).toBeLessThanOrEqual(bound));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('keeps both ends of the range: the least exactly, the largest but for rounding', () => {
    const values = Float32Array.of(-3, 1, 2.5, 7);
    for (let bits = 1; bits <= 16; bits++) {
      const back = dequantise(quantise(values, scaleOf(values, bits)!), scaleOf(values, bits)!);
      expect(back[0]).toBe(-3);
      expect(back[3]).toBeCloseTo(7, 5);
    }
  });

  test('rounds to nearest, ties to even', () => {
    const scale = { bits: 4, min: 0, step: 1 };
    expect([...quantise(Float32Array.of(0.5, 1.5, 2.5, 3.4999, 14.5, 15), scale)]).toEqual([0, 2, 2, 3, 14, 15]);
  });

  test('takes constants, subnormal ranges and nothing at all', () => {
    for (const values of [Float32Array.of(5, 5, 5), Float32Array.of(-0, 0), new Float32Array(0)])
      for (const bits of [1, 8, 16]) {
        const scale = scaleOf(values, bits)!;
        expect(dequantise(quantise(values, scale), scale).map((v) => v + 0)).toEqual(values.map((v) => v + 0));
      }
    const tiny = Float32Array.of(0, 1e-44, 3e-44);
    const scale = scaleOf(tiny, 2)!;
    expect(scale.step).toBe(SMALLEST_STEP);
    expect([...quantise(tiny, scale)]).toEqual([0, 0, 0]);
  });

  test('declines what no linear scale represents', () => {
    for (const value of [NaN, Infinity, -Infinity]) expect(scaleOf(Float32Array.of(1, value, 2), 8)).toBeUndefined();
    expect(scaleOf(Float32Array.of(-3e38, 3e38), 8)).toBeUndefined();
    for (const bits of [0, 17, 2.5, NaN]) expect(() => scaleOf(Float32Array.of(1), bits)).toThrow(PackingError);
  });
});

describe('bit planes', () => {
  const naive = (integers: ArrayLike<number>, bits: number): number[] => {
    const bytes = Math.ceil(integers.length / 8);
    const planes = Array.from({ length: bits * bytes }, () => 0);
    for (let i = 0; i < integers.length; i++)
      for (let p = 0; p < bits; p++) planes[p * bytes + (i >> 3)]! += ((integers[i]! >> p) & 1) << (i & 7);
    return planes;
  };

  test('are what a bit-by-bit loop makes, and go back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.array(fc.nat(65535), { maxLength: 50 }), (bits, numbers) => {
        const integers = Uint16Array.from(numbers, (value) => value & levelsOf(bits));
        const lanes = bits <= 8 ? Uint8Array.from(integers) : integers;
        const planes = planesOf(lanes, bits);
        expect([...planes]).toEqual(naive(integers, bits));
        expect([...integersOfPlanes(planes, integers.length, bits)]).toEqual([...integers]);
      }),
    );
  });

  test('the fused loops equal quantising and shuffling one after the other', () => {
    for (const length of [1, 7, 8, 9, 64, 1001])
      for (let bits = 1; bits <= 16; bits++) {
        const values = reluMap(length, bits);
        const scale = scaleOf(values, bits)!;
        const integers = quantise(values, scale);
        const planes = quantiseToPlanes(values, scale);
        expect(planes).toEqual(planesOf(integers, bits));
        expect(valuesOfPlanes(planes, length, scale)).toEqual(dequantise(integers, scale));
      }
  });

  test('bytes shuffle and go back', () => {
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i);
    expect([...shuffleBytes(bytes, 4)].slice(0, 7)).toEqual([0, 4, 8, 12, 16, 20, 1]);
    for (const width of [2, 4, 8]) expect(unshuffleBytes(shuffleBytes(bytes, width), width)).toEqual(bytes);
  });
});

/** Byte strings with runs, repeats and noise. */
const texts = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 700 })).map(([byte, count]) => new Uint8Array(count).fill(byte)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 90 }))
        .map(([unit, count]) => Uint8Array.from({ length: unit.length * count }, (_, i) => unit[i % unit.length]!)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));

describe('LZ4', () => {
  test('comes back and stays within its bound', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const block = compressLz4(text);
        expect(block.length).toBeLessThanOrEqual(lz4Bound(text.length));
        expect(decompressLz4(block, text.length)).toEqual(text);
      }),
      { numRuns: 500 },
    );
    const large = new Uint8Array(300_000).map((_, i) => (i % 70_000 < 200 ? i * 7 : (i >> 9) * 31));
    expect(decompressLz4(compressLz4(large), large.length)).toEqual(large);
    expect(compressLz4(new Uint8Array(50_000)).length).toBeLessThan(250);
  });

  test('is the format that lz4-napi reads and writes', async ({ skip }) => {
    const native = await openNativeLz4().catch(() => undefined);
    if (!native) return skip('lz4-napi is not installed');
    fc.assert(
      fc.property(texts, (text) => {
        expect(new Uint8Array(native.decompress(compressLz4(text), text.length))).toEqual(text);
        expect(decompressLz4(native.compress(text), text.length)).toEqual(text);
      }),
      { numRuns: 300 },
    );
  });

  test('refuses broken blocks, and never gives another size', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(400), (bytes, size) => {
        try {
          expect(decompressLz4(bytes, size).length).toBe(size);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
      { numRuns: 2000 },
    );
    const block = compressLz4(new Uint8Array(1000).fill(7));
    expect(() => decompressLz4(block, 999)).toThrow(FrameError);
    expect(() => decompressLz4(block, 1001)).toThrow(FrameError);
    expect(() => decompressLz4(block.subarray(0, block.length - 1), 1000)).toThrow(FrameError);
  });
});

describe('codecs', () => {
  test('all come back, and refuse another size or damage', async () => {
    const codecs = await openCodecs();
    const text = Uint8Array.from({ length: 5000 }, (_, i) => (i % 97 < 60 ? 0 : (i * i) & 255));
    for (const codec of codecs.values()) {
      const packed = codec.compress(text);
      expect(new Uint8Array(codec.decompress(packed, text.length))).toEqual(text);
      for (const size of [0, text.length - 1, text.length + 1])
        expect(() => codec.decompress(packed, size), codec.name).toThrow(FrameError);
      expect(() => codec.decompress(packed.subarray(0, packed.length >> 1), text.length)).toThrow(FrameError);
      expect(new Uint8Array(codec.decompress(codec.compress(new Uint8Array(0)), 0)).length).toBe(0);
    }
  });

  test('damage anywhere ends in an error or in bytes of the stated size', async () => {
    const codecs = await openCodecs();
    const text = reluMapBytes();
    for (const codec of codecs.values()) {
      const packed = new Uint8Array(codec.compress(text));
      for (let at = 0; at < packed.length; at += 7) {
        const damaged = packed.slice();
        damaged[at]! ^= 1 << (at & 7);
        try {
          expect(codec.decompress(damaged, text.length).length).toBe(text.length);
        } catch (error) {
          expect(error, codec.name).toBeInstanceOf(FrameError);
        }
      }
    }
  });

  test('deflate is the raw format of zlib', () => {
    const text = reluMapBytes();
    const packed = pureCodecs.get('deflate')!.compress(text);
    expect(new Uint8Array(inflateRawSync(packed))).toEqual(text);
  });

  test('zstd says no more than it holds', async ({ skip }) => {
    const zstd = await openZstd().catch(() => undefined);
    if (!zstd) return skip('@hpcc-js/wasm-zstd is not installed');
    const packed = new Uint8Array(zstd.compress(new Uint8Array(70_000)));
    expect(zstd.decompress(packed, 70_000).length).toBe(70_000);
    // A claim of 4 GiB is refused by its header.
    expect(() =>
      zstd.decompress(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 255, 255, 255, 255, 1, 0, 0), 100),
    ).toThrow(FrameError);
  });

  test('a missing one is named', () => {
    const tensors = { x: floats([100], reluMap(100)) };
    expect(() => packTensors(tensors, { bits: 4, layout: 'planes', codec: 'zstd' })).toThrow(CodecMissingError);
  });

  function reluMapBytes(): Uint8Array {
    const values = reluMap(3000);
    return quantiseToPlanes(values, scaleOf(values, 5)!);
  }
});

describe('frames', () => {
  const several = {
    map: floats([1, 4, 5, 5], reluMap(100)),
    constant: floats([3], [2.5, 2.5, 2.5]),
    mask: floats([2, 2], [0, -Infinity, NaN, 1]),
    nothing: floats([0, 7], []),
    scalar: floats([], [0.1]),
    lengths: Tensor.int64s([3, -1, 2 ** 40]),
    flags: Tensor.of('bool', [3], Uint8Array.of(1, 0, 1)),
    halves: Tensor.of('float16', [2], Uint16Array.of(0x3c00, 0x7e00)),
    doubles: Tensor.of('float64', [2], Float64Array.of(Math.PI, -0)),
    nibbles: Tensor.fromBytes('uint4', [3], Uint8Array.of(0x21, 0x03)),
  };

  test('carry several tensors of any type; what cannot be quantised stays as it is, bit for bit', async () => {
    const codecs = await openCodecs();
    for (const codec of codecs.keys())
      for (const layout of ['planes', 'lanes'] as const)
        for (const bits of [1, 4, 8, 11, 16, 32]) {
          const frame = packTensors(several, { bits, layout, codec }, codecs);
          const back = unpackTensors(frame, codecs);
          expect(Object.keys(back)).toEqual(Object.keys(several));
          for (const [name, tensor] of Object.entries(several) as [string, Tensor][]) {
            expect(back[name]!.dtype).toBe(tensor.dtype);
            expect(back[name]!.dims).toEqual(tensor.dims);
            if (bits === 32 || !['map', 'scalar'].includes(name))
              expect([...back[name]!.bytes], name).toEqual([...tensor.bytes]);
          }
          if (bits !== 32) {
            const scale = scaleOf(several.map.data, bits)!;
            expect(back['map']!.data).toEqual(dequantise(quantise(several.map.data, scale), scale));
          }
        }
  });

  test('the native and the plain LZ4 understand each other', async () => {
    const codecs = await openCodecs();
    const packing = { bits: 4, layout: 'planes', codec: 'lz4' } as const;
    const tensors = { x: floats([5000], reluMap(5000)) };
    const one = unpackTensors(packTensors(tensors, packing, codecs), pureCodecs);
    const other = unpackTensors(packTensors(tensors, packing, pureCodecs), codecs);
    expect(one['x']!.data).toEqual(other['x']!.data);
  });

  test('what does not shrink is stored', () => {
    const random = createRandom(3);
    const noise = Tensor.of(
      'uint8',
      [500],
      new Uint8Array(500).map(() => random.int(256)),
    );
    const [entry] = decodeFrame(packTensors({ noise }, { bits: 8, layout: 'lanes', codec: 'lz4' }));
    expect(entry!.codec).toBe('stored');
  });

  test('refuse strings, unknown packings', () => {
    const packing = { bits: 8, layout: 'planes', codec: 'lz4' } as const;
    expect(() => packTensors({ s: Tensor.ofStrings([1], ['a']) }, packing)).toThrow(PackingError);
    expect(() => packTensors({}, { ...packing, bits: 20 })).toThrow(PackingError);
    expect(() => packTensors({}, { ...packing, layout: 'rows' as 'lanes' })).toThrow(PackingError);
    expect(() => packTensors({}, { ...packing, codec: 'snappy' as 'lz4' })).toThrow(PackingError);
  });

  const frame = (codecs: Codecs = pureCodecs): Uint8Array =>
    packTensors(
      { a: floats([4, 9], reluMap(36)), b: Tensor.int64s([1, 2]) },
      { bits: 4, layout: 'planes', codec: 'lz4' },
      codecs,
    );

  /** Reads a frame; anything but an answer or a Cuttle error fails. */
  function survives(bytes: Uint8Array): void {
    try {
      unpackTensors(bytes, pureCodecs, { unpackedBytes: 2 ** 20 });
    } catch (error) {
      expect(error).toBeInstanceOf(CuttleError);
    }
  }

  test('every truncation and every damaged byte is an error or an answer', () => {
    const bytes = frame();
    for (let end = 0; end < bytes.length; end++)
      expect(() => unpackTensors(bytes.subarray(0, end))).toThrow(FrameError);
    for (let at = 0; at < bytes.length; at++)
      for (const value of [0, 1, 127, 128, 255, bytes[at]! ^ 4]) {
        const damaged = bytes.slice();
        damaged[at] = value;
        survives(damaged);
      }
  });

  test('random bytes behind a sound header too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(4), (tail, count) => {
        const bytes = new Uint8Array(12 + tail.length);
        bytes.set([0x43, 0x55, 0x54, 0x46, 1, 0, count, 0]);
        new DataView(bytes.buffer).setUint32(8, bytes.length, true);
        bytes.set(tail, 12);
        survives(bytes);
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => survives(bytes)),
      { numRuns: 500 },
    );
  });

  test('claims beyond the limits are refused before memory is taken', () => {
    const claim = (dims: readonly number[], payload: number, codec: 'lz4' | 'deflate' | 'stored' = 'lz4'): Uint8Array =>
      encodeFrame([
        {
          ...{ name: 'x', dtype: 'float32', dims, layout: 'planes', codec, payload: new Uint8Array(payload) },
          scale: { bits: 4, min: 0, step: 1 },
        },
      ]);
    expect(() => unpackTensors(claim([2 ** 31, 2 ** 31, 2 ** 31], 10))).toThrow(/more than the limit/);
    expect(() => unpackTensors(claim([2 ** 25], 10))).toThrow(/cannot grow/);
    expect(() => unpackTensors(claim([2 ** 20], 100), pureCodecs, { unpackedBytes: 2 ** 20 })).toThrow(/limit/);
    expect(() => decodeFrame(frame(), { tensors: 1 })).toThrow(/limit/);
    expect(() => decodeFrame(frame(), { frameBytes: 20 })).toThrow(/limit/);
    expect(() => decodeFrame(frame(), { rank: 1 })).toThrow(/limit/);
    expect(() => decodeFrame(frame(), { nameBytes: 0 })).toThrow(/limit/);
  });

  test('one name stands once', () => {
    const [a] = decodeFrame(frame());
    expect(() => decodeFrame(encodeFrame([a!, a!]))).toThrow(/named 'a'/);
  });

  test('a view into a larger buffer, unaligned, is read as well', () => {
    const bytes = frame();
    const larger = new Uint8Array(bytes.length + 9);
    larger.set(bytes, 5);
    expect(unpackTensors(larger.subarray(5, 5 + bytes.length))['a']!.data).toEqual(unpackTensors(bytes)['a']!.data);
  });
});

describe('test vectors', () => {
  interface Vector {
    readonly what: string;
    readonly frame: string;
    readonly tensors: Readonly<Record<string, { dtype: 'float32' | 'int64'; dims: number[]; bytes: string }>>;
  }
  const { version, vectors } = JSON.parse(
    readFileSync(new URL('../fixtures/split/frames.json', import.meta.url), 'utf8'),
  ) as { version: number; vectors: readonly Vector[] };

  test('are of this version', () => expect(version).toBe(1));

  test.each(vectors)('$what', async ({ frame, tensors }) => {
    const codecs = await openCodecs();
    const bytes = new Uint8Array(Buffer.from(frame, 'hex'));
    if (decodeFrame(bytes).some(({ codec }) => !codecs.has(codec))) return;
    const back = unpackTensors(bytes, codecs);
    expect(Object.keys(back)).toEqual(Object.keys(tensors));
    for (const [name, expected] of Object.entries(tensors)) {
      expect(back[name]!.dtype).toBe(expected.dtype);
      expect(back[name]!.dims).toEqual(expected.dims);
      expect(Buffer.from(back[name]!.bytes).toString('hex')).toBe(expected.bytes);
    }
  });
});
