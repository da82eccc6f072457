/** @file ELF shared libraries: machine, name, needed libraries, dynamic symbols, by ranges, with section headers or without. */
import { ByteView } from '../byte-view.js';
import { AuditError } from '../errors.js';
import { type ByteSource } from '../source.js';

export interface ElfLibrary {
  /** `arm64-v8a`, `armeabi-v7a`, `x86_64`, `x86`, `riscv64`, or the machine's number. */
  readonly abi: string;
  readonly soname: string | undefined;
  /** Libraries that the loader opens with this one (DT_NEEDED). */
  readonly needed: readonly string[];
  /** Symbols that it takes from others. */
  readonly imports: readonly string[];
  /** Symbols that it offers. */
  readonly exports: readonly string[];
}

const machines: Readonly<Record<number, string>> = {
  3: 'x86',
  40: 'armeabi-v7a',
  62: 'x86_64',
  183: 'arm64-v8a',
  243: 'riscv64',
};
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT = {
  needed: 1,
  hash: 4,
  strtab: 5,
  symtab: 6,
  strsz: 10,
  syment: 11,
  soname: 14,
  gnuHash: 0x6ffffef5,
} as const;
const MAX_SYMBOLS = 1_000_000;
const MAX_TABLE_BYTES = 128 * 2 ** 20;

/** True where the bytes begin like an ELF file. */
export function isElf(head: Uint8Array): boolean {
  return head.length >= 20 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileBytes: number;
}

/**
 * Reads what the dynamic linker would: program headers, dynamic section, symbol table. Section headers, which packers
 * strip or falsify, are not needed. Throws AuditError where the file is broken.
 */
export async function readElf(source: ByteSource): Promise<ElfLibrary> {
  const ident = await source.read(0, Math.min(64, source.size));
  if (!isElf(ident)) throw new AuditError('elf', 'this is no ELF file');
  const wide = ident[4] === 2;
  const view = (bytes: Uint8Array): ByteView => new ByteView(bytes, 'elf', ident[5] !== 2);
  const word = (from: ByteView, at: number): number => (wide ? from.u64(at) : from.u32(at));
  const read = async (offset: number, length: number): Promise<ByteView> => {
    if (length > MAX_TABLE_BYTES) throw new AuditError('elf', `a table has ${length} bytes`);
    return view(await source.read(offset, length));
  };
  const header = view(ident);
  const machine = header.u16(18);
  const abi = machines[machine] ?? `machine ${machine}`;
  const [programAt, stride, count] = [
    word(header, wide ? 32 : 28),
    header.u16(wide ? 54 : 42),
    header.u16(wide ? 56 : 44),
  ];
  const programs = await read(programAt, stride * count);
  if (count > 0 && stride < (wide ? 56 : 32)) throw new AuditError('elf', `program headers have ${stride} bytes`);
  const segments = Array.from({ length: count }, (_, i): Segment => {
    const at = i * stride;
    return {
      type: programs.u32(at),
      offset: word(programs, at + (wide ? 8 : 4)),
      address: word(programs, at + (wide ? 16 : 8)),
      fileBytes: word(programs, at + (wide ? 32 : 16)),
    };
  });
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return { abi, soname: undefined, needed: [], imports: [], exports: [] };
  const entries = await read(dynamic.offset, Math.min(dynamic.fileBytes, source.size - dynamic.offset));
  const tags: (readonly [tag: number, value: number])[] = [];
  const pair = wide ? 16 : 8;
  for (let at = 0; at + pair <= entries.size; at += pair) {
    const tag = entries.u32(entries.littleEndian || !wide ? at : at + 4);
    if (tag === 0) break;
    // Flags may be of any size; tables' places are numbers that a file can hold.
    const wanted = (Object.values(DT) as readonly number[]).includes(tag);
    if (wanted) tags.push([tag, word(entries, at + pair / 2)]);
  }
  const tag = (wanted: number): number | undefined => tags.find(([each]) => each === wanted)?.[1];
  const place = (address: number | undefined): number | undefined => {
    if (address === undefined) return undefined;
    const home = segments.find(
      (each) => each.type === PT_LOAD && address >= each.address && address < each.address + each.fileBytes,
    );
    return home && address - home.address + home.offset;
  };
  const stringsAt = place(tag(DT.strtab));
  if (stringsAt === undefined) return { abi, soname: undefined, needed: [], imports: [], exports: [] };
  const strings = await read(stringsAt, Math.min(tag(DT.strsz) ?? 0, source.size - stringsAt));
  const text = (at: number): string => {
    const end = strings.bytes.indexOf(0, at);
    return at >= strings.size ? '' : decoder.decode(strings.bytes.subarray(at, end < 0 ? undefined : end));
  };
  const soname = tag(DT.soname);
  const needed = tags.filter(([each]) => each === DT.needed).map(([, at]) => text(at));
  const symbolsAt = place(tag(DT.symtab));
  const [imports, exports]: [string[], string[]] = [[], []];
  if (symbolsAt !== undefined) {
    const symbolBytes = Math.max(tag(DT.syment) ?? 0, wide ? 24 : 16);
    const symbolCount = await countSymbols(read, place(tag(DT.hash)), place(tag(DT.gnuHash)), wide, source.size);
    const table = await read(symbolsAt, Math.min(symbolCount * symbolBytes, source.size - symbolsAt));
    for (let at = symbolBytes; at + symbolBytes <= table.size; at += symbolBytes) {
      const name = text(table.u32(at));
      if (name !== '') (table.u16(at + (wide ? 6 : 14)) === 0 ? imports : exports).push(name);
    }
  }
  return { abi, soname: soname === undefined ? undefined : text(soname), needed, imports, exports };
}

const decoder = new TextDecoder();
type Read = (offset: number, length: number) => Promise<ByteView>;

/** Only the hash tables tell how many dynamic symbols there are. */
async function countSymbols(
  read: Read,
  hash: number | undefined,
  gnu: number | undefined,
  wide: boolean,
  size: number,
): Promise<number> {
  if (hash !== undefined) return Math.min((await read(hash, 8)).u32(4), MAX_SYMBOLS);
  if (gnu === undefined) return 0;
  const head = await read(gnu, 16);
  const [buckets, firstSymbol, bloomWords] = [head.u32(0), head.u32(4), head.u32(8)];
  const bucketsAt = gnu + 16 + bloomWords * (wide ? 8 : 4);
  const table = await read(bucketsAt, 4 * buckets);
  let last = 0;
  for (let i = 0; i < buckets; i++) last = Math.max(last, table.u32(4 * i));
  if (last < firstSymbol) return firstSymbol;
  // The chain of the highest bucket ends with a set lowest bit.
  const chainsAt = bucketsAt + 4 * buckets;
  for (; last < MAX_SYMBOLS; last++) {
    const at = chainsAt + 4 * (last - firstSymbol);
    if (at + 4 > size || (await read(at, 4)).u32(0) & 1) break;
  }
  return Math.min(last + 1, MAX_SYMBOLS);
}
