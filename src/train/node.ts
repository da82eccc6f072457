/** @file `cuttle/train` for Node: everything of it, and checkpoints and trained models in files. */
import { z } from 'zod';
import type { Model } from '../ir/index.js';
import { saveModel } from '../onnx/node.js';
import {
  exists,
  FileExistsError,
  joinPath,
  makeFolder,
  readBytes,
  readJson,
  removeFile,
  writeFileAtomic,
  writeJson,
} from '../platform/node/files.js';
import { sha256 } from '../platform/node/hash.js';
import { cacheFolder } from '../platform/node/places.js';
import type { CheckpointStore } from './checkpoint.js';
import type { FormulationStore } from './tune.js';
import { encodeAdapters } from './adapter-file.js';
import { trainAdapters, type TrainAdaptersOptions, type TrainedAdapters } from './train-adapters.js';
import { trainModel, type TrainedModel, type TrainModelOptions } from './train-model.js';
import { trainText, type TrainedText, type TrainTextOptions } from './train-text.js';

export * from './index.js';

/** Keeps one checkpoint in a file, replaced atomically: a crash while saving leaves the old one. */
export function fileCheckpoints(path: string): CheckpointStore {
  return {
    save: (bytes) => writeFileAtomic(path, bytes, { force: true }),
    load: async () => ((await exists(path)) ? await readBytes(path) : undefined),
    clear: () => removeFile(path),
  };
}

const choicesSchema = z.record(z.string(), z.string());

/** Keeps a tuner's choices in a folder, one file per device; a file that cannot be read counts as empty. */
export function fileFormulations(folder = joinPath(cacheFolder(), 'formulations')): FormulationStore {
  const fileOf = (device: string): string => joinPath(folder, `${sha256(device).slice(0, 16)}.json`);
  return {
    load: async (device) => {
      const path = fileOf(device);
      if (!(await exists(path))) return {};
      const parsed = choicesSchema.safeParse(await readJson(path).catch(() => undefined));
      return parsed.success ? parsed.data : {};
    },
    save: async (device, choices) => {
      await makeFolder(folder);
      await writeJson(fileOf(device), choices, { force: true });
    },
  };
}

export interface TrainToFileOptions extends Omit<TrainModelOptions, 'checkpoints'> {
  /** Where the trained model goes; its checkpoint stands beside it as `<out>.checkpoint` while training runs. */
  readonly out: string;
  /** Replace an existing model. */
  readonly force?: boolean;
}

/**
 * Trains and writes the model. An interrupted run leaves its checkpoint, and the same call continues it. Throws
 * FileExistsError before any work where the file is there and `force` is not set, and what `trainModel` throws.
 */
export async function trainToFile(options: TrainToFileOptions): Promise<TrainedModel> {
  const { out, force = false, ...rest } = options;
  return await toFile(out, force, (checkpoints) => trainModel({ ...rest, checkpoints }), asModel(out, force));
}

export interface TrainTextToFileOptions extends Omit<TrainTextOptions, 'checkpoints'> {
  /** Where the trained model goes; its checkpoint stands beside it as `<out>.checkpoint` while training runs. */
  readonly out: string;
  /** Replace an existing model. */
  readonly force?: boolean;
}

/** Trains a character model and writes it, as `trainToFile` does for images. Throws FileExistsError and what `trainText` throws. */
export async function trainTextToFile(options: TrainTextToFileOptions): Promise<TrainedText> {
  const { out, force = false, ...rest } = options;
  return await toFile(out, force, (checkpoints) => trainText({ ...rest, checkpoints }), asModel(out, force));
}

export interface TrainAdaptersToFileOptions extends Omit<TrainAdaptersOptions, 'checkpoints'> {
  /** Where the delta file goes; its checkpoint stands beside it as `<out>.checkpoint` while training runs. */
  readonly out: string;
  /** Replace an existing file. */
  readonly force?: boolean;
}

/** Trains adapters and writes their delta file, as `trainToFile` does for models. Throws FileExistsError and what `trainAdapters` throws. */
export async function trainAdaptersToFile(options: TrainAdaptersToFileOptions): Promise<TrainedAdapters> {
  const { out, force = false, ...rest } = options;
  return await toFile(
    out,
    force,
    (checkpoints) => trainAdapters({ ...rest, checkpoints }),
    ({ adapters }) => writeFileAtomic(out, encodeAdapters(adapters), { force }),
  );
}

const asModel =
  (out: string, force: boolean) =>
  ({ model }: { readonly model: Model }): Promise<void> =>
    saveModel(out, model, { force });

async function toFile<Trained>(
  out: string,
  force: boolean,
  train: (checkpoints: CheckpointStore) => Promise<Trained>,
  save: (trained: Trained) => Promise<void>,
): Promise<Trained> {
  if (!force && (await exists(out))) throw new FileExistsError(out);
  const checkpoints = fileCheckpoints(`${out}.checkpoint`);
  // The last checkpoint stays until the model is in its file: a crash in between loses no training.
  const trained = await train({ ...checkpoints, clear: async () => undefined });
  await save(trained);
  await checkpoints.clear();
  return trained;
}
