/** @file Models taken out of the apps of a run again: each distinct one once, its bytes checked against the record. */
import { CuttleError } from '../../ir/index.js';
import { fileInfo, joinPath, openFile } from '../../platform/node/files.js';
import { sha256 as hashOf } from '../../platform/node/hash.js';
import { walkArchive } from '../archive/index.js';
import type { ModelFormat } from '../formats.js';
import { nodeHost } from '../node-host.js';
import type { ModelRecord } from '../record.js';
import { itemName, type PlanItem } from '../sources/item.js';
import { recordedItems } from './folder.js';
import { existingRecord, recordPath } from './records.js';

export interface ExtractedModel {
  readonly record: ModelRecord;
  /** The app that it was taken from; others may hold the same. */
  readonly app: { readonly identifier: string; readonly sha256: string };
  readonly bytes: Uint8Array;
}

export interface ExtractOptions {
  /** Only these formats; all where omitted. */
  readonly formats?: readonly ModelFormat[];
  /** Only models whose SHA-256 begins like one of these. */
  readonly only?: readonly string[];
  /** Larger ones are told as missed. 512 MiB where omitted. */
  readonly maxBytes?: number;
  /** Where downloaded apps were kept (`--downloads`). */
  readonly downloads?: string;
  readonly signal?: AbortSignal;
}

export interface Extraction {
  readonly taken: number;
  /** Models whose bytes cannot be had, and why. */
  readonly missed: readonly { readonly sha256: string; readonly path: string; readonly reason: string }[];
}

/** Bytes hidden in these ways are not the model's own. */
const unusable = new Set(['xor', 'zlib', 'deflate', 'base64', 'encrypted']);

/**
 * Hands each distinct model of a run to `take`, one at a time. An app that is gone or has changed since costs its models, not the run.
 * Throws AuditError where the folder holds no run, and what `take` throws.
 */
export async function extractModels(
  folder: string,
  options: ExtractOptions,
  take: (model: ExtractedModel) => Promise<void>,
): Promise<Extraction> {
  const { formats, only, maxBytes = 512 * 2 ** 20, downloads, signal } = options;
  const taken = new Set<string>();
  const missed = new Map<string, { readonly path: string; readonly reason: string }>();
  const wanted = ({ format, sha256 }: ModelRecord): boolean =>
    !taken.has(sha256) &&
    (formats === undefined || formats.includes(format)) &&
    (only === undefined || only.some((start) => sha256.startsWith(start)));

  for await (const { item, sha256 } of recordedItems(folder)) {
    signal?.throwIfAborted();
    const record = await existingRecord(recordPath(joinPath(folder, 'records'), sha256));
    const models = record?.models.filter(wanted) ?? [];
    if (record === undefined || models.length === 0) continue;
    const miss = (model: ModelRecord, reason: string): void =>
      void missed.set(model.sha256, { path: model.path, reason });
    const usable = models.filter((model) => {
      const why =
        model.disguise !== undefined && unusable.has(model.disguise)
          ? `its bytes are hidden (${model.disguise})`
          : model.length > maxBytes
            ? `it has ${model.length} bytes`
            : undefined;
      if (why !== undefined) miss(model, why);
      return why === undefined;
    });
    const file = fileOf(item, downloads);
    if (file === undefined || (await fileInfo(file)) === undefined) {
      for (const model of usable) miss(model, `'${item.locator}' is not there any more`);
      continue;
    }
    const byPath = grouped(usable);
    const app = { identifier: record.identifier, sha256 };
    await using source = await openFile(file);
    await walkArchive(source, itemName(item), {
      host: nodeHost,
      ...(signal && { signal }),
      visit: async ({ path, source: inner }) => {
        for (const model of byPath.get(path) ?? []) {
          if (taken.has(model.sha256) || model.offset + model.length > inner.size) continue;
          const bytes = (await inner.read(model.offset, model.length)).slice();
          if (hashOf(bytes) !== model.sha256) continue;
          taken.add(model.sha256);
          missed.delete(model.sha256);
          await take({ record: model, app, bytes });
        }
      },
    }).catch((error: unknown) => {
      // What is broken in the archive was said by the audit; the models behind it are missed below.
      if (!(error instanceof CuttleError) || error.kind !== 'invalid') throw error;
    });
    for (const model of usable)
      if (!taken.has(model.sha256)) miss(model, `'${item.locator}' has changed since it was audited`);
  }
  return { taken: taken.size, missed: [...missed].map(([sha256, rest]) => ({ sha256, ...rest })) };
}

/** Where an item lies now, as far as a run can know. */
function fileOf({ kind, file, sha256, url }: PlanItem, downloads: string | undefined): string | undefined {
  if (kind === 'file') return file;
  if (downloads === undefined || url === undefined) return undefined;
  return joinPath(downloads, sha256 === undefined ? `${hashOf(url)}.url` : `${sha256}.apk`);
}

function grouped(models: readonly ModelRecord[]): ReadonlyMap<string, readonly ModelRecord[]> {
  const byPath = new Map<string, ModelRecord[]>();
  for (const model of models) byPath.set(model.path, [...(byPath.get(model.path) ?? []), model]);
  return byPath;
}
