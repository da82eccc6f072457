/** @file The end and the central directory of a ZIP file (APPNOTE 6.3.10, §4.3), ZIP64 included; contradictions are told, not trusted. */
import { ByteView } from '../byte-view.js';
import { AuditError } from '../errors.js';
import { type ByteSource } from '../source.js';
import { type ArchiveLimits } from './limits.js';

export const END_SIGNATURE = 0x06054b50;
export const CENTRAL_SIGNATURE = 0x02014b50;
export const LOCAL_SIGNATURE = 0x04034b50;
const ZIP64_END_SIGNATURE = 0x06064b50;
const ZIP64_LOCATOR_SIGNATURE = 0x07064b50;
const END_BYTES = 22;
const MAX_COMMENT = 65_535;

/** Where the directory is, by the end record that was chosen. */
export interface ZipEnd {
  /** Of the end record. */
  readonly position: number;
  readonly directoryOffset: number;
  readonly directoryBytes: number;
  readonly entryCount: number;
  /** Bytes put in front of the archive: added to every offset that it states. */
  readonly shift: number;
  /** Bytes after the end record and its comment. */
  readonly trailing: number;
  /** How many places look like an end record whose directory is there. */
  readonly candidates: number;
}

/**
 * Finds the end record from the back of the file, the last one whose central directory is where it says (or, with
 * bytes in front of the archive, right before it). `undefined` where there is none.
 */
export async function findZipEnd(source: ByteSource): Promise<ZipEnd | undefined> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT + 20);
  const start = source.size - length;
  const view = new ByteView(await source.read(start, length), 'zip-end');
  let chosen: ZipEnd | undefined;
  let candidates = 0;
  for (let at = length - END_BYTES; at >= 0; at--) {
    if (view.bytes[at] !== 0x50 || view.u32(at) !== END_SIGNATURE) continue;
    const end = await readEnd(source, view, at, start);
    if (end === undefined) continue;
    candidates++;
    chosen ??= end;
  }
  return chosen === undefined ? undefined : { ...chosen, candidates };
}

async function readEnd(source: ByteSource, view: ByteView, at: number, start: number): Promise<ZipEnd | undefined> {
  const position = start + at;
  const comment = view.u16(at + 20);
  if (position + END_BYTES + comment > source.size) return undefined;
  let entryCount = view.u16(at + 10);
  let directoryBytes = view.u32(at + 12);
  let directoryOffset = view.u32(at + 16);
  let directoryEnd = position;
  if (entryCount === 0xffff || directoryBytes === 0xffffffff || directoryOffset === 0xffffffff) {
    const wide = await readZip64End(source, position);
    if (wide !== undefined) ({ entryCount, directoryBytes, directoryOffset, directoryEnd } = wide);
  }
  const shift = directoryEnd - directoryBytes - directoryOffset;
  const empty = entryCount === 0 && directoryBytes === 0;
  const trailing = source.size - position - END_BYTES - comment;
  for (const moved of shift > 0 ? [0, shift] : [0]) {
    const offset = directoryOffset + moved;
    if (offset + directoryBytes > position) continue;
    if (empty ? position === offset : await hasSignature(source, offset, CENTRAL_SIGNATURE))
      return { position, directoryOffset: offset, directoryBytes, entryCount, shift: moved, trailing, candidates: 1 };
  }
  return undefined;
}

interface WideEnd {
  readonly entryCount: number;
  readonly directoryBytes: number;
  readonly directoryOffset: number;
  readonly directoryEnd: number;
}

async function readZip64End(source: ByteSource, endPosition: number): Promise<WideEnd | undefined> {
  if (endPosition < 20 + 56) return undefined;
  const locator = new ByteView(await source.read(endPosition - 20, 20), 'zip64');
  if (locator.u32(0) !== ZIP64_LOCATOR_SIGNATURE) return undefined;
  // Where bytes stand in front of the archive, the record is right before its locator rather than where that says.
  for (const at of [numberAt(locator, 8), endPosition - 20 - 56]) {
    if (at === undefined || at < 0 || at + 56 > endPosition) continue;
    const record = new ByteView(await source.read(at, 56), 'zip64');
    if (record.u32(0) !== ZIP64_END_SIGNATURE) continue;
    const [entryCount, directoryBytes, directoryOffset] = [32, 40, 48].map((field) => numberAt(record, field));
    if (entryCount === undefined || directoryBytes === undefined || directoryOffset === undefined) continue;
    return { entryCount, directoryBytes, directoryOffset, directoryEnd: at };
  }
  return undefined;
}

/** A 64-bit number, or `undefined` where no file can be that large. */
function numberAt(view: ByteView, at: number): number | undefined {
  const [low, high] = [view.u32(at), view.u32(at + 4)];
  return high < 2 ** 21 ? high * 2 ** 32 + low : undefined;
}

async function hasSignature(source: ByteSource, offset: number, signature: number): Promise<boolean> {
  if (offset + 4 > source.size) return false;
  return new ByteView(await source.read(offset, 4), 'zip').u32(0) === signature;
}

/** One record of the central directory, as it stands there. */
export interface CentralRecord {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  /** Of the local header, in the file. */
  readonly headerOffset: number;
  readonly unixMode: number;
}

export interface CentralDirectory {
  readonly records: readonly CentralRecord[];
  /** Where the records stopped before the stated end: why. */
  readonly broken: string | undefined;
}

/** All records of the central directory. Throws AuditError beyond a limit. */
export async function readCentralDirectory(
  source: ByteSource,
  end: ZipEnd,
  limits: ArchiveLimits,
): Promise<CentralDirectory> {
  // Readers go by the count or by the size; where these differ, everything up to the end record may be read by somebody.
  const length = end.position - end.directoryOffset;
  if (Math.min(length, end.directoryBytes) > limits.maxDirectoryBytes)
    throw new AuditError(
      'archive-limit',
      `the central directory has ${end.directoryBytes} bytes, the limit is ${limits.maxDirectoryBytes}`,
    );
  const bytes = await source.read(end.directoryOffset, Math.min(length, limits.maxDirectoryBytes));
  const view = new ByteView(bytes, 'zip-directory');
  const records: CentralRecord[] = [];
  let at = 0;
  while (at + 46 <= view.size && view.u32(at) === CENTRAL_SIGNATURE) {
    if (records.length >= limits.maxEntries)
      throw new AuditError('archive-limit', `the archive has more than ${limits.maxEntries} entries`);
    const [nameLength, extraLength, commentLength] = [view.u16(at + 28), view.u16(at + 30), view.u16(at + 32)];
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > view.size) return { records, broken: `record ${records.length} reaches beyond the directory` };
    const nameBytes = view.slice(at + 46, nameLength);
    const flags = view.u16(at + 8);
    const wide = wideFields(new ByteView(view.slice(at + 46 + nameLength, extraLength), 'zip-extra'), {
      size: view.u32(at + 24),
      compressedSize: view.u32(at + 20),
      headerOffset: view.u32(at + 42),
    });
    records.push({
      name: zipName(nameBytes, flags),
      nameBytes,
      flags,
      method: view.u16(at + 10),
      crc32: view.u32(at + 16),
      compressedSize: wide.compressedSize,
      size: wide.size,
      headerOffset: wide.headerOffset + end.shift,
      unixMode: view.u8(at + 5) === 3 ? view.u32(at + 38) >>> 16 : 0,
    });
    at = next;
  }
  const broken =
    at < Math.min(end.directoryBytes, view.size) && records.length < end.entryCount
      ? `the directory breaks off after ${records.length} of ${end.entryCount} entries`
      : undefined;
  return { records, broken };
}

interface Sizes {
  readonly size: number;
  readonly compressedSize: number;
  readonly headerOffset: number;
}

/** Sizes that are 0xffffffff stand in the ZIP64 extra field (0x0001), in this order, only those that are needed. */
export function wideFields(extra: ByteView, narrow: Sizes): Sizes {
  const result = { ...narrow };
  for (let at = 0; at + 4 <= extra.size; at += 4 + extra.u16(at + 2)) {
    if (extra.u16(at) !== 1) continue;
    let field = at + 4;
    const fieldEnd = Math.min(extra.size, field + extra.u16(at + 2));
    for (const key of ['size', 'compressedSize', 'headerOffset'] as const) {
      if (narrow[key] !== 0xffffffff || field + 8 > fieldEnd) continue;
      result[key] = numberAt(extra, field) ?? Number.MAX_SAFE_INTEGER;
      field += 8;
    }
    break;
  }
  return result;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const latin1 = new TextDecoder('latin1');

/** A name in UTF-8 where it is that, whatever its flag says (Android takes all names for UTF-8), else byte by byte. */
export function zipName(bytes: Uint8Array, flags: number): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return flags & 0x800 ? new TextDecoder().decode(bytes) : latin1.decode(bytes);
  }
}
