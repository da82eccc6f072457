/** @file tar archives by random access: ustar, pax names and sizes, GNU long names. Nothing is written anywhere. */
import { AuditError } from '../errors.js';
import { problem, type Problem } from '../problem.js';
import { type ByteSource } from '../source.js';
import { type ArchiveLimits } from './limits.js';
import { unsafeName } from './names.js';

export interface TarMember {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly offset: number;
  readonly size: number;
}

export interface TarArchive {
  readonly entries: readonly TarMember[];
  readonly problems: readonly Problem[];
}

const BLOCK = 512;
/** pax and GNU headers that describe the next entry are this long at most. */
const MAX_HEADER_BYTES = 1 << 20;
const text = new TextDecoder();

/** True where a block of 512 bytes is a tar header: its checksum fits, whatever its magic says. */
export function isTar(head: Uint8Array): boolean {
  if (head.length < BLOCK || head[0] === 0) return false;
  const stated = octal(head, 148, 8);
  if (stated === undefined) return false;
  let sum = 8 * 32;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += head[at]!;
  return sum === stated;
}

/** Lists a tar archive. Throws AuditError where its first block is no header, or beyond a limit; later damage is told. */
export async function openTar(source: ByteSource, limits: ArchiveLimits, path: string): Promise<TarArchive> {
  const entries: TarMember[] = [];
  const problems: Problem[] = [];
  let headers: PaxFields = {};
  let extraHeaders = 0;
  let at = 0;
  while (at + BLOCK <= source.size) {
    const head = await source.read(at, BLOCK);
    if (head.every((byte) => byte === 0)) return { entries, problems };
    if (!isTar(head)) {
      if (at === 0) throw new AuditError('tar', 'this is no tar archive');
      problems.push(problem('archive/broken', path, `byte ${at} should begin an entry, but holds no header`));
      return { entries, problems };
    }
    const type = String.fromCharCode(head[156]!);
    const stated = headers.size ?? octal(head, 124, 12) ?? 0;
    const data = at + BLOCK;
    if (data + stated > source.size)
      problems.push(problem('archive/broken', path, `the entry at byte ${at} reaches beyond the file`));
    const size = Math.min(stated, source.size - data);
    at = data + Math.ceil(stated / BLOCK) * BLOCK;
    if ('xgLK'.includes(type)) {
      if (size > MAX_HEADER_BYTES || ++extraHeaders > limits.maxEntries)
        throw new AuditError('archive-limit', `a tar header of ${size} bytes`);
      const bytes = await source.read(data, size);
      if (type === 'x') headers = { ...headers, ...paxFields(bytes) };
      else if (type === 'L') headers = { ...headers, name: untilZero(bytes) };
      continue;
    }
    if (entries.length >= limits.maxEntries)
      throw new AuditError('archive-limit', `the archive has more than ${limits.maxEntries} entries`);
    const name = headers.name ?? plainName(head);
    const unsafe = unsafeName(name.replace(/^\.\//, ''));
    if (unsafe !== undefined && name !== './')
      problems.push(problem('archive/unsafe-name', path, `entry '${name}': ${unsafe}`));
    entries.push({ name: name.replace(/^\.\//, ''), kind: kindOf(type), offset: data, size });
    headers = {};
  }
  // Two zero blocks end an archive; without them it was cut, though perhaps only by a careless writer.
  problems.push(problem('archive/broken', path, 'the archive ends without its end mark'));
  return { entries, problems };
}

function kindOf(type: string): TarMember['kind'] {
  if (type === '0' || type === '\0' || type === '7') return 'file';
  return type === '5' ? 'folder' : type === '1' || type === '2' ? 'link' : 'other';
}

/** Octal digits, or GNU's base-256 where the first bit is set. */
function octal(head: Uint8Array, at: number, length: number): number | undefined {
  if (head[at]! & 0x80) {
    let value = head[at]! & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + head[at + i]!;
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = untilZero(head.subarray(at, at + length)).trim();
  return /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : undefined;
}

function plainName(head: Uint8Array): string {
  const name = untilZero(head.subarray(0, 100));
  const ustar = text.decode(head.subarray(257, 263)) === 'ustar\0';
  const prefix = ustar ? untilZero(head.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function untilZero(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return text.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

interface PaxFields {
  readonly name?: string;
  readonly size?: number;
}

/** `LENGTH key=value\n` records (POSIX.1-2001 pax). Broken ones end the list. */
function paxFields(bytes: Uint8Array): PaxFields {
  let fields: PaxFields = {};
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? NaN : Number(text.decode(bytes.subarray(at, space)));
    if (!Number.isInteger(length) || length < 5 || at + length > bytes.length) break;
    const record = text.decode(bytes.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === 'path') fields = { ...fields, name: value };
    else if (key === 'size' && /^\d{1,15}$/.test(value)) fields = { ...fields, size: Number(value) };
    at += length;
  }
  return fields;
}
