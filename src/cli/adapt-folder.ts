/** @file The output folder of `cuttle adapt`: what an earlier run left there, and what this one writes. */
import { TRAINED, type Adapted, type AdaptedDesign } from '../exits/adapt/adapt.js';
import { budgetSlug } from '../exits/adapt/budget.js';
import type { Workspace } from '../exits/adapt/workspace.js';
import { designFile, type DesignFile } from '../exits/design-file.js';
import { exitNamesOf } from '../exits/open-classifier.js';
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
 * Refuses a folder that holds something else than an earlier run for the same model and data. Throws UsageError; with
 * `force` everything is allowed.
 */
export async function claimFolder(
  folder: string,
  workspace: Workspace,
  identity: string,
  force: boolean,
): Promise<void> {
  if (force || !(await exists(folder)) || (await listFolder(folder)).length === 0) return;
  const owner = await workspace.load('identity');
  if (owner === undefined && (await workspace.load(`${TRAINED}.key`)) === undefined)
    throw new UsageError(
      `the folder '${folder}' is not empty and not the work of an earlier run`,
      'Choose another --out, or write into it with --force.',
    );
  if (owner !== undefined && new TextDecoder().decode(owner) !== identity)
    throw new UsageError(
      `the folder '${folder}' holds the results for another model or other data`,
      'Choose another --out, or replace them with --force.',
    );
}

/** Marks the folder as this job's. */
export async function markFolder(workspace: Workspace, identity: string): Promise<void> {
  await workspace.save('identity', new TextEncoder().encode(identity));
}

/** Paths of what was written, by artefact. */
export interface Artefacts {
  readonly progressive: string;
  readonly profile: string;
  readonly baked: readonly string[];
  readonly design: readonly string[];
}

/** Writes progressive model, profile, and one design and baked model per budget, and returns their paths. */
export async function writeArtefacts(
  folder: string,
  adapted: Adapted,
  modelSha256: string,
  constraint: 'average' | 'worst-case',
  seed: number,
): Promise<Artefacts> {
  const progressive = joinPath(folder, 'progressive.onnx');
  const profile = joinPath(folder, 'profile.json');
  await saveModel(progressive, adapted.progressive.model, { force: true });
  await writeJson(profile, adapted.profile, { force: true });
  const baked: string[] = [];
  const design: string[] = [];
  for (const found of adapted.designs) {
    const slug = budgetSlug(found.budget);
    baked.push(joinPath(folder, `baked-${slug}.onnx`));
    design.push(joinPath(folder, `design-${slug}.json`));
    await saveModel(baked.at(-1)!, found.baked, { force: true });
    await writeJson(design.at(-1)!, describeDesign(adapted, found, modelSha256, constraint, seed), { force: true });
  }
  return { progressive, profile, baked, design };
}

function describeDesign(
  adapted: Adapted,
  { found, budget, limitMs, test }: AdaptedDesign,
  sha256: string,
  constraint: 'average' | 'worst-case',
  seed: number,
): DesignFile {
  const { choice, predicted } = found;
  const names = exitNamesOf(adapted.progressive, choice);
  return designFile(choice, {
    predicted,
    unit: 'ms',
    positions: names,
    ece: predicted.instantiated.map((exit) => adapted.calibration[exit]!.ece.after),
    model: { sha256, candidates: adapted.progressive.info.exits.length },
    device: adapted.profile.device,
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
