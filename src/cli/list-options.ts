/** @file Options that take several values separated by commas, and durations. */
import { z } from 'zod';

const split = (text: string): string[] => text.split(',').map((part) => part.trim());

/** Whole numbers of at least 1: `1,2,4`. */
export const countsOption = z.string().transform((text, context): readonly number[] => {
  const counts = split(text).map(Number);
  if (counts.every((count) => Number.isInteger(count) && count >= 1)) return [...new Set(counts)];
  context.addIssue({ code: 'custom', message: `'${text}' is not a list of whole numbers such as 1,2,4` });
  return z.NEVER;
});

/** Some of a set of names: `native,wasm`. */
export function namesOption<Name extends string>(names: readonly Name[]) {
  return z.string().transform((text, context): readonly Name[] => {
    const given = split(text);
    const known = given.filter((name): name is Name => (names as readonly string[]).includes(name));
    if (known.length === given.length) return [...new Set(known)];
    context.addIssue({ code: 'custom', message: `'${text}' is not a list of ${names.join(', ')}` });
    return z.NEVER;
  });
}

/** Image sizes, width × height or one number for both: `96,128x96`. */
export const sizesOption = z
  .string()
  .transform((text, context): readonly (readonly [height: number, width: number])[] => {
    const sizes = split(text).map((part) => /^([1-9]\d*)(?:x([1-9]\d*))?$/.exec(part));
    if (sizes.every((match) => match !== null))
      return sizes.map((match) => [Number(match[2] ?? match[1]), Number(match[1])] as const);
    context.addIssue({
      code: 'custom',
      message: `'${text}' is not a list of sizes such as 96,128x96 (width x height)`,
    });
    return z.NEVER;
  });

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600 };

/** A duration in seconds: `90s`, `10m`, `1h`. */
export const durationOption = z.string().transform((text, context): number => {
  const match = /^(\d+(?:\.\d+)?)\s*(s|m|min|h)$/.exec(text.trim());
  const seconds = match === null ? 0 : Number(match[1]) * UNITS[match[2]!]!;
  if (seconds > 0) return seconds;
  context.addIssue({ code: 'custom', message: `'${text}' is not a duration such as 90s, 10m or 1h` });
  return z.NEVER;
});
