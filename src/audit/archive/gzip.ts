/** @file gzip streams (RFC 1952): the header, and the unpacked bytes, every member checked where it can be. */
import { ByteView } from '../byte-view.js';
import { AuditError } from '../errors.js';
import { chunksOf, type ByteSource } from '../source.js';
import { BudgetError, type Budget } from './budget.js';
import { type ArchiveHost } from './host.js';

/** True where the bytes begin like gzip with deflate. */
export function isGzipHead(head: Uint8Array): boolean {
  return head.length >= 10 && head[0] === 0x1f && head[1] === 0x8b && head[2] === 8 && (head[3]! & 0xe0) === 0;
}

/** Longest header with its optional name, comment and extra field that is read. */
const MAX_HEADER = 1 << 17;

/** The file's name that the header gives. Throws AuditError where the header is broken. */
export async function gzipName(source: ByteSource): Promise<string | undefined> {
  const view = new ByteView(await source.read(0, Math.min(MAX_HEADER, source.size)), 'gzip');
  if (!isGzipHead(view.bytes)) throw view.error('this is no gzip stream');
  if (!(view.u8(3) & 8)) return undefined;
  const at = view.u8(3) & 4 ? 12 + view.u16(10) : 10;
  const end = view.bytes.indexOf(0, at);
  if (end < 0) throw view.error('its header does not end');
  return end === at ? undefined : new TextDecoder('latin1').decode(view.bytes.subarray(at, end));
}

/**
 * The unpacked bytes of all members, counted in `budget`. Throws AuditError where the data is broken, ends early, or
 * has another checksum than stated (by the host where there are several members); BudgetError beyond the budget.
 */
export async function* readGzip(source: ByteSource, host: ArchiveHost, budget: Budget): AsyncGenerator<Uint8Array> {
  let total = 0;
  let crc = 0;
  try {
    for await (const chunk of host.gunzipStream(chunksOf(source, 1 << 16))) {
      total += chunk.length;
      budget.spend(chunk.length);
      if (total > budget.limits.maxEntryBytes)
        throw new AuditError('archive-limit', `the gzip stream gives more than ${budget.limits.maxEntryBytes} bytes`);
      crc = host.crc32(chunk, crc);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof BudgetError || cause instanceof AuditError) throw cause;
    throw new AuditError(
      'gzip',
      `the gzip stream is broken: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  const trailer = new ByteView(await source.read(Math.max(0, source.size - 8), Math.min(8, source.size)), 'gzip');
  if (trailer.size === 8 && trailer.u32(4) === total % 2 ** 32 && trailer.u32(0) !== crc)
    throw new AuditError('gzip', 'the checksum of the gzip stream differs');
}
