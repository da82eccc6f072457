/** @file One app made into its record: read, searched for models, each model read and analysed while its bytes are at hand. */
import { CuttleError } from '../../ir/index.js';
import { type HasherFactory, portableHasher } from '../analyse/hasher.js';
import type { ModelAnalysis } from '../analyse/analysis.js';
import type { App } from '../app/app.js';
import { auditApp, type AuditAppOptions } from '../audit-app.js';
import type { ArchiveFile } from '../archive/index.js';
import { shown } from '../errors.js';
import { findModels, type Finding } from '../find/index.js';
import type { AuditModel } from '../read/index.js';
import type { AppOrigin, AppRecord, ModelRecord } from '../record.js';
import { chunksOf, partOf, type ByteSource } from '../source.js';
import { CompanionSearch, type OpenSibling } from './companions.js';

/** What says what a model is for and how it is built: `analyseModel`. */
export type Analyser = (
  model: AuditModel,
  context: { readonly path: string; readonly sha256: string; readonly hasher: HasherFactory },
) => ModelAnalysis;

export interface ToRecordOptions extends Omit<AuditAppOptions, 'finder'> {
  readonly analyse: Analyser;
  /** Name of the app's file, which paths in the record begin with. */
  readonly name: string;
  /** SHA-256; in plain JavaScript where omitted. */
  readonly hasher?: HasherFactory;
  /** Models above this are recognised, and not read: reading takes their bytes into memory. 96 MiB where omitted. */
  readonly maxModelBytes?: number;
  /** Gives the other file of a pair where the app is a single file in a folder: `net.bin` beside `net.param`. */
  readonly openSibling?: OpenSibling;
}

/** Characters of one metadata value, and values, that are kept. */
const MAX_METADATA = { characters: 2000, entries: 200 };

/**
 * Audits an app and gives its record: plain JSON, the same whoever makes it and when. Never throws for what the file holds;
 * throws what reading `source` throws, and the signal's reason.
 */
export async function auditToRecord(
  source: ByteSource,
  origin: AppOrigin,
  options: ToRecordOptions,
): Promise<AppRecord> {
  const { analyse, name, hasher = portableHasher, maxModelBytes = 96 * 2 ** 20, openSibling, ...rest } = options;
  const maker = new RecordMaker(analyse, hasher);
  const companions = new CompanionSearch(source, name, {
    ...rest,
    maxBytes: maxModelBytes,
    ...(openSibling && { openSibling }),
  });
  const models: ModelRecord[] = [];
  const { app } = await auditApp(source, name, {
    ...rest,
    finder: async (file: ArchiveFile) => {
      for (const finding of await findModels(file, { maxModelBytes, maxUnpackedBytes: maxModelBytes })) {
        await companions.note(models.length, finding, file);
        models.push(await maker.model(finding, file.source));
      }
      // Kept here as records: a finding would hold its bytes.
      return [];
    },
  });
  await companions.readPairs((index, model) => {
    const alone = models[index]!;
    models[index] = { ...alone, content: maker.content(alone, () => model) };
  });
  return { schema: 1, origin, app, ...identityOf(app, origin, name), models };
}

/** Whether a file that nobody named is worth a record: an archive, or something with a model in it. */
export function isWorthKeeping({ app, models }: AppRecord): boolean {
  return app === null || app.container !== 'file' || models.length > 0;
}

type Identity = Pick<AppRecord, 'identifier' | 'label' | 'version' | 'versionCode' | 'category'>;

function identityOf(app: App, { listing }: AppOrigin, name: string): Identity {
  const manifest = app.parts[0]?.manifest;
  const { ios } = app;
  const label =
    app.parts.find(({ manifest: part }) => part.label !== undefined)?.manifest.label ?? ios?.name ?? listing?.name;
  const version = manifest?.versionName ?? ios?.version;
  const versionCode = manifest?.versionCode;
  return {
    identifier: shown((manifest?.package ?? ios?.bundle) || name, 400),
    ...(label !== undefined && { label: shown(label, 400) }),
    ...(version !== undefined && { version: shown(version, 200) }),
    ...(versionCode !== undefined && { versionCode }),
    category: manifest?.category ?? ios?.category ?? listing?.categories?.[0] ?? null,
  };
}

class RecordMaker {
  readonly #analyse: Analyser;
  readonly #hasher: HasherFactory;

  constructor(analyse: Analyser, hasher: HasherFactory) {
    this.#analyse = analyse;
    this.#hasher = hasher;
  }

  async model({ model, ...finding }: Finding, source: ByteSource): Promise<ModelRecord> {
    const hash = this.#hasher();
    for await (const chunk of chunksOf(partOf(source, finding.offset, finding.length))) hash.update(chunk);
    const sha256 = hash.hex();
    if (model === undefined)
      return { ...finding, sha256, content: { status: 'unread', reason: unreadReason(finding) } };
    return { ...finding, sha256, content: this.content({ path: finding.path, sha256 }, model) };
  }

  /** What is kept of a model: all but its layers and weights. */
  content({ path, sha256 }: Pick<ModelRecord, 'path' | 'sha256'>, read: () => AuditModel): ModelRecord['content'] {
    try {
      const model = read();
      const { name, producer, version, inputs, outputs, totals, quantisation, notes } = model;
      const metadata = Object.fromEntries(
        Object.entries(model.metadata)
          .slice(0, MAX_METADATA.entries)
          .map(([key, value]) => [shown(key), shown(value, MAX_METADATA.characters)]),
      );
      return {
        status: 'read',
        ...(name !== undefined && { name: shown(name) }),
        ...(producer !== undefined && { producer: shown(producer) }),
        ...(version !== undefined && { version: shown(version) }),
        inputs,
        outputs,
        totals,
        quantisation,
        metadata,
        notes,
        analysis: this.#analyse(model, { path, sha256, hasher: this.#hasher }),
      };
    } catch (cause) {
      // A defect met on one model shall not cost the record of its app; it stands there as such.
      if (!(cause instanceof CuttleError))
        return {
          status: 'unread',
          reason: `internal error: ${shown(cause instanceof Error ? cause.message : String(cause))}`,
        };
      if (cause.kind === 'failed' || cause.kind === 'usage') throw cause;
      return { status: 'unread', reason: cause.message };
    }
  }
}

function unreadReason({ format, evidence, disguise }: Omit<Finding, 'model'>): string {
  if (disguise === 'encrypted') return 'it seems to be encrypted';
  return (
    evidence.find((fact) => fact.startsWith('it could not be read')) ??
    `layers of ${format} files are not read, or the model is too large`
  );
}
