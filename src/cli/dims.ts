/** @file The option `--dim name=size`, given any number of times. */
import { z } from 'zod';

/** Sizes of symbolic dimensions by name; empty where the option is not given. */
export const dimOptions = z
  .array(z.string())
  .default([])
  .transform((pairs, context): Readonly<Record<string, number>> => {
    const sizes: Record<string, number> = {};
    for (const pair of pairs) {
      const match = /^(.+)=(\d+)$/.exec(pair);
      if (match === null) {
        context.addIssue({ code: 'custom', message: `'${pair}' is not of the form name=size, such as batch=8` });
        return z.NEVER;
      }
      sizes[match[1]!] = Number(match[2]);
    }
    return sizes;
  });
