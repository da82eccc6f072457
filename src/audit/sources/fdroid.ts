/** @file An F-Droid repository as a source: its index, version 2 (https://f-droid.org/docs/All_our_APIs). */
import { z } from 'zod';
import { fileChunks } from '../../platform/node/lines.js';
import { joinPath, removeFile } from '../../platform/node/files.js';
import { AuditError } from '../errors.js';
import type { Fetcher } from './fetcher.js';
import type { PlanItem } from './item.js';
import { jsonMembers } from './json-members.js';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
/** Below the repository's own address. */
const fileName = z
  .string()
  .refine((name) => name.startsWith('/') && !name.split('/').includes('..'), 'must be a path that begins with /');
const entrySchema = z.object({ index: z.object({ name: fileName, sha256: digest, size: z.number().int().min(1) }) });
const texts = z.record(z.string(), z.string());
const packageSchema = z.object({
  metadata: z.object({
    name: texts.optional(),
    categories: z.array(z.string()).optional(),
    license: z.string().optional(),
  }),
  versions: z.record(
    z.string(),
    z.object({
      added: z.number().optional(),
      file: z.object({
        name: fileName,
        sha256: digest,
        size: z.number().int().min(0).optional(),
      }),
      manifest: z.object({ versionCode: z.number().default(0) }),
      releaseChannels: z.array(z.string()).optional(),
    }),
  ),
});
type Package = z.infer<typeof packageSchema>;
type Version = Package['versions'][string];

export interface FdroidOptions {
  /** Of each app the newest version (not beta, where there is another), or all. */
  readonly versions: 'newest' | 'all';
  /** Where the index is kept while the plan is made. */
  readonly folder: string;
  readonly signal?: AbortSignal;
}

const MAX_ENTRY_BYTES = 1 << 20;
const MAX_INDEX_BYTES = 2 ** 30;
/** One app's part of the index. */
const MAX_PACKAGE_BYTES = 16 * 2 ** 20;

/**
 * The apps of a repository (`https://f-droid.org/repo`), in the order of its index. The index is checked against the checksum in
 * `entry.json`, each app's file against the index; the signature of `entry.jar` is not checked, so give an address with https.
 * Throws FetchError, and AuditError where the index is none.
 */
export async function* fdroidItems(
  address: string,
  fetcher: Fetcher,
  options: FdroidOptions,
): AsyncGenerator<PlanItem> {
  const { folder, versions, signal } = options;
  const base = address.replace(/[?#].*$/s, '').replace(/\/+$/, '');
  const asked = { ...(signal && { signal }) };
  const bytes = await fetcher.bytes(`${base}/entry.json`, joinPath(folder, 'entry.json'), {
    maxBytes: MAX_ENTRY_BYTES,
    ...asked,
  });
  const entry = entrySchema.safeParse(parsed(bytes));
  if (!entry.success) throw noIndex(base, `entry.json: ${entry.error.issues[0]!.message}`);
  const { name, sha256, size } = entry.data.index;
  const path = joinPath(folder, `index-${sha256}.json`);
  await fetcher.download(base + fileAddress(name), path, { sha256, bytes: size, maxBytes: MAX_INDEX_BYTES, ...asked });
  for await (const [id, value] of jsonMembers(fileChunks(path), ['packages'], MAX_PACKAGE_BYTES)) {
    const app = packageSchema.safeParse(value);
    if (!app.success) {
      const issue = app.error.issues[0]!;
      throw noIndex(base, `app '${id}': ${issue.path.join('.')}: ${issue.message}`);
    }
    for (const version of chosen(app.data, versions)) yield itemOf(base, app.data, version);
  }
  await removeFile(path);
}

/** Newest first; only apps (a repository may hold other files, too). */
function chosen({ versions }: Package, which: 'newest' | 'all'): readonly Version[] {
  const apps = Object.values(versions).filter(({ file }) => /\.apk$/i.test(file.name));
  apps.sort((a, b) => b.manifest.versionCode - a.manifest.versionCode || (a.file.sha256 < b.file.sha256 ? -1 : 1));
  if (which === 'all') return apps;
  return [apps.find(({ releaseChannels = [] }) => releaseChannels.length === 0) ?? apps[0]].filter(
    (app) => app !== undefined,
  );
}

function itemOf(base: string, { metadata }: Package, { file, added }: Version): PlanItem {
  const { name, categories, license } = metadata;
  const title = name?.['en-US'] ?? Object.values(name ?? {})[0];
  const url = base + fileAddress(file.name);
  return {
    kind: 'fdroid',
    locator: url,
    url,
    sha256: file.sha256,
    ...(file.size !== undefined && { bytes: file.size }),
    listing: {
      ...(title !== undefined && { name: title }),
      ...(categories !== undefined && { categories }),
      ...(license !== undefined && { licence: license }),
      ...(added !== undefined && { added: new Date(added).toISOString().slice(0, 10) }),
    },
  };
}

const fileAddress = (name: string): string => name.split('/').map(encodeURIComponent).join('/');

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

const noIndex = (base: string, why: string): AuditError =>
  new AuditError('fdroid', `'${base}' is no F-Droid repository with an index of version 2: ${why}`, {
    hint: 'Give the address of the folder that holds entry.json, such as https://f-droid.org/repo',
  });
