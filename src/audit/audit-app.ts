/** @file One app, audited: what it is, which frameworks and services it uses, and the models inside. */
import { type App } from './app/app.js';
import { readApp, type ReadAppOptions } from './app/read-app.js';
import { type ArchiveFile } from './archive/index.js';
import { findModels, type Finding } from './find/index.js';
import { type ByteSource } from './source.js';

/**
 * Looks for models in one file. It hears of archives too, before their contents; it need not look inside these.
 * What it throws for bytes that are broken becomes a problem of the app.
 */
export type ModelFinder = (file: ArchiveFile) => Promise<readonly Finding[]>;

export interface AuditedApp {
  readonly app: App;
  /** In the order in which the app holds them. */
  readonly models: readonly Finding[];
}

export interface AuditAppOptions extends Omit<ReadAppOptions, 'onFile'> {
  /** `findModels` where omitted. */
  readonly finder?: ModelFinder;
}

/**
 * Reads an app and looks for models in every file of it, at any depth. A finding's `model` reads its layers while the
 * file is there: call it in the finder, or for apps in memory. Throws as `readApp` does.
 */
export async function auditApp(
  source: ByteSource | Uint8Array,
  path: string,
  options: AuditAppOptions = {},
): Promise<AuditedApp> {
  const { finder = findModels, ...rest } = options;
  const models: Finding[] = [];
  const onFile = async (file: ArchiveFile): Promise<void> => {
    for (const finding of await finder(file)) models.push(finding);
  };
  const app = await readApp(source, path, { ...rest, onFile });
  return { app, models };
}
