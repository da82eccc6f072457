/** @file Which models lie in the given files and folders: single ONNX files, and folders of numbered versions. */
import { CuttleError } from '../../ir/index.js';
import { basename, fileInfo, listFolder, joinPath } from '../../platform/node/files.js';

/** Nothing to serve, or two models of one name. Exit code 3. */
export class RepositoryError extends CuttleError {
  constructor(message: string) {
    super('invalid', 'split/repository', message, {
      hint: 'Give ONNX files, a folder of them, or a folder with NAME/VERSION/model.onnx.',
    });
  }
}

/** One version of a model, as a file. */
export interface FoundModel {
  readonly name: string;
  readonly version: string;
  readonly path: string;
  /** Changes whenever the file, or the weights beside it, do. */
  readonly stamp: string;
}

const EXTENSION = /\.onnx$/i;
/** What paths and protocols carry without escapes. */
const NAME = /^[\w.-]{1,128}$/;

/**
 * The models below some paths: `x.onnx` is model `x`, version 1, wherever it lies; `NAME/VERSION/model.onnx` (or the only
 * ONNX file there) is a numbered version. Throws RepositoryError for two of one name and version, FileError for paths that
 * cannot be read.
 */
export async function findModels(paths: readonly string[]): Promise<readonly FoundModel[]> {
  const found = (await Promise.all(paths.map((path) => below(path)))).flat();
  const seen = new Map<string, FoundModel>();
  for (const model of found) {
    const key = `${model.name}/${model.version}`;
    const other = seen.get(key);
    if (other !== undefined && other.path !== model.path)
      throw new RepositoryError(
        `'${other.path}' and '${model.path}' would both be version ${model.version} of '${model.name}'`,
      );
    seen.set(key, model);
  }
  return [...seen.values()];
}

async function below(path: string): Promise<readonly FoundModel[]> {
  const info = await fileInfo(path);
  if (info === undefined) throw new RepositoryError(`'${path}' does not exist`);
  if (info.kind === 'file') {
    const name = nameOf(path);
    if (name === undefined) throw new RepositoryError(`'${path}' is no ONNX file with a name that a request can carry`);
    return [{ name, version: '1', path, stamp: await stampOf(path) }];
  }
  const models = await Promise.all(
    (await listFolder(path)).map(async (entry): Promise<readonly FoundModel[]> => {
      if (entry.kind === 'file') {
        const name = nameOf(entry.path);
        return name === undefined ? [] : [{ name, version: '1', path: entry.path, stamp: await stampOf(entry.path) }];
      }
      return entry.kind === 'folder' && NAME.test(entry.name) ? await versionsIn(entry.path, entry.name) : [];
    }),
  );
  return models.flat();
}

async function versionsIn(folder: string, name: string): Promise<readonly FoundModel[]> {
  const versions = (await listFolder(folder)).filter(
    (entry) => entry.kind === 'folder' && /^[1-9]\d{0,8}$/.test(entry.name),
  );
  const found = await Promise.all(
    versions.map(async (entry): Promise<readonly FoundModel[]> => {
      const files = (await listFolder(entry.path)).filter(
        (file) => file.kind === 'file' && nameOf(file.path) !== undefined,
      );
      const file =
        files.find((candidate) => candidate.name === 'model.onnx') ?? (files.length === 1 ? files[0] : undefined);
      if (file === undefined) return [];
      return [{ name, version: entry.name, path: file.path, stamp: await stampOf(file.path) }];
    }),
  );
  return found.flat();
}

function nameOf(path: string): string | undefined {
  const file = basename(path);
  const name = file.replace(EXTENSION, '');
  return EXTENSION.test(file) && !file.startsWith('.') && NAME.test(name) ? name : undefined;
}

async function stampOf(path: string): Promise<string> {
  const infos = await Promise.all([path, joinPath(`${path}.data`)].map((file) => fileInfo(file)));
  return infos.map((info) => (info ? `${info.size}@${info.modifiedMs}` : '-')).join(' ');
}
