/** @file The contents of a ZIP entry: unpacked as a stream, counted, and checked against size and checksum. */
import { AuditError } from '../errors.js';
import { chunksOf, partOf, type ByteSource } from '../source.js';
import { BudgetError, type Budget } from './budget.js';
import { type ArchiveHost } from './host.js';
import { type ZipEntry } from './zip.js';

/** Names of methods that are known and not read. */
const methodNames: Readonly<Record<number, string>> = {
  1: 'shrunk',
  6: 'imploded',
  9: 'deflate64',
  12: 'bzip2',
  14: 'LZMA',
  93: 'zstd',
  95: 'XZ',
  98: 'PPMd',
  99: 'AES',
};

/** The largest growth that deflate can give, and its fixed cost. */
const DEFLATE_RATIO = 1032;
/** Entries up to this size are unpacked in one call. */
const WHOLE_BYTES = 4 * 2 ** 20;

/** What reading an entry found out about it, beside its bytes. */
export type EntryRemark = 'false-encryption' | 'false-method';

/** Where an entry's bytes stand plainly in the file: stored, or marked otherwise but of the same size and checksum. */
export async function plainRange(
  source: ByteSource,
  entry: ZipEntry,
  host: ArchiveHost,
): Promise<{ readonly part: ByteSource; readonly remark: EntryRemark | undefined } | undefined> {
  const { dataOffset, compressedSize, size, method } = entry;
  if (dataOffset === undefined || dataOffset + compressedSize > source.size) return undefined;
  if (method === 0 && !entry.encrypted) {
    if (size !== undefined && size !== compressedSize) return undefined;
    return { part: partOf(source, dataOffset, compressedSize), remark: undefined };
  }
  // Android ignores the encryption flag and takes unknown methods for stored: files that lie to analysts run there.
  // Methods other than deflate that fit by checksum are what Android sees.
  if (method === 8 || size === undefined || dataOffset + size > source.size) return undefined;
  if (method !== 0 && method in methodNames) return undefined;
  const part = partOf(source, dataOffset, size);
  if ((await checksum(part, host)) !== entry.crc32) return undefined;
  return { part, remark: method === 0 ? 'false-encryption' : 'false-method' };
}

async function checksum(source: ByteSource, host: ArchiveHost): Promise<number> {
  let crc = 0;
  for await (const chunk of chunksOf(source)) crc = host.crc32(chunk, crc);
  return crc;
}

/**
 * The entry's contents. Bytes are counted in `budget` as they come. Throws AuditError where the data is broken, is
 * encrypted, has another size or checksum than stated (at its end), or is of a method that is not read; BudgetError
 * beyond the budget. `remark` hears of a false encryption flag.
 */
export async function* readZipEntry(
  source: ByteSource,
  entry: ZipEntry,
  host: ArchiveHost,
  budget: Budget,
  remark: (what: EntryRemark) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const { size, compressedSize, dataOffset, method } = entry;
  if (dataOffset === undefined) throw broken(entry, 'its local header is missing');
  if (dataOffset + compressedSize > source.size)
    throw broken(entry, `its data ends ${dataOffset + compressedSize - source.size} bytes beyond the file`);
  const most = size ?? budget.limits.maxEntryBytes;
  if (most > budget.limits.maxEntryBytes)
    throw new AuditError(
      'archive-limit',
      `entry '${entry.name}' has ${most} bytes, the limit is ${budget.limits.maxEntryBytes}`,
    );
  const plain = await plainRange(source, entry, host);
  if (plain?.remark !== undefined) remark(plain.remark);
  if (plain === undefined && method !== 8) {
    if (entry.encrypted) throw encrypted(entry);
    if (method === 0) throw broken(entry, `stored as ${compressedSize} bytes, but said to have ${size}`);
  }
  // Android inflates whatever is not marked as stored.
  const isGuess = plain === undefined && method !== 8;
  let total = 0;
  let crc = 0;
  try {
    for await (const chunk of plain ? chunksOf(plain.part) : inflated(source, entry, dataOffset, host)) {
      total += chunk.length;
      budget.spend(chunk.length);
      if (total > most) throw broken(entry, `it gives more than the stated ${most} bytes`);
      crc = host.crc32(chunk, crc);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof BudgetError) throw cause;
    if (isGuess) throw unknownMethod(entry);
    if (cause instanceof AuditError && !entry.encrypted) throw cause;
    throw entry.encrypted
      ? encrypted(entry)
      : broken(entry, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (size === undefined) {
    if (isGuess) remark('false-method');
    return;
  }
  const wrong =
    total !== size
      ? `it gives ${total} bytes, ${size} are stated`
      : crc !== entry.crc32
        ? 'its checksum differs'
        : undefined;
  if (wrong !== undefined && isGuess) throw unknownMethod(entry);
  if (wrong !== undefined) throw entry.encrypted ? encrypted(entry) : broken(entry, wrong);
  if (entry.encrypted && plain === undefined) remark('false-encryption');
  if (isGuess) remark('false-method');
}

async function* inflated(
  source: ByteSource,
  entry: ZipEntry,
  dataOffset: number,
  host: ArchiveHost,
): AsyncGenerator<Uint8Array> {
  const { size, compressedSize } = entry;
  if (size !== undefined && size <= WHOLE_BYTES && size <= compressedSize * DEFLATE_RATIO) {
    yield host.inflate(await source.read(dataOffset, compressedSize), size);
    return;
  }
  yield* host.inflateStream(chunksOf(partOf(source, dataOffset, compressedSize), 1 << 16));
}

const unknownMethod = ({ name, method }: ZipEntry): AuditError =>
  new AuditError(
    'method',
    `entry '${name}' is compressed by ${methodNames[method] ?? `method ${method}`}, which is not read`,
    { kind: 'unsupported' },
  );
const broken = (entry: ZipEntry, reason: string, cause?: unknown): AuditError =>
  new AuditError('broken-entry', `entry '${entry.name}' is broken: ${reason}`, { cause });
const encrypted = (entry: ZipEntry): AuditError =>
  new AuditError('encrypted', `entry '${entry.name}' is encrypted`, { kind: 'unsupported' });
