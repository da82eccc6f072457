/** @file Split profiles as files. Node only. */
import { readText, writeJson, type WriteOptions } from '../platform/node/files.js';
import { checkSplitProfile, parseSplitProfile, type SplitProfile } from './profiler/split-profile.js';

/** Reads a split profile. Throws FileError where it cannot be read, SplitProfileError for anything else than one. */
export async function readSplitProfile(path: string): Promise<SplitProfile> {
  return parseSplitProfile(await readText(path));
}

/** Writes a split profile, whole or not at all. Throws SplitProfileError, FileExistsError without `force`, FileError. */
export async function writeSplitProfile(
  path: string,
  profile: SplitProfile,
  options: WriteOptions = {},
): Promise<void> {
  checkSplitProfile(profile);
  await writeJson(path, profile, options);
}
