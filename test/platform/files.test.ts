import { symlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as files from '../../src/platform/node/files.js';
import { gunzip, gunzipStream, gzip, GzipError, isGzip } from '../../src/platform/node/gzip.js';
import { sha256, sha256OfFile } from '../../src/platform/node/hash.js';

const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) % 251);

describe('files', () => {
  test('what is written is read back, whole and in ranges', () =>
    files.withTemporaryFolder(async (folder) => {
      const path = files.joinPath(folder, 'deep', 'er', 'a.bin');
      await files.writeFileAtomic(path, [bytes.subarray(0, 10), bytes.subarray(10)]);
      expect(await files.readBytes(path)).toEqual(bytes);
      expect(await files.readRange(path, 500, 20)).toEqual(bytes.slice(500, 520));
      await expect(files.readRange(path, bytes.length - 5, 6)).rejects.toMatchObject({ kind: 'invalid' });
      expect(await sha256OfFile(path)).toBe(sha256(bytes));
      expect(await files.listFolder(files.dirname(path))).toMatchObject([{ name: 'a.bin', kind: 'file' }]);
    }));

  test('nothing is overwritten without force, and no temporary file stays behind', () =>
    files.withTemporaryFolder(async (folder) => {
      const path = files.joinPath(folder, 'a.json');
      await files.writeJson(path, { a: 1 });
      await expect(files.writeJson(path, { a: 2 })).rejects.toBeInstanceOf(files.FileExistsError);
      expect(await files.readJson(path)).toEqual({ a: 1 });
      await files.writeJson(path, { a: 3 }, { force: true });
      expect(await files.readJson(path)).toEqual({ a: 3 });
      expect(await files.listFolder(folder)).toHaveLength(1);
    }));

  test('of two writers without force one wins and the other is told', () =>
    files.withTemporaryFolder(async (folder) => {
      const path = files.joinPath(folder, 'a');
      const results = await Promise.allSettled(['x', 'y', 'z'].map((text) => files.writeFileAtomic(path, text)));
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(files.FileExistsError);
      expect(await files.listFolder(folder)).toHaveLength(1);
    }));

  test('a write whose source fails leaves the old file and no other', () =>
    files.withTemporaryFolder(async (folder) => {
      const path = files.joinPath(folder, 'a');
      await files.writeFileAtomic(path, 'old');
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes;
        throw new Error('source failed');
      };
      await expect(files.writeFileAtomic(path, broken(), { force: true })).rejects.toThrow('source failed');
      expect(await files.readText(path)).toBe('old');
      expect(await files.listFolder(folder)).toHaveLength(1);
    }));

  test('a missing file, a folder and broken JSON are named, kind invalid', () =>
    files.withTemporaryFolder(async (folder) => {
      await expect(files.readBytes(files.joinPath(folder, 'none'))).rejects.toMatchObject({
        kind: 'invalid',
        message: expect.stringContaining('none') as unknown,
      });
      await expect(files.readBytes(folder)).rejects.toMatchObject({ kind: 'invalid' });
      await files.writeFileAtomic(files.joinPath(folder, 'b.json'), '{');
      await expect(files.readJson(files.joinPath(folder, 'b.json'))).rejects.toMatchObject({ kind: 'invalid' });
    }));

  test('links are followed and entries sorted', () =>
    files.withTemporaryFolder(async (folder) => {
      await files.makeFolder(files.joinPath(folder, 'z'));
      symlinkSync(files.joinPath(folder, 'z'), files.joinPath(folder, 'a'));
      symlinkSync(files.joinPath(folder, 'nowhere'), files.joinPath(folder, 'm'));
      expect((await files.listFolder(folder)).map(({ name, kind }) => `${name} ${kind}`)).toEqual([
        'a folder',
        'm other',
        'z folder',
      ]);
    }));
});

describe('gzip', () => {
  test('round trip, whole and streamed', async () => {
    const packed = await gzip(bytes);
    expect(isGzip(packed)).toBe(true);
    expect(await gunzip(packed)).toEqual(bytes);
    const parts: Uint8Array[] = [];
    for await (const part of gunzipStream([packed.subarray(0, 99), packed.subarray(99)])) parts.push(part);
    expect(sha256(Buffer.concat(parts))).toBe(sha256(bytes));
  });

  test('a bomb, a cut and garbage end in GzipError', async () => {
    const bomb = await gzip(new Uint8Array(10_000_000));
    await expect(gunzip(bomb, 1000)).rejects.toBeInstanceOf(GzipError);
    const drain = async (chunks: Iterable<Uint8Array>, limit?: number): Promise<void> => {
      for await (const chunk of gunzipStream(chunks, limit)) void chunk;
    };
    await expect(drain([bomb], 1000)).rejects.toBeInstanceOf(GzipError);
    await expect(drain([bomb.subarray(0, 500)])).rejects.toBeInstanceOf(GzipError);
    await expect(gunzip(bytes)).rejects.toBeInstanceOf(GzipError);
  });
});

test('sha256 of a known text', () => {
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
