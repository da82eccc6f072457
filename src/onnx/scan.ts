/** @file Walks a file's wire format against the limits before anything of it is decoded: no allocation, no surprise. */
import { ScalarType, type DescMessage } from '@bufbuild/protobuf';
import { OnnxFormatError } from './errors.js';
import { maxMessageDepth, type OnnxLimits } from './limits.js';

/** How a field must look on the wire. A number may stand alone or, in a list, packed. */
type Field =
  | { readonly kind: 'message'; readonly message: Layout }
  | { readonly kind: 'bytes'; readonly listed: boolean }
  | { readonly kind: 'number'; readonly wire: 0 | 1 | 5; readonly listed: boolean };

interface Layout {
  readonly name: string;
  /** By field number; holes are unknown fields, which are skipped. */
  readonly fields: (Field | undefined)[];
}

const layouts = new WeakMap<DescMessage, Layout>();

function layoutOf(desc: DescMessage): Layout {
  const known = layouts.get(desc);
  if (known) return known;
  const layout: Layout = { name: desc.name, fields: [] };
  layouts.set(desc, layout); // before the fields: messages refer to each other in circles
  for (const field of desc.fields) {
    if (field.message) {
      layout.fields[field.number] = { kind: 'message', message: layoutOf(field.message) };
      continue;
    }
    const listed = field.fieldKind === 'list';
    const scalar = field.scalar ?? ScalarType.INT32;
    layout.fields[field.number] =
      scalar === ScalarType.BYTES || scalar === ScalarType.STRING
        ? { kind: 'bytes', listed }
        : { kind: 'number', wire: scalar === ScalarType.FLOAT ? 5 : scalar === ScalarType.DOUBLE ? 1 : 0, listed };
  }
  return layout;
}

/**
 * Checks that `bytes` is a well-formed message of type `desc` that stays within the limits on size, message count,
 * nesting and list items. Throws OnnxFormatError (`onnx/truncated`, `onnx/malformed`, `onnx/limit`).
 */
export function scanWire(desc: DescMessage, bytes: Uint8Array, limits: OnnxLimits): void {
  if (bytes.length > limits.maxFileBytes)
    throw limitError(`it has ${bytes.length} bytes, more than ${limits.maxFileBytes}`);
  const maxDepth = maxMessageDepth(limits);
  let messages = 0;
  let items = 0;
  let pos = 0;

  /** The next varint as a number (exact up to 2^53; only lengths and tags matter here). */
  const varint = (end: number): number => {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (pos >= end) throw truncated(pos);
      const byte = bytes[pos++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw malformed(pos, 'a number of more than 10 bytes');
  };

  const countItems = (count: number): void => {
    items += count;
    if (items > limits.maxListItems) throw limitError(`its lists hold more than ${limits.maxListItems} items`);
  };

  const packedItems = (wire: 0 | 1 | 5, length: number, end: number): number => {
    if (wire !== 0) {
      const size = wire === 1 ? 8 : 4;
      if (length % size !== 0) throw malformed(pos, `a packed list of ${length} bytes`);
      return length / size;
    }
    let count = 0;
    let run = 0;
    for (let i = pos; i < end; i++) {
      if (++run > 10) throw malformed(i, 'a number of more than 10 bytes');
      if (bytes[i]! < 0x80) {
        count++;
        run = 0;
      }
    }
    if (run !== 0) throw truncated(end);
    return count;
  };

  const message = (layout: Layout, end: number, depth: number): void => {
    if (++messages > limits.maxMessages) throw limitError(`it holds more than ${limits.maxMessages} messages`);
    if (depth > maxDepth) throw limitError(`its messages are nested more than ${maxDepth} deep`);
    while (pos < end) {
      const tag = varint(end);
      const number = Math.floor(tag / 8);
      const wire = tag % 8;
      if (number === 0 || number > 0x1fffffff) throw malformed(pos, `field number ${number}`);
      const field = layout.fields[number];
      if (wire === 2) {
        const length = varint(end);
        if (length > end - pos) throw truncated(pos, layout.name, length);
        const fieldEnd = pos + length;
        if (field?.kind === 'message') message(field.message, fieldEnd, depth + 1);
        else if (field?.kind === 'bytes') countItems(field.listed ? 1 : 0);
        else if (field?.kind === 'number') {
          if (!field.listed) throw mismatch(layout, number);
          countItems(packedItems(field.wire, length, fieldEnd));
        }
        pos = fieldEnd;
        continue;
      }
      if (field !== undefined && (field.kind !== 'number' || field.wire !== wire)) throw mismatch(layout, number);
      if (wire === 0) varint(end);
      else if (wire === 1) pos += 8;
      else if (wire === 5) pos += 4;
      else throw malformed(pos, `wire type ${wire}`);
      if (pos > end) throw truncated(end);
      if (field?.kind === 'number' && field.listed) countItems(1);
    }
  };

  const mismatch = (layout: Layout, number: number): OnnxFormatError =>
    malformed(pos, `field ${number} of ${layout.name} in another form than ONNX writes it`);

  message(layoutOf(desc), bytes.length, 1);
}

function truncated(pos: number, name?: string, length?: number): OnnxFormatError {
  const what = name === undefined ? '' : `: a field of ${name} needs ${length} more bytes`;
  return new OnnxFormatError('truncated', `the file ends early or is damaged (byte ${pos})${what}`, {
    hint: 'Download or export the model again.',
  });
}

function malformed(pos: number, what: string): OnnxFormatError {
  return new OnnxFormatError('malformed', `not an ONNX model, or a damaged one: ${what} at byte ${pos}`, {
    hint: 'Give a model in ONNX format (a .onnx file).',
  });
}

function limitError(what: string): OnnxFormatError {
  return new OnnxFormatError('limit', `the file exceeds a limit: ${what}`, {
    hint: 'Raise the limit through the reader’s options if you trust the file.',
  });
}
