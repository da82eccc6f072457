/** @file Files and folders as a source: every file is looked at, whatever its name. */
import { basename, fileInfo, joinPath, resolvePath } from '../../platform/node/files.js';
import { walkFolder } from '../../platform/node/walk.js';
import { AuditError } from '../errors.js';
import type { PlanItem } from './item.js';

/** Files that could not be looked at, with the reason. */
export interface Unreadable {
  readonly locator: string;
  readonly reason: string;
}

export interface FilesFound {
  readonly items: readonly PlanItem[];
  readonly unreadable: readonly Unreadable[];
}

/**
 * Files, and all files below folders, in byte order within each. Locators are relative to the folder; with several paths
 * each begins with the path as given. Hidden files are left out, and `except` (a run's own folder) is.
 * Throws AuditError where a path does not exist, WalkError where a folder may not be read.
 */
export async function findFiles(paths: readonly string[], except?: string): Promise<FilesFound> {
  const items: PlanItem[] = [];
  const unreadable: Unreadable[] = [];
  const seen = new Set<string>();
  const outside = except === undefined ? undefined : `${resolvePath(except)}/`;
  const add = (item: PlanItem & { readonly file: string }): void => {
    if (seen.has(item.file) || (outside !== undefined && item.file.startsWith(outside))) return;
    seen.add(item.file);
    items.push(item);
  };
  for (const path of paths) {
    const info = await fileInfo(path);
    if (info === undefined)
      throw new AuditError('no-file', `'${path}' does not exist`, { hint: 'Give files or folders that exist.' });
    const full = resolvePath(path);
    if (info.kind !== 'folder') {
      const locator = paths.length > 1 ? path : basename(path);
      add({ kind: 'file', locator, file: full, bytes: info.size, named: true });
      continue;
    }
    const prefix = paths.length > 1 ? `${path.replace(/[/\\]+$/, '')}/` : '';
    const walk = walkFolder(full);
    for (const { name, size } of walk.files)
      add({ kind: 'file', locator: prefix + name, file: joinPath(full, name), bytes: size });
    for (const { name, reason } of walk.unreadable) unreadable.push({ locator: prefix + name, reason });
  }
  return { items, unreadable };
}
