/** @file Records on disk: one file per contents, named by their SHA-256, so that nothing is there twice. */
import { CuttleError } from '../../ir/index.js';
import { fileInfo, joinPath, openFile, readJson, writeFileAtomic } from '../../platform/node/files.js';
import { openSha256 } from '../../platform/node/hash.js';
import { AuditError, shown } from '../errors.js';
import type { AppOrigin, AppRecord } from '../record.js';
import { itemName, type PlanItem } from '../sources/item.js';
import { chunksOf } from '../source.js';
import type { AuditJob, JobOutcome } from './outcome.js';

/** Where the record of some contents lies. */
export const recordPath = (records: string, sha256: string): string => joinPath(records, `${sha256}.json`);

/** Writes a record whole, over an older one. */
export async function writeRecord(path: string, record: AppRecord): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(record)}\n`, { force: true });
}

/** The record at a path, or `undefined` where nothing is. Throws AuditError where something else is. */
export async function existingRecord(path: string): Promise<AppRecord | undefined> {
  if ((await fileInfo(path)) === undefined) return undefined;
  const read = (await readJson(path)) as Partial<AppRecord> | null;
  if (read?.schema !== 1 || read.origin === undefined)
    throw new AuditError('record', `'${path}' is no record of an app`, {
      hint: 'Remove it, or choose another folder.',
    });
  return read as AppRecord;
}

/** What a record says became of its app. */
export function outcomeOf({ origin: { sha256, bytes }, failure, models }: AppRecord, known: boolean): JobOutcome {
  if (failure !== undefined) return { status: 'failed', sha256, bytes, reason: failure };
  const formats: Record<string, number> = {};
  for (const { format } of models) formats[format] = (formats[format] ?? 0) + 1;
  return { status: 'recorded', sha256, bytes, known, formats };
}

/** Hashes an item's file and states where it came from. Throws AuditError where its source published another checksum, FileError where it cannot be read. */
export async function originOf({ kind, locator, sha256, listing }: PlanItem, file: string): Promise<AppOrigin> {
  await using source = await openFile(file);
  const hash = openSha256();
  for await (const chunk of chunksOf(source, 1 << 20)) hash.update(chunk);
  const found = hash.hex();
  if (sha256 !== undefined && sha256 !== found)
    throw new AuditError('checksum', `'${locator}' has SHA-256 ${found}, but ${sha256} was published`);
  return { kind, locator, sha256: found, bytes: source.size, ...(listing !== undefined && { listing }) };
}

/** The record of an app that could not be audited at all. */
function failedRecord(origin: AppOrigin, name: string, failure: string): AppRecord {
  const label = origin.listing?.name;
  return {
    schema: 1,
    origin,
    app: null,
    failure: shown(failure, 400),
    identifier: name,
    ...(label !== undefined && { label }),
    category: origin.listing?.categories?.[0] ?? null,
    models: [],
  };
}

/** Writes the record of an app whose audit killed its worker, or threw. */
export async function recordFailure(job: AuditJob, reason: string): Promise<JobOutcome> {
  let origin: AppOrigin;
  try {
    origin = await originOf(job.item, job.file);
  } catch (cause) {
    if (!(cause instanceof CuttleError)) throw cause;
    return { status: 'unavailable', reason: cause.message };
  }
  const record = failedRecord(origin, itemName(job.item), reason);
  await writeRecord(recordPath(job.records, origin.sha256), record);
  return outcomeOf(record, false);
}

/**
 * The same record for another place of the same contents: paths in it begin with the name of the app's file.
 * Records of one app from two places differ in nothing else.
 */
export function relocated(record: AppRecord, item: PlanItem): AppRecord {
  const { kind, locator, listing } = item;
  const { sha256, bytes } = record.origin;
  const origin: AppOrigin = { kind, locator, sha256, bytes, ...(listing !== undefined && { listing }) };
  const from = record.app?.path ?? record.identifier;
  const to = itemName(item);
  const moved = (path: string): string =>
    path === from || path.startsWith(`${from}!/`) ? to + path.slice(from.length) : path;
  const move = <Part extends { readonly path: string }>(parts: readonly Part[]): readonly Part[] =>
    parts.map((part) => ({ ...part, path: moved(part.path) }));
  const { schema, app, failure, identifier, version, versionCode, models } = record;
  const manifest = app?.parts[0]?.manifest;
  const label =
    app?.parts.find((part) => part.manifest.label !== undefined)?.manifest.label ?? app?.ios?.name ?? listing?.name;
  return {
    schema,
    origin,
    app: app && {
      ...app,
      path: to,
      parts: move(app.parts),
      libraries: move(app.libraries),
      evidence: move(app.evidence),
      problems: move(app.problems),
    },
    ...(failure !== undefined && { failure }),
    identifier: identifier === from ? to : identifier,
    ...(label !== undefined && { label: shown(label, 400) }),
    ...(version !== undefined && { version }),
    ...(versionCode !== undefined && { versionCode }),
    category: manifest?.category ?? app?.ios?.category ?? listing?.categories?.[0] ?? null,
    models: move(models),
  };
}
