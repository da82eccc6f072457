/** @file What a run of adapt keeps between its steps, so that an interrupted or repeated one does not start again. */
import type { CheckpointStore } from '../../train/index.js';

/** Named byte blobs; the command keeps them as files in its output folder. */
export interface Workspace {
  /** `undefined` where nothing of that name was saved. */
  load(name: string): Promise<Uint8Array | undefined>;
  /** Replaces what was there, all or nothing. */
  save(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
}

/** A workspace that forgets everything when the process ends. */
export function memoryWorkspace(): Workspace {
  const blobs = new Map<string, Uint8Array>();
  return {
    load: async (name) => blobs.get(name),
    save: async (name, bytes) => void blobs.set(name, bytes),
    remove: async (name) => void blobs.delete(name),
  };
}

/** A training checkpoint as one blob of a workspace. It stays until the caller removes it, having saved what was trained. */
export function checkpointIn(workspace: Workspace, name: string): CheckpointStore {
  return {
    load: () => workspace.load(name),
    save: (bytes) => workspace.save(name, bytes),
    clear: async () => undefined,
  };
}

/**
 * The blob of that name if it was saved under the same key, else what `make` gives, saved under that key. The key says
 * all that the content depends on; it stands in a small companion blob, written last.
 */
export async function remembered(
  workspace: Workspace,
  name: string,
  key: string,
  make: () => Promise<Uint8Array>,
): Promise<{ readonly bytes: Uint8Array; readonly reused: boolean }> {
  const keyName = `${name}.key`;
  const saved = await workspace.load(keyName);
  if (saved !== undefined && new TextDecoder().decode(saved) === key) {
    const bytes = await workspace.load(name);
    if (bytes !== undefined) return { bytes, reused: true };
  }
  await workspace.remove(keyName);
  const bytes = await make();
  await workspace.save(name, bytes);
  await workspace.save(keyName, new TextEncoder().encode(key));
  return { bytes, reused: false };
}
