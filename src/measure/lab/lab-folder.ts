/** @file A lab's folder as its owner finds it: tokens, the running server's address, and what is known without a server. */
import * as z from 'zod/mini';
import { exists, joinPath, readJson, readText } from '../../platform/node/files.js';
import { inEnglish } from '../../platform/index.js';
import { LabClient } from './client.js';
import { LabError } from './errors.js';
import type { LabQueue } from './queue.js';
import { openQueue } from './service.js';

/** Names inside the folder. */
export const LAB_FILES = {
  /** Identity and tokens; only its owner can read it. */
  lab: 'lab.json',
  /** Where the running server listens. */
  server: 'server.json',
  journal: 'journal.jsonl',
  models: 'models',
  /** Results as tables, made from the journal. */
  database: 'results.duckdb',
} as const;

const labFileSchema = z.object({
  kind: z.literal('cuttle.lab'),
  version: z.literal(1),
  id: z.string(),
  ownerToken: z.string().check(z.minLength(16)),
  joinToken: z.string().check(z.minLength(8)),
});
export type LabFile = z.infer<typeof labFileSchema>;

/** Checks the content of lab.json. Throws LabError. */
export function parseLabFile(json: unknown): LabFile {
  const parsed = labFileSchema.safeParse(json, inEnglish);
  if (parsed.success) return parsed.data;
  throw new LabError('invalid', 'lab/folder', `lab.json is broken: ${parsed.error.issues[0]!.message}`, {
    cause: parsed.error,
  });
}

/**
 * The lab that an owner means: a folder whose server runs, or a URL with the owner's token. Throws LabError where the folder
 * is no lab's or has no server, or the token is missing.
 */
export async function openLabClient(place: string, token?: string): Promise<LabClient> {
  if (/^https?:\/\//.test(place)) {
    if (token === undefined)
      throw new LabError('usage', 'lab/token', 'a lab at a URL needs its owner’s token', {
        hint: 'Give --token, or --lab with the lab’s folder on its own machine.',
      });
    return new LabClient({ url: place, token });
  }
  const file = await labFileIn(place);
  const server = joinPath(place, LAB_FILES.server);
  if (!(await exists(server))) throw noServer(place);
  const { url } = (await readJson(server)) as { readonly url: string };
  return new LabClient({ url, token: token ?? file.ownerToken });
}

/** Devices, jobs and results of a folder as its journal says, without a server. Throws LabError. */
export async function readLab(folder: string): Promise<LabQueue> {
  await labFileIn(folder);
  const path = joinPath(folder, LAB_FILES.journal);
  const text = (await exists(path)) ? await readText(path) : '';
  // What follows the last line's end is being written.
  const lines = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
  const limits = { leaseMs: 30_000, maxAttempts: 3, maxDevices: Infinity, maxJobs: Infinity };
  return openQueue({ journal: { lines }, ...limits }, () => undefined);
}

async function labFileIn(folder: string): Promise<LabFile> {
  const path = joinPath(folder, LAB_FILES.lab);
  if (!(await exists(path)))
    throw new LabError('invalid', 'lab/folder', `'${folder}' is no lab's folder: its ${LAB_FILES.lab} does not exist`, {
      hint: 'Start one there: cuttle lab serve --dir FOLDER.',
    });
  return parseLabFile(await readJson(path));
}

/** The error for a lab without a server. */
export function noServer(folder: string): LabError {
  return new LabError('failed', 'lab/not-running', `no server runs the lab in '${folder}'`, {
    hint: `Start it: cuttle lab serve --dir ${folder}`,
  });
}
