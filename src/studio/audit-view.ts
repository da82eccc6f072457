/** @file The apps of an audit: its records as a list, and one whole record. */
import { CuttleError } from '../ir/index.js';
import { readJson } from '../platform/node/files.js';
// A record's shape is the audit's own; its files are read here as they stand.
import type { AppRecord } from '../audit/record.js';
import { subjects, type Use } from '../audit/evidence/index.js';
import { RefusedError } from './errors.js';
import type { AuditAppView, AuditView } from './messages.js';
import type { WorkspaceFiles } from './workspace.js';

/** Records that are read at once: more is a matter for the audit's own queries. */
const MAX_RECORDS = 2_000;

const folderOf = (path: string): string => (path === '' ? 'records' : `${path}/records`);

/** The apps of the audit in a folder. Records that cannot be read are named. */
export async function auditApps(files: WorkspaceFiles, path: string): Promise<AuditView> {
  const folder = folderOf(path);
  const names = (await files.list(folder)).filter((name) => name.endsWith('.json'));
  const apps: AuditAppView[] = [];
  const broken: { name: string; why: string }[] = [];
  for (const name of names.slice(0, MAX_RECORDS))
    try {
      apps.push(rowOf(name, await recordAt(files, `${folder}/${name}`)));
    } catch (error) {
      if (!(error instanceof CuttleError)) throw error;
      broken.push({ name, why: error.message });
    }
  return { apps, broken, truncated: names.length > MAX_RECORDS };
}

/** One whole record. Throws RefusedError for what is none. */
export async function auditRecord(files: WorkspaceFiles, path: string, name: string): Promise<AppRecord> {
  if (name.includes('/') || !name.endsWith('.json')) throw new RefusedError(400, 'record', `'${name}' is no record`);
  return await recordAt(files, `${folderOf(path)}/${name}`);
}

async function recordAt(files: WorkspaceFiles, path: string): Promise<AppRecord> {
  const value = await readJson(await files.path(path));
  const record = value as Partial<AppRecord> | null;
  if (record?.schema !== 1 || typeof record.identifier !== 'string' || !Array.isArray(record.models))
    throw new RefusedError(422, 'record', `'${path}' is no record of an audited app`, 'Audit the app again.');
  return value as AppRecord;
}

function rowOf(name: string, record: AppRecord): AuditAppView {
  return {
    ...{ name, identifier: record.identifier, category: record.category },
    label: record.label ?? null,
    failure: record.failure ?? null,
    uses: usesOf(record),
    models: record.models.map(({ format, path, confidence, length, sha256, content }) => {
      const read = content.status === 'read' ? content : undefined;
      return {
        ...{ format, path, confidence, bytes: length, sha256 },
        task: read?.analysis.task.value.task ?? null,
        modality: read?.analysis.task.value.modality ?? null,
        architecture: read?.analysis.architecture?.value ?? null,
        params: read?.totals.params ?? null,
        macs: read?.totals.macs ?? null,
      };
    }),
  };
}

/** What speaks most for a subject comes first. */
const USES: readonly Use[] = ['called', 'called-by-library', 'referenced', 'present'];

function usesOf({ app }: AppRecord): AuditAppView['uses'] {
  const strongest = new Map<string, Use>();
  for (const { subject, use } of app?.evidence ?? []) {
    const known = strongest.get(subject);
    if (known === undefined || USES.indexOf(use) < USES.indexOf(known)) strongest.set(subject, use);
  }
  // Records of a newer version may name subjects that are not known here.
  return [...strongest].flatMap(([subject, use]) => {
    const known = Object.hasOwn(subjects, subject) ? subjects[subject] : undefined;
    return known === undefined ? [] : [{ kind: known.kind, title: known.title, use }];
  });
}
