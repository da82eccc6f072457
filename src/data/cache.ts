/** @file Decoded images kept on disk, so that opening the same data again takes a fraction of a second. */
import * as z from 'zod/mini';
import {
  fileInfo,
  joinPath,
  listFolder,
  makeFolder,
  readBytes,
  readJson,
  removeFile,
  writeFileAtomic,
  writeJson,
} from '../platform/node/files.js';
import { sha256 } from '../platform/node/hash.js';
import { sampleBytes, type ImageDataset } from './dataset.js';
import { type RawData } from './parts.js';

/** Older entries are removed when the cache grows beyond this. */
export const MAX_CACHE_BYTES = 4 * 2 ** 30;
/** Raised whenever decoding or the file layout changes. */
const VERSION = 1;

const count = z.int().check(z.gte(0));
const partSchema = z.object({
  part: z.enum(['train', 'val', 'test', 'all']),
  name: z.string(),
  size: count,
  channels: z.union([z.literal(1), z.literal(3)]),
  height: count,
  width: count,
});
const entrySchema = z.object({
  version: z.literal(VERSION),
  key: z.string(),
  bytes: count,
  classes: z.array(z.string()),
  parts: z.array(partSchema),
  bad: z.array(z.object({ name: z.string(), reason: z.string() })),
  notes: z.array(z.string()),
});
type Entry = z.infer<typeof entrySchema>;

/** What a cached result depends on: everything that could change a pixel. */
export type CacheKey = Readonly<Record<string, string | number | undefined>>;

/** A folder of decoded data sets: `<hash>.json` describes one, `<hash>.bin` holds labels and pixels. */
export class DecodedCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The stored result, or `undefined` where there is none that fits; a damaged entry counts as none. */
  async get(key: CacheKey, signal?: AbortSignal): Promise<RawData | undefined> {
    const { text, json, bin } = this.#paths(key);
    try {
      if ((await fileInfo(json)) === undefined) return undefined;
      const parsed = entrySchema.safeParse(await readJson(json));
      if (!parsed.success || parsed.data.key !== text) return undefined;
      const entry = parsed.data;
      if (entryBytes(entry) !== entry.bytes || (await fileInfo(bin))?.size !== entry.bytes) return undefined;
      return unpack(entry, await readBytes(bin, signal));
    } catch (cause) {
      if (signal?.aborted) throw cause;
      // A cache that cannot be read costs time, never the result.
      return undefined;
    }
  }

  /** Stores a result; the description is written last, so a half-written entry is never found. Returns whether it was kept. */
  async put(key: CacheKey, raw: RawData): Promise<boolean> {
    const { text, json, bin } = this.#paths(key);
    const parts = (['train', 'val', 'test', 'all'] as const).flatMap((part) => {
      const dataset = raw.parts[part];
      return dataset ? [{ part, dataset }] : [];
    });
    const entry: Entry = {
      version: VERSION,
      key: text,
      bytes: 0,
      classes: [...(parts[0]?.dataset.classes ?? [])],
      parts: parts.map(({ part, dataset: { name, size, channels, height, width } }) => ({
        part,
        name,
        size,
        channels: channels === 1 ? 1 : 3,
        height,
        width,
      })),
      bad: [...raw.bad],
      notes: [...raw.notes],
    };
    try {
      await makeFolder(this.#folder);
      await writeFileAtomic(bin, sections(parts.map(({ dataset }) => dataset)), { force: true });
      await writeJson(json, { ...entry, bytes: entryBytes(entry) }, { force: true });
      await this.#trim(json, bin);
      return true;
    } catch {
      // A full disk or a read-only home must not fail a run that has its data already.
      await removeFile(json).catch(() => undefined);
      await removeFile(bin).catch(() => undefined);
      return false;
    }
  }

  #paths(key: CacheKey): { readonly text: string; readonly json: string; readonly bin: string } {
    const text = JSON.stringify(Object.entries(key).filter(([, value]) => value !== undefined));
    const stem = joinPath(this.#folder, sha256(text).slice(0, 32));
    return { text, json: `${stem}.json`, bin: `${stem}.bin` };
  }

  /** Removes the oldest entries until the rest fit, never the one just written. */
  async #trim(...keep: readonly string[]): Promise<void> {
    const files = (await listFolder(this.#folder)).filter(({ name }) => /^[0-9a-f]{32}\.bin$/.test(name));
    const aged = await Promise.all(files.map(async ({ path }) => ({ path, info: await fileInfo(path) })));
    aged.sort((a, b) => (b.info?.modifiedMs ?? 0) - (a.info?.modifiedMs ?? 0));
    let total = 0;
    for (const { path, info } of aged) {
      total += info?.size ?? 0;
      if (total <= MAX_CACHE_BYTES || keep.includes(path)) continue;
      await removeFile(path.replace(/bin$/, 'json'));
      await removeFile(path);
    }
  }
}

function entryBytes(entry: Pick<Entry, 'parts'>): number {
  return entry.parts.reduce((sum, part) => sum + part.size * (4 + sampleBytes(part)), 0);
}

/** Labels, then pixels, of every part in turn; in chunks, so that nothing is copied whole. */
function* sections(datasets: readonly ImageDataset[]): Generator<Uint8Array> {
  for (const { labels } of datasets) yield new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength);
  for (const { pixels } of datasets) yield pixels;
}

function unpack(entry: Entry, bytes: Uint8Array<ArrayBuffer>): RawData {
  const parts: Partial<Record<Entry['parts'][number]['part'], ImageDataset>> = {};
  let labelsAt = 0;
  let pixelsAt = entry.parts.reduce((sum, part) => sum + 4 * part.size, 0);
  for (const { part, ...rest } of entry.parts) {
    const labels = new Int32Array(bytes.buffer, labelsAt, rest.size);
    for (let i = 0; i < labels.length; i++)
      if (labels[i]! < 0 || labels[i]! >= entry.classes.length) throw new RangeError('label out of range');
    const pixels = bytes.subarray(pixelsAt, pixelsAt + rest.size * sampleBytes(rest));
    labelsAt += 4 * rest.size;
    pixelsAt += pixels.length;
    parts[part] = { ...rest, classes: entry.classes, labels, pixels };
  }
  return { parts, bad: entry.bad, notes: entry.notes };
}
