/** @file ZIP archives by random access: central directory and local headers compared, hidden and overlapping entries found, broken ones recovered. */
import { ByteView } from '../byte-view.js';
import { AuditError } from '../errors.js';
import { problem, type Problem, type ProblemCode } from '../problem.js';
import { windowed, type ByteSource } from '../source.js';
import { type ArchiveLimits } from './limits.js';
import { unsafeName } from './names.js';
import {
  CENTRAL_SIGNATURE,
  findZipEnd,
  LOCAL_SIGNATURE,
  readCentralDirectory,
  zipName,
  type CentralRecord,
} from './zip-directory.js';
import { readLocalHeader, scanLocalHeaders, type LocalHeader } from './zip-local.js';

export interface ZipEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link';
  /** 0 stored, 8 deflated; see APPNOTE §4.4.5. */
  readonly method: number;
  readonly encrypted: boolean;
  readonly crc32: number;
  /** `undefined` where only the data itself tells: entries recovered from an archive without a directory. */
  readonly size: number | undefined;
  /** Stored bytes; for recovered entries at most so many. */
  readonly compressedSize: number;
  /** Of the data in the file, `undefined` where the local header is not there. */
  readonly dataOffset: number | undefined;
  /** Whether the central directory names it: readers that go by local headers see others too. */
  readonly listed: boolean;
}

export interface ZipArchive {
  readonly entries: readonly ZipEntry[];
  readonly problems: readonly Problem[];
  /** Where the central directory begins; an APK's signing block ends there. */
  readonly directoryOffset: number | undefined;
}

/** True where the bytes begin like a ZIP archive. */
export function isZip(head: Uint8Array): boolean {
  if (head.length < 4 || head[0] !== 0x50 || head[1] !== 0x4b) return false;
  return (head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6);
}

/**
 * Opens a ZIP archive. Entries come in the order of the directory, then those that it does not list. Where there is no
 * directory (a truncated download), entries are recovered from their local headers.
 * Throws AuditError where it is no ZIP archive at all, or beyond a limit.
 */
export async function openZip(source: ByteSource, limits: ArchiveLimits, path: string): Promise<ZipArchive> {
  const problems: Problem[] = [];
  const tell = (code: ProblemCode, message: string): void => void problems.push(problem(code, path, message));
  const end = await findZipEnd(source);
  if (end === undefined) {
    const found = await scanLocalHeaders(source, limits.maxEntries);
    if (found.length === 0)
      throw new AuditError('zip', 'this is no ZIP archive: it has neither a directory nor entries');
    tell(
      'archive/no-directory',
      `the central directory is missing; ${found.length} entries are read from their own headers`,
    );
    return { entries: found.map(recovered), problems, directoryOffset: undefined };
  }
  if (end.trailing > 0) tell('archive/trailing-bytes', `${end.trailing} bytes follow the archive's end`);
  if (end.candidates > 1)
    tell('archive/second-end', `${end.candidates} places look like the archive's end; readers may choose differently`);
  if (end.shift > 0) tell('archive/shifted', `${end.shift} bytes stand before the archive`);
  const { records, broken } = await readCentralDirectory(source, end, limits);
  if (broken !== undefined) tell('archive/broken', broken);
  if (broken === undefined && records.length !== end.entryCount && records.length % 65536 !== end.entryCount)
    tell('archive/entry-count', `the end record counts ${end.entryCount} entries, the directory has ${records.length}`);

  const locals = windowed(source);
  const seen = new Set<string>();
  const entries: ZipEntry[] = [];
  const spans: Span[] = [];
  for (const record of records) {
    const unsafe = unsafeName(record.name);
    if (unsafe !== undefined) tell('archive/unsafe-name', `entry '${record.name}': ${unsafe}`);
    if (seen.has(record.name)) tell('archive/duplicate-name', `entry '${record.name}' is listed twice`);
    seen.add(record.name);
    const local = await readLocalHeader(locals, record.headerOffset);
    const difference = local && differenceOf(record, local);
    if (difference !== undefined)
      tell('archive/header-mismatch', `entry '${record.name}': directory and local header differ in ${difference}`);
    entries.push(entryOf(record, local));
    if (local !== undefined)
      spans.push({ name: record.name, start: record.headerOffset, end: local.dataOffset + record.compressedSize });
  }
  spans.sort((a, b) => a.start - b.start);
  for (const message of overlaps(spans, end.directoryOffset)) tell('archive/overlap', message);
  for (const local of await unlisted(locals, spans, end.directoryOffset)) {
    if (entries.length >= limits.maxEntries) break;
    tell('archive/unlisted-entry', `entry '${local.name}' is in the file but not in the directory`);
    entries.push(recovered(local));
  }
  return { entries, problems, directoryOffset: end.directoryOffset };
}

interface Span {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

function entryOf(record: CentralRecord, local: LocalHeader | undefined): ZipEntry {
  const type = record.unixMode & 0xf000;
  return {
    name: record.name,
    kind: type === 0xa000 ? 'link' : record.name.endsWith('/') && record.size === 0 ? 'folder' : 'file',
    method: record.method,
    encrypted: (record.flags & 1) !== 0,
    crc32: record.crc32,
    size: record.size,
    compressedSize: record.compressedSize,
    dataOffset: local?.dataOffset,
    listed: true,
  };
}

function recovered(local: LocalHeader & { readonly limit: number }): ZipEntry {
  const known = (local.flags & 8) === 0 || local.compressedSize > 0;
  return {
    name: local.name,
    kind: local.name.endsWith('/') ? 'folder' : 'file',
    method: local.method,
    encrypted: (local.flags & 1) !== 0,
    crc32: local.crc32,
    size: known ? local.size : undefined,
    compressedSize: Math.min(known ? local.compressedSize : Infinity, local.limit - local.dataOffset),
    dataOffset: local.dataOffset,
    listed: false,
  };
}

/** In which fields the two headers of an entry contradict each other. Zeros before a data descriptor do not count. */
function differenceOf(record: CentralRecord, local: LocalHeader): string | undefined {
  const deferred = (local.flags & 8) !== 0;
  const differs = (a: number, b: number): boolean => a !== b && !(deferred && a === 0);
  const fields = [
    local.name === zipName(record.nameBytes, record.flags) ? '' : `name ('${local.name}')`,
    local.method === record.method ? '' : 'method',
    (local.flags & 1) === (record.flags & 1) ? '' : 'encryption',
    differs(local.crc32, record.crc32) ? 'checksum' : '',
    differs(local.compressedSize, record.compressedSize) ? 'compressed size' : '',
    differs(local.size, record.size) ? 'size' : '',
  ].filter((field) => field !== '');
  return fields.length === 0 ? undefined : fields.join(', ');
}

/** Entries that share bytes with others or with the directory: no honest archiver makes them, bombs do. */
function overlaps(spans: readonly Span[], directoryOffset: number): readonly string[] {
  const found: string[] = [];
  let furthest: Span | undefined;
  for (const span of spans) {
    if (furthest !== undefined && span.start < furthest.end)
      found.push(`entries '${furthest.name}' and '${span.name}' share bytes`);
    if (furthest === undefined || span.end > furthest.end) furthest = span;
  }
  if (furthest !== undefined && furthest.end > directoryOffset)
    found.push(`entry '${furthest.name}' reaches into the central directory`);
  return found;
}

/** Local headers between listed entries that no directory record points to. `spans` are sorted by their start. */
async function unlisted(
  source: ByteSource,
  spans: readonly Span[],
  directoryOffset: number,
): Promise<readonly (LocalHeader & { readonly limit: number })[]> {
  const found: (LocalHeader & { limit: number })[] = [];
  let at = 0;
  for (const { start, end } of [...spans, { start: directoryOffset, end: directoryOffset }]) {
    while (at + 30 <= start) {
      const local = await readLocalHeader(source, await afterDescriptor(source, at, start));
      if (local === undefined || local.dataOffset > start) break;
      // Android's own tools fill gaps with nameless headers that hold nothing.
      if (local.name !== '' || local.compressedSize > 0) found.push({ ...local, limit: start });
      const deferred = (local.flags & 8) !== 0 && local.compressedSize === 0;
      at = deferred ? start : local.dataOffset + local.compressedSize;
    }
    at = Math.max(at, end);
  }
  return found;
}

/** A data descriptor of 12 to 24 bytes may follow an entry: where the next header may stand. */
async function afterDescriptor(source: ByteSource, at: number, limit: number): Promise<number> {
  const view = new ByteView(await source.read(at, Math.min(28, limit - at)), 'zip');
  for (const skip of [0, 12, 16, 20, 24])
    if (skip + 4 <= view.size && [LOCAL_SIGNATURE, CENTRAL_SIGNATURE].includes(view.u32(skip))) return at + skip;
  return at;
}
