/** @file Named limits on archives: what a hostile one may ask for before it is refused. */

export interface ArchiveLimits {
  /** Entries of one archive. */
  readonly maxEntries: number;
  /** Bytes of a ZIP's central directory. */
  readonly maxDirectoryBytes: number;
  /** Bytes of one entry, unpacked. */
  readonly maxEntryBytes: number;
  /** Bytes of all entries of all nested archives, unpacked. */
  readonly maxTotalBytes: number;
  /** How many times larger than the outermost file all that is unpacked may be, beyond `ratioFreeBytes` (CWE-409). */
  readonly maxRatio: number;
  readonly ratioFreeBytes: number;
  /** Archives inside archives. */
  readonly maxDepth: number;
  /** Archives in all, nested ones counted. */
  readonly maxArchives: number;
  /** Unpacked bytes that are held in memory; more goes to the host's temporary file, or is refused where it has none. */
  readonly maxMemoryBytes: number;
}

export const defaultArchiveLimits: ArchiveLimits = {
  maxEntries: 200_000,
  maxDirectoryBytes: 64 * 2 ** 20,
  maxEntryBytes: 8 * 2 ** 30,
  maxTotalBytes: 64 * 2 ** 30,
  maxRatio: 100,
  ratioFreeBytes: 256 * 2 ** 20,
  maxDepth: 4,
  maxArchives: 2000,
  maxMemoryBytes: 32 * 2 ** 20,
};
