/** @file The output folder of `cuttle adapt`: what an earlier run left there, and what this one writes. */
import type { Adapted, AdaptedDesign, AdaptOptions } from '../exits/adapt/adapt.js';
import { budgetSlug } from '../exits/adapt/budget.js';
import type { Workspace } from '../exits/adapt/workspace.js';
import { designFile, type DesignFile } from '../exits/design-file.js';
import { exitNamesOf } from '../exits/open-classifier.js';
import { describeSearchCosts } from '../exits/search-costs.js';
import { saveModel } from '../onnx/node.js';
import {
  exists,
  joinPath,
  listFolder,
  readBytes,
  removeFile,
  writeFileAtomic,
  writeJson,
} from '../platform/node/files.js';
import { UsageError } from './verb.js';

/** Sub-folder with what a repeated run uses again. */
const WORK = 'work';
/** Blob that says which model and data the folder belongs to. */
const OWNER = 'identity';
/** What the search went by: by the same, the studio judges other designs. */
const COSTS = 'costs.json';

/** Blobs as files below a folder. */
export function folderWorkspace(folder: string): Workspace {
  const path = (name: string): string => joinPath(folder, WORK, name);
  return {
    load: async (name) => ((await exists(path(name))) ? await readBytes(path(name)) : undefined),
    save: (name, bytes) => writeFileAtomic(path(name), bytes, { force: true }),
    remove: async (name) => ((await exists(path(name))) ? await removeFile(path(name)) : undefined),
  };
}

/**
 * Takes a folder for a job and marks it. Throws UsageError where it holds something else than an earlier run for the same
 * model and data; with `force` everything is allowed.
 */
export async function claimFolder(folder: string, identity: string, force: boolean): Promise<void> {
  const workspace = folderWorkspace(folder);
  if (!force && (await exists(folder)) && (await listFolder(folder)).length > 0) {
    const owner = await workspace.load(OWNER);
    if (owner === undefined)
      throw new UsageError(
        `the folder '${folder}' is not empty and not the work of an earlier run`,
        'Choose another --out, or write into it with --force.',
      );
    if (new TextDecoder().decode(owner) !== identity)
      throw new UsageError(
        `the folder '${folder}' holds the results for another model or other data`,
        'Choose another --out, or replace them with --force.',
      );
  }
  await workspace.save(OWNER, new TextEncoder().encode(identity));
}

/** Paths of what was written, by artefact. */
export interface Artefacts {
  readonly progressive: string;
  /** Absent where the search was for another device: its profile came from the user. */
  readonly profile?: string;
  readonly baked: readonly string[];
  readonly design: readonly string[];
}

/** What the artefacts say besides what adapt found. */
export interface ArtefactContext extends Pick<AdaptOptions, 'constraint' | 'seed'> {
  readonly out: string;
  readonly modelSha256: string;
  readonly device?: string;
}

/** Writes progressive model, profile, and one design and baked model per budget, and returns their paths. */
export async function writeArtefacts(job: ArtefactContext, adapted: Adapted): Promise<Artefacts> {
  const { out, device } = job;
  const suffix = device === undefined ? '' : `-${device}`;
  const progressive = joinPath(out, 'progressive.onnx');
  await saveModel(progressive, adapted.progressive.model, { force: true });
  const profile = device === undefined ? joinPath(out, 'profile.json') : undefined;
  if (profile !== undefined) await writeJson(profile, adapted.profile, { force: true });
  if (device === undefined)
    await folderWorkspace(out).save(
      COSTS,
      new TextEncoder().encode(JSON.stringify(describeSearchCosts(adapted.costs))),
    );
  const baked: string[] = [];
  const design: string[] = [];
  for (const found of adapted.designs) {
    const slug = budgetSlug(found.budget) + suffix;
    baked.push(joinPath(out, `baked-${slug}.onnx`));
    design.push(joinPath(out, `design-${slug}.json`));
    await saveModel(baked.at(-1)!, found.baked, { force: true });
    await writeJson(design.at(-1)!, describeDesign(job, adapted, found), { force: true });
  }
  return { progressive, ...(profile !== undefined && { profile }), baked, design };
}

function describeDesign(
  { modelSha256, constraint, seed }: ArtefactContext,
  adapted: Adapted,
  { found, budget, limitMs, test }: AdaptedDesign,
): DesignFile {
  const { choice, predicted } = found;
  const names = exitNamesOf(adapted.progressive, choice);
  return designFile(choice, {
    predicted,
    unit: 'ms',
    positions: names,
    ece: predicted.instantiated.map((exit) => adapted.calibration[exit]!.ece.after),
    model: { sha256: modelSha256, candidates: adapted.progressive.info.exits.length },
    device: adapted.machine,
    budget: { constraint, limit: limitMs, asked: budget.asked },
    measured: {
      accuracy: test.accuracy,
      exitRates: [...test.exitRates],
      samples: test.samples,
      ...(test.latency && {
        latency: { average: test.latency.baked.typicalMean, worstCase: test.latency.baked.p99, unit: 'ms' as const },
      }),
    },
    search: { method: 'annealing', seeds: [seed], evaluations: found.evaluations },
  });
}
