/** @file `audit/archive`: files in archives, nested and hostile ones included. */
export { type ArchiveHost, portableHost } from './host.js';
export { defaultArchiveLimits, type ArchiveLimits } from './limits.js';
export { walkArchive, type ArchiveFile, type ArchiveKind, type WalkOptions, type WalkTotals } from './walk.js';
