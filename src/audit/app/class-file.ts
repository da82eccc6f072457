/** @file Java class files, as in the `classes.jar` of an AAR: which class it is and which methods its code names (JVMS §4.4). */
import { ByteView } from '../byte-view.js';

export interface ClassFile {
  /** As a descriptor: `Lcom/app/Main;`. */
  readonly descriptor: string;
  /** Methods that it names, of its own and of others. */
  readonly methods: readonly { readonly owner: string; readonly name: string }[];
  readonly strings: readonly string[];
}

/** True where the bytes begin like a class file (a universal Mach-O begins alike, but counts less than 45 machines). */
export function isClassFile(head: Uint8Array): boolean {
  return (
    head.length >= 10 &&
    head[0] === 0xca &&
    head[1] === 0xfe &&
    head[2] === 0xba &&
    head[3] === 0xbe &&
    (head[6]! << 8) + head[7]! >= 45
  );
}

/** Bytes after the tag of a constant, by tag; 1 (text) has its own length. */
const constantBytes: Readonly<Record<number, number>> = {
  3: 4,
  4: 4,
  5: 8,
  6: 8,
  7: 2,
  8: 2,
  9: 4,
  10: 4,
  11: 4,
  12: 4,
  15: 3,
  16: 2,
  17: 4,
  18: 4,
  19: 2,
  20: 2,
};

/** Reads the constants of a class file. A compiler writes a method's name there only where the code calls it. Throws AuditError. */
export function readClassFile(bytes: Uint8Array): ClassFile {
  const view = new ByteView(bytes, 'class-file', false);
  if (!isClassFile(bytes)) throw view.error('this is no class file');
  const count = view.u16(8);
  const places = new Uint32Array(count);
  let at = 10;
  for (let index = 1; index < count; index++) {
    places[index] = at;
    const tag = view.u8(at);
    const length = tag === 1 ? 2 + view.u16(at + 1) : constantBytes[tag];
    if (length === undefined) throw view.error(`constant ${index} is of kind ${tag}`);
    if (tag === 5 || tag === 6) index++;
    at += 1 + length;
  }
  const place = (index: number, tag: number): number => {
    const found = places[index] ?? 0;
    if (found === 0 || view.u8(found) !== tag) throw view.error(`constant ${index} is not of kind ${tag}`);
    return found;
  };
  const text = (index: number): string => {
    const found = place(index, 1);
    return decoder.decode(view.slice(found + 3, view.u16(found + 1)));
  };
  const descriptor = (index: number): string => {
    const name = text(view.u16(place(index, 7) + 1));
    return name.startsWith('[') ? name : `L${name};`;
  };
  const methods: { owner: string; name: string }[] = [];
  const strings: string[] = [];
  for (let index = 1; index < count; index++) {
    const found = places[index]!;
    const tag = found === 0 ? 0 : view.u8(found);
    if (tag === 10 || tag === 11)
      methods.push({
        owner: descriptor(view.u16(found + 1)),
        name: text(view.u16(place(view.u16(found + 3), 12) + 1)),
      });
    else if (tag === 8) strings.push(text(view.u16(found + 1)));
  }
  return { descriptor: descriptor(view.u16(at + 2)), methods, strings };
}

const decoder = new TextDecoder();
