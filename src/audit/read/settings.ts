/** @file Settings of a layer by name, whether they were written as text or as protobuf. */
import type { ProtoMessage } from './protobuf.js';
import type { TextTree } from './text-format.js';

/** Typed access to a message's fields by name; what is absent has the given default. */
export interface Settings {
  has(name: string): boolean;
  number(name: string, fallback?: number): number;
  numbers(name: string): readonly number[];
  word(name: string): string;
  /** An enum's word where it is written as one; empty where it is a number. */
  enumWord(name: string): string;
  words(name: string): readonly string[];
  part(name: string): Settings | undefined;
  parts(name: string): readonly Settings[];
}

/** Names and numbers of a message's fields; a nested table makes a field a message. */
export interface FieldTable {
  readonly [name: string]: number | readonly [number: number, fields: FieldTable];
}

/** Settings written in text format. */
export function textSettings(tree: TextTree): Settings {
  const values = (name: string) => tree.get(name) ?? [];
  const numeric = (value: unknown): number =>
    value === 'true' ? 1 : value === 'false' ? 0 : typeof value === 'string' ? Number(value) : NaN;
  const settings: Settings = {
    has: (name) => tree.has(name),
    number(name, fallback = 0) {
      const value = numeric(values(name).at(-1));
      return Number.isNaN(value) ? fallback : value;
    },
    numbers: (name) =>
      values(name)
        .map(numeric)
        .filter((value) => !Number.isNaN(value)),
    word: (name) => settings.words(name).at(-1) ?? '',
    enumWord: (name) => settings.word(name),
    words: (name) => values(name).filter((value) => typeof value === 'string'),
    part: (name) => settings.parts(name).at(-1),
    parts: (name) => values(name).flatMap((value) => (typeof value === 'string' ? [] : [textSettings(value)])),
  };
  return settings;
}

/** Settings in wire format, of which `table` knows the names. Integers and 4-byte floats are told apart as they are stored. */
export function protoSettings(message: ProtoMessage, table: FieldTable): Settings {
  const at = (name: string): number => {
    const field = table[name];
    return field === undefined ? 0 : typeof field === 'number' ? field : field[0];
  };
  const inner = (name: string): FieldTable => {
    const field = table[name];
    return field === undefined || typeof field === 'number' ? {} : field[1];
  };
  return {
    has: (name) => message.has(at(name)),
    number(name, fallback = 0) {
      const wire = message.wire(at(name));
      if (wire === undefined) return fallback;
      if (wire === 2) return message.ints(at(name)).at(-1) ?? fallback;
      return wire === 0 ? message.int(at(name)) : message.float(at(name));
    },
    numbers: (name) => message.ints(at(name)),
    word: (name) => message.string(at(name)),
    enumWord: (name) => (message.wire(at(name)) === 2 ? message.string(at(name)) : ''),
    words: (name) => message.strings(at(name)),
    part: (name) => {
      const found = message.message(at(name));
      return found && protoSettings(found, inner(name));
    },
    parts: (name) => message.messages(at(name)).map((found) => protoSettings(found, inner(name))),
  };
}
