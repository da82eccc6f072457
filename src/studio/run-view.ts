/** @file A run of adapt as the page judges its designs: exits, costs, design files; the memo comes apart, as bytes. */
import {
  costsFromProfile,
  macsCosts,
  parseDesign,
  readProgressive,
  temperaturesOf,
  type ExitCosts,
  type Progressive,
} from '../exits/index.js';
import { parseSearchCosts } from '../exits/search-costs.js';
import { CuttleError } from '../ir/index.js';
import { loadModel } from '../onnx/node.js';
import { readJson } from '../platform/node/files.js';
import { parseProfile } from '../runtime/index.js';
import { COSTS_FILE, MEMO_FILE } from './find.js';
import type { RunView } from './messages.js';
import type { WorkspaceFiles } from './workspace.js';

/** The view of the run in a folder of the workspace. Throws FileError where the progressive model or the memo is missing. */
export async function runViewOf(files: WorkspaceFiles, folder: string): Promise<RunView> {
  const own = folder === '' ? '' : `${folder}/`;
  const progressivePath = `${own}progressive.onnx`;
  const progressive = readProgressive(await loadModel(await files.path(progressivePath)));
  const { costs, source } = await costsOf(files, own, progressive);
  const device = await optional(async () => parseProfile(await readJson(await files.path(`${own}profile.json`))));
  const designs: { path: string; file: unknown }[] = [];
  const broken: { path: string; why: string }[] = [];
  for (const name of (await files.list(folder)).filter((file) => /^design-.*\.json$/.test(file)))
    try {
      designs.push({ path: own + name, file: parseDesign(await readJson(await files.path(own + name))) });
    } catch (error) {
      if (!(error instanceof CuttleError)) throw error;
      broken.push({ path: own + name, why: error.message });
    }
  const { info } = progressive;
  const temperatures = temperaturesOf(info);
  const names = [...info.exits.map(({ value }) => value), 'final'];
  const positions = [...info.exits.map(({ position }) => position), 1];
  return {
    ...{ path: folder, progressive: progressivePath, designs, broken },
    exits: names.map((value, i) => ({ value, position: positions[i]!, temperature: temperatures[i]! })),
    costs: {
      ...{ segments: [...costs.segments], heads: [...costs.heads], unit: costs.unit, source },
      ...(costs.memory && {
        memory: { segments: [...costs.memory.segments], heads: [...costs.memory.heads] },
      }),
    },
    memoBytes: await files.size(own + MEMO_FILE),
    device: device?.device.cpu ?? null,
  };
}

async function costsOf(
  files: WorkspaceFiles,
  own: string,
  progressive: Progressive,
): Promise<{ readonly costs: ExitCosts; readonly source: RunView['costs']['source'] }> {
  const measured = await optional(async () => parseSearchCosts(await readJson(await files.path(own + COSTS_FILE))));
  if (measured?.segments.length === progressive.info.exits.length + 1) return { costs: measured, source: 'measured' };
  const profiled = await optional(async () =>
    costsFromProfile(progressive, parseProfile(await readJson(await files.path(`${own}profile.json`)))),
  );
  return profiled ? { costs: profiled, source: 'profile' } : { costs: macsCosts(progressive), source: 'macs' };
}

/** What a step gives; `undefined` where its file is missing or is not what it should be: the page says what it fell back to. */
async function optional<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof CuttleError) return undefined;
    throw error;
  }
}
