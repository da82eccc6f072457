/** @file Zstandard: what a compressor of others writes comes back; what is broken ends in an error. */
import { Zstd } from '@hpcc-js/wasm-zstd';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Budget } from '../../src/audit/archive/budget.js';
import { defaultArchiveLimits } from '../../src/audit/archive/limits.js';
import { readZstd } from '../../src/audit/archive/zstd.js';
import { AuditError } from '../../src/audit/errors.js';
import { bytesSource, walkArchive } from '../../src/audit/index.js';
import { nodeHost } from '../../src/audit/node.js';
import { createRandom } from '../../src/platform/index.js';
import { writeTar } from './zip-writer.js';

const zstd = await Zstd.load();
const unpack = async (bytes: Uint8Array, limits: Partial<typeof defaultArchiveLimits> = {}): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  const budget = new Budget({ ...defaultArchiveLimits, ...limits }, bytes.length);
  for await (const chunk of readZstd(bytesSource(bytes), budget)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const random = createRandom(4);
const text = (length: number): Uint8Array =>
  Buffer.from(Array.from({ length: length / 8 }, () => `word${random.int(999)} `).join(''));
const noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => random.int(256));
/** Few values, unevenly: long codes, trees written as weights. */
const skewed = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(random.next() ** 6 * 120));

const samples = {
  nothing: new Uint8Array(0),
  'one byte': Uint8Array.of(7),
  zeros: new Uint8Array(700_000),
  noise: noise(200_000),
  text: text(900_000),
  skewed: skewed(400_000),
  mixed: new Uint8Array(Buffer.concat([text(100_000), noise(50_000), skewed(90_000), text(300_000)])),
};

test.each(Object.entries(samples))('%s', { timeout: 60_000 }, async (_, data) => {
  for (const level of [1, 3, 9, 19]) {
    const packed = zstd.compress(data, level);
    expect(Buffer.compare(await unpack(packed), data), `level ${level}`).toBe(0);
  }
});

test('frames one after another, frames to be skipped, bytes behind', async () => {
  const [a, b] = [zstd.compress(samples.text), zstd.compress(samples.zeros)];
  const skipped = Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
  const whole = await unpack(new Uint8Array(Buffer.concat([skipped, a, skipped, b, noise(30)])));
  expect(Buffer.compare(whole, Buffer.concat([samples.text, samples.zeros]))).toBe(0);
});

test('a bomb, a window of gigabytes and a dictionary are refused', async () => {
  await expect(unpack(zstd.compress(samples.zeros), { ratioFreeBytes: 1000, maxRatio: 10 })).rejects.toThrow(/bombs/);
  await expect(unpack(zstd.compress(samples.zeros), { maxEntryBytes: 1000 })).rejects.toThrow(/more than 1000/);
  const frame = (flags: number, ...rest: readonly number[]): Uint8Array =>
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, flags, ...rest, 1, 0, 0, 0, 0);
  await expect(unpack(frame(0, 0xff))).rejects.toThrow(/window/);
  await expect(unpack(frame(1, 0x10, 9))).rejects.toThrow(/dictionary/);
});

test('an archive inside is walked', async () => {
  const files: string[] = [];
  await walkArchive(bytesSource(zstd.compress(writeTar({ 'a/b': samples.text }))), 'x.tar.zst', {
    host: nodeHost,
    visit: async ({ path, source }) => void files.push(`${path} ${source.size}`),
  });
  expect(files.slice(1)).toEqual([
    `x.tar.zst!/x.tar ${files[1]?.split(' ')[1]}`,
    'x.tar.zst!/x.tar!/a/b 900000'.replace('900000', String(samples.text.length)),
  ]);
});

test('broken data ends in an error, never elsewhere', { timeout: 60_000 }, async () => {
  const seeds = [samples.skewed, samples.mixed, samples.text].flatMap((data) =>
    [1, 19].map((level) => zstd.compress(data.subarray(0, 20_000), level)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.option(fc.nat(), { freq: 4 }),
      async (seed, changes, cut) => {
        const changed = seed.slice(0, cut === null ? seed.length : cut % seed.length);
        // Most of the changes near the beginning, where headers and codes stand.
        for (const [at, byte] of changes)
          if (changed.length > 0) changed[(at % 2 === 0 ? at % 64 : at) % changed.length] = byte;
        try {
          await unpack(changed, { maxEntryBytes: 2 ** 22 });
        } catch (cause) {
          if (!(cause instanceof AuditError)) throw cause;
        }
      },
    ),
    { numRuns: 3000, seed: 6 },
  );
});
