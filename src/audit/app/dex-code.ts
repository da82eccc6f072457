/** @file Dalvik bytecode, walked instruction by instruction: what a method calls and which strings it uses. */
import { type ByteView } from '../byte-view.js';

/** What instructions refer to. */
export interface CodeVisitor {
  /** An invoke of a method, by its number in the file's list. */
  invoke(method: number): void;
  /** A string constant, by its number. */
  string(string: number): void;
}

/** Ranges of opcodes with their length in units of 16 bits (Dalvik bytecode reference); 1 for all others. */
const lengths: readonly (readonly [first: number, last: number, units: number])[] = [
  [0x02, 0x02, 2],
  [0x03, 0x03, 3],
  [0x05, 0x05, 2],
  [0x06, 0x06, 3],
  [0x08, 0x08, 2],
  [0x09, 0x09, 3],
  [0x13, 0x13, 2],
  [0x14, 0x14, 3],
  [0x15, 0x16, 2],
  [0x17, 0x17, 3],
  [0x18, 0x18, 5],
  [0x19, 0x1a, 2],
  [0x1b, 0x1b, 3],
  [0x1c, 0x1c, 2],
  [0x1f, 0x20, 2],
  [0x22, 0x23, 2],
  [0x24, 0x26, 3],
  [0x29, 0x29, 2],
  [0x2a, 0x2c, 3],
  [0x2d, 0x3d, 2],
  [0x44, 0x6d, 2],
  [0x6e, 0x72, 3],
  [0x74, 0x78, 3],
  [0x90, 0xaf, 2],
  [0xd0, 0xe2, 2],
  [0xfa, 0xfb, 4],
  [0xfc, 0xfd, 3],
  [0xfe, 0xff, 2],
];

const unitsOf = new Uint8Array(256).fill(1);
for (const [first, last, units] of lengths) unitsOf.fill(units, first, last + 1);

/**
 * Walks the instructions of a code item (DEX format, `code_item`). Gives the number of units walked.
 * Throws AuditError where the code reaches beyond the file.
 */
export function walkCode(view: ByteView, codeOffset: number, visitor: CodeVisitor): number {
  const units = view.u32(codeOffset + 12);
  const start = codeOffset + 16;
  view.check(start, 2 * units);
  const bytes = view.bytes;
  const unit = (at: number): number => bytes[start + 2 * at]! | (bytes[start + 2 * at + 1]! << 8);
  for (let at = 0; at < units;) {
    const word = unit(at);
    const opcode = word & 0xff;
    let length = unitsOf[opcode]!;
    if (opcode === 0 && word !== 0) length = payloadUnits(word, at, units, unit);
    // An instruction cut off by the end of its code holds nothing to read.
    if (at + length > units) break;
    if ((opcode >= 0x6e && opcode <= 0x78 && opcode !== 0x73) || opcode === 0xfa || opcode === 0xfb)
      visitor.invoke(unit(at + 1));
    else if (opcode === 0x1a) visitor.string(unit(at + 1));
    else if (opcode === 0x1b) visitor.string(unit(at + 1) + unit(at + 2) * 0x10000);
    at += length;
  }
  return units;
}

/** Tables of switches and arrays stand between instructions, marked as kinds of nop. */
function payloadUnits(word: number, at: number, units: number, unit: (at: number) => number): number {
  if (at + 4 > units) return 1;
  const size = unit(at + 1);
  if (word === 0x0100) return 4 + 2 * size;
  if (word === 0x0200) return 2 + 4 * size;
  if (word !== 0x0300) return 1;
  const count = unit(at + 2) + unit(at + 3) * 0x10000;
  return 4 + Math.ceil((size * count) / 2);
}
