/** @file The open folder: the one way by which the studio reaches files. */
import { containedPath, containedTarget, realFolder } from '../platform/node/contained.js';
import { fileInfo, FileError, listFolder, readBytes, writeFileAtomic } from '../platform/node/files.js';

/** Files below one folder, by relative paths with `/`. Everything throws PathOutsideError for what lies elsewhere. */
export interface WorkspaceFiles {
  /** Real path of the folder. */
  readonly root: string;
  /** Real path of something that exists. Throws FileError where nothing does. */
  path(relative: string): Promise<string>;
  size(relative: string): Promise<number>;
  read(relative: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Names of the files in a folder. */
  list(relative: string): Promise<readonly string[]>;
  /** Writes a new file. Throws FileExistsError where there is one. */
  write(relative: string, bytes: Uint8Array): Promise<void>;
  /** Checks where a run may write; the folder above must exist. */
  target(relative: string): Promise<string>;
}

/** Opens a folder. Throws FileError where it is none. */
export async function openWorkspace(folder: string): Promise<WorkspaceFiles> {
  const root = await realFolder(folder);
  if ((await fileInfo(root))?.kind !== 'folder')
    throw new FileError('invalid', 'platform/read', folder, `'${folder}' is no folder`, {
      hint: 'Give the folder that holds your models.',
    });
  const path = (relative: string): Promise<string> => containedPath(root, relative);
  return {
    ...{ root, path },
    size: async (relative) => (await fileInfo(await path(relative)))?.size ?? 0,
    read: async (relative) => readBytes(await path(relative)),
    list: async (relative) =>
      (await listFolder(await path(relative))).filter(({ kind }) => kind === 'file').map(({ name }) => name),
    write: async (relative, bytes) => writeFileAtomic(await containedTarget(root, relative), bytes),
    target: (relative) => containedTarget(root, relative),
  };
}
