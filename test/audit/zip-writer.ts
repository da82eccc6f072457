/** @file A ZIP writer that can lie: every field of both headers may be set to anything. */
import { deflateRawSync } from 'node:zlib';
import { crc32 } from '../../src/audit/archive/crc32.js';

export interface Written {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  /** What the directory says, where it differs from the truth. */
  readonly central?: Partial<Fields>;
  /** What the local header says, where it differs from the truth. */
  readonly local?: Partial<Fields>;
  /** Not in the directory. */
  readonly hidden?: boolean;
  /** Sizes and checksum follow the data. */
  readonly descriptor?: boolean;
  readonly zip64?: boolean;
  readonly unixMode?: number;
}

interface Fields {
  readonly name: string;
  readonly method: number;
  readonly flags: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

export interface WriteOptions {
  readonly count?: number;
  readonly before?: Uint8Array;
  readonly after?: Uint8Array;
  readonly zip64End?: boolean;
  readonly comment?: Uint8Array;
  /** Between the entries and the directory, as an APK's signing block. */
  readonly block?: Uint8Array;
}

const u16 = (n: number): number[] => [n & 255, (n >>> 8) & 255];
const u32 = (n: number): number[] => [...u16(n & 0xffff), ...u16(n >>> 16)];
const u64 = (n: number): number[] => [...u32(n >>> 0), ...u32(Math.floor(n / 2 ** 32))];
const utf8 = new TextEncoder();

export const concat = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part))));

export function writeZip(entries: readonly Written[], options: WriteOptions = {}): Uint8Array {
  const body: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  let count = 0;
  for (const entry of entries) {
    const method = entry.method ?? 8;
    const packed = method === 8 ? new Uint8Array(deflateRawSync(entry.data)) : entry.data;
    const truth: Fields = {
      name: entry.name,
      method,
      flags: entry.descriptor ? 8 : 0,
      crc: crc32(entry.data),
      packed: packed.length,
      size: entry.data.length,
      offset: at,
    };
    const zeros = entry.descriptor ? { crc: 0, packed: 0, size: 0 } : {};
    const local = { ...truth, ...zeros, ...entry.local };
    const central = { ...truth, ...entry.central };
    const name = utf8.encode(local.name);
    const narrow = (n: number): number[] => u32(entry.zip64 ? 0xffffffff : n);
    const localExtra = entry.zip64 ? [...u16(1), ...u16(16), ...u64(local.size), ...u64(local.packed)] : [];
    const piece = concat(
      [...u32(0x04034b50), ...u16(20), ...u16(local.flags), ...u16(local.method), ...u32(0), ...u32(local.crc)],
      [...narrow(local.packed), ...narrow(local.size), ...u16(name.length), ...u16(localExtra.length)],
      name,
      localExtra,
      packed,
      entry.descriptor ? [...u32(0x08074b50), ...u32(truth.crc), ...u32(truth.packed), ...u32(truth.size)] : [],
    );
    body.push(piece);
    at += piece.length;
    if (entry.hidden) continue;
    count++;
    const centralName = utf8.encode(central.name);
    const wide = entry.zip64 ? [...u64(central.size), ...u64(central.packed), ...u64(central.offset)] : [];
    const extra = entry.zip64 ? [...u16(1), ...u16(24), ...wide] : [];
    directory.push(
      concat(
        [...u32(0x02014b50), 20, entry.unixMode === undefined ? 0 : 3, ...u16(20), ...u16(central.flags)],
        [...u16(central.method), ...u32(0), ...u32(central.crc), ...narrow(central.packed), ...narrow(central.size)],
        [...u16(centralName.length), ...u16(extra.length), ...u16(0), ...u16(0), ...u16(0)],
        [...u32(((entry.unixMode ?? 0) << 16) >>> 0), ...narrow(central.offset)],
        centralName,
        extra,
      ),
    );
  }
  const block = options.block ?? new Uint8Array(0);
  const records = concat(...directory);
  const start = at + block.length;
  const comment = options.comment ?? new Uint8Array(0);
  const wideEnd = options.zip64End
    ? concat(
        [...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...u32(0), ...u32(0)],
        [...u64(count), ...u64(count), ...u64(records.length), ...u64(start)],
        [...u32(0x07064b50), ...u32(0), ...u64(start + records.length), ...u32(1)],
      )
    : [];
  const said = options.count ?? count;
  const end = options.zip64End
    ? [...u16(0xffff), ...u16(0xffff), ...u32(0xffffffff), ...u32(0xffffffff)]
    : [...u16(said), ...u16(said), ...u32(records.length), ...u32(start)];
  return concat(
    options.before ?? [],
    ...body,
    block,
    records,
    wideEnd,
    [...u32(0x06054b50), ...u16(0), ...u16(0), ...end, ...u16(comment.length)],
    comment,
    options.after ?? [],
  );
}

/** A tar archive of plain files (ustar). */
export function writeTar(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const parts = Object.entries(files).flatMap(([name, data]) => {
    const head = new Uint8Array(512);
    const put = (at: number, text: string): void => head.set(utf8.encode(text), at);
    put(0, name);
    put(100, '0000644\0');
    put(124, `${data.length.toString(8).padStart(11, '0')}\0`);
    put(148, '        ');
    put(156, '0');
    put(257, 'ustar\x0000');
    put(
      148,
      `${head
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
    );
    return [head, data, new Uint8Array((512 - (data.length % 512)) % 512)];
  });
  return concat(...parts, new Uint8Array(1024));
}
