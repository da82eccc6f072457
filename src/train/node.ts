/** @file `cuttle/train` for Node: everything of it, and checkpoints and trained models in files. */
import { saveModel } from '../onnx/node.js';
import { exists, FileExistsError, readBytes, removeFile, writeFileAtomic } from '../platform/node/files.js';
import type { CheckpointStore } from './checkpoint.js';
import { trainModel, type TrainedModel, type TrainModelOptions } from './train-model.js';

export * from './index.js';

/** Keeps one checkpoint in a file, replaced atomically: a crash while saving leaves the old one. */
export function fileCheckpoints(path: string): CheckpointStore {
  return {
    save: (bytes) => writeFileAtomic(path, bytes, { force: true }),
    load: async () => ((await exists(path)) ? await readBytes(path) : undefined),
    clear: () => removeFile(path),
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
  if (!force && (await exists(out))) throw new FileExistsError(out);
  const checkpoints = fileCheckpoints(`${out}.checkpoint`);
  // The last checkpoint stays until the model is in its file: a crash in between loses no training.
  const trained = await trainModel({ ...rest, checkpoints: { ...checkpoints, clear: async () => undefined } });
  await saveModel(out, trained.model, { force });
  await checkpoints.clear();
  return trained;
}
