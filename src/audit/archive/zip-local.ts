/** @file Local headers of a ZIP file, one at an offset, or all that a scan of the file finds. */
import { ByteView } from '../byte-view.js';
import { type ByteSource } from '../source.js';
import { LOCAL_SIGNATURE, wideFields, zipName } from './zip-directory.js';

export interface LocalHeader {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly dataOffset: number;
}

/** The local header at `offset`, or `undefined` where there is none. */
export async function readLocalHeader(source: ByteSource, offset: number): Promise<LocalHeader | undefined> {
  if (!(offset >= 0 && offset + 30 <= source.size)) return undefined;
  const fixed = new ByteView(await source.read(offset, 30), 'zip-local');
  if (fixed.u32(0) !== LOCAL_SIGNATURE) return undefined;
  const [flags, nameLength, extraLength] = [fixed.u16(6), fixed.u16(26), fixed.u16(28)];
  const dataOffset = offset + 30 + nameLength + extraLength;
  if (dataOffset > source.size) return undefined;
  const [method, crc, narrowCompressed, narrowSize] = [fixed.u16(8), fixed.u32(14), fixed.u32(18), fixed.u32(22)];
  const rest = await source.read(offset + 30, nameLength + extraLength);
  const extra = new ByteView(rest.subarray(nameLength), 'zip-extra');
  const { size, compressedSize } = wideFields(extra, {
    size: narrowSize,
    compressedSize: narrowCompressed,
    headerOffset: 0,
  });
  const name = zipName(rest.subarray(0, nameLength), flags);
  return { name, flags, method, crc32: crc, compressedSize, size, dataOffset };
}

const CHUNK = 1 << 18;
const KNOWN_METHODS: ReadonlySet<number> = new Set([0, 8, 9, 12, 14, 93, 95, 98, 99]);

/**
 * Every plausible local header of a file that has no directory; `limit` is where the entry's data must end: at the
 * next header, or at the end of the file. Data of known size is stepped over, so archives inside are not taken apart.
 */
export async function scanLocalHeaders(
  source: ByteSource,
  maxEntries: number,
): Promise<readonly (LocalHeader & { readonly limit: number })[]> {
  const found: LocalHeader[] = [];
  const starts: number[] = [];
  let from = 0;
  while (from + 30 <= source.size && found.length < maxEntries) {
    const chunk = await source.read(from, Math.min(CHUNK, source.size - from));
    let next = from + Math.max(1, chunk.length - 3);
    for (let at = 0; at + 4 <= chunk.length; at++) {
      if (chunk[at] !== 0x50 || chunk[at + 1] !== 0x4b || chunk[at + 2] !== 3 || chunk[at + 3] !== 4) continue;
      const local = await readLocalHeader(source, from + at);
      if (local === undefined || !KNOWN_METHODS.has(local.method) || local.name === '') continue;
      found.push(local);
      starts.push(from + at);
      const deferred = (local.flags & 8) !== 0 && local.compressedSize === 0;
      next = local.dataOffset + (deferred ? 0 : local.compressedSize);
      break;
    }
    from = next;
  }
  return found.map((local, i) => ({ ...local, limit: starts[i + 1] ?? source.size }));
}
