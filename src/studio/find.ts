/** @file What the open folder holds: models, runs, split profiles, images, audits, labs. Names and sizes alone; nothing is opened. */
import { fileInfo, listFolder } from '../platform/node/files.js';
import { containedPath, PathOutsideError } from '../platform/node/contained.js';
import type { FoundFile, FoundRun, WorkspaceView } from './messages.js';

/** Folders that hold no results, however many files they have. */
const PASSED_OVER = /^(\.|node_modules$|__pycache__$)/;
const MAX_DEPTH = 4;
const MAX_ENTRIES = 5_000;

/** Kinds of images that the page can show. */
export const IMAGE_TYPES: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
};

/** The memo of a run, relative to its folder: what `cuttle adapt` keeps there. */
export const MEMO_FILE = 'work/calibration.memo';

/** What its search went by. */
export const COSTS_FILE = 'work/costs.json';

/** Walks the folder. `root` is a real path. Throws FileError where it cannot be listed. */
export async function findInWorkspace(
  root: string,
  about: Pick<WorkspaceView, 'name' | 'version'>,
): Promise<WorkspaceView> {
  const models: FoundFile[] = [];
  const splits: FoundFile[] = [];
  const images: FoundFile[] = [];
  const runs: FoundRun[] = [];
  const audits: { path: string; apps: number }[] = [];
  const labs: { path: string; name: string }[] = [];
  let entries = 0;

  const visit = async (relative: string, depth: number): Promise<void> => {
    const found = await listInside(root, relative);
    const files = new Map<string, FoundFile>();
    for (const { name, kind } of found) {
      if (PASSED_OVER.test(name) || ++entries > MAX_ENTRIES) continue;
      const path = relative === '' ? name : `${relative}/${name}`;
      if (kind === 'folder') {
        // What adapt keeps for itself is no result.
        if (name === 'work' && files.has('progressive.onnx')) continue;
        // Nor are the models that a lab was sent, named by their digests.
        if (name === 'models' && files.has('journal.jsonl')) continue;
        if (name === 'records') {
          const records = (await listInside(root, path)).filter(({ name: file }) => file.endsWith('.json'));
          if (records.length > 0) audits.push({ path: relative, apps: records.length });
        } else if (depth < MAX_DEPTH) await visit(path, depth + 1);
      } else if (kind === 'file') {
        const info = await infoInside(root, path);
        if (info === undefined) continue;
        const file = { path, bytes: info.size, modifiedMs: info.modifiedMs };
        files.set(name, file);
        const extension = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
        if (extension === 'onnx') models.push(file);
        else if (IMAGE_TYPES[extension] !== undefined) images.push(file);
        else if (/split.*\.json$/.test(name)) splits.push(file);
      }
    }
    if (files.has('lab.json') && files.has('journal.jsonl'))
      labs.push({ path: relative, name: relative === '' ? about.name : relative });
    const progressive = files.get('progressive.onnx');
    if (progressive === undefined) return;
    const own = relative === '' ? '' : `${relative}/`;
    runs.push({
      path: relative,
      progressive: progressive.path,
      designs: [...files.keys()].filter((name) => /^design-.*\.json$/.test(name)).map((name) => own + name),
      memo: (await infoInside(root, own + MEMO_FILE)) !== undefined,
      modifiedMs: progressive.modifiedMs,
    });
  };
  await visit('', 0);
  return { ...about, models, runs, splits, images, audits, labs, truncated: entries > MAX_ENTRIES };
}

/** A folder's entries, files first, so that a folder is known by them; none where a link leads out or it may not be read. */
async function listInside(root: string, relative: string): Promise<readonly { name: string; kind: string }[]> {
  try {
    const entries = await listFolder(await containedPath(root, relative));
    return [...entries].sort((a, b) => Number(a.kind === 'folder') - Number(b.kind === 'folder'));
  } catch (error) {
    if (relative === '') throw error;
    return [];
  }
}

async function infoInside(root: string, relative: string): Promise<{ size: number; modifiedMs: number } | undefined> {
  try {
    const info = await fileInfo(await containedPath(root, relative));
    return info?.kind === 'file' ? info : undefined;
  } catch (error) {
    if (error instanceof PathOutsideError || (error as { code?: string }).code === 'platform/read') return undefined;
    throw error;
  }
}
