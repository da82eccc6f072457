/** @file The options of `cuttle offload`, as they are checked. */
import { z } from 'zod';
import { preprocessingOptions } from './data-options.js';
import { goalOptions } from './split-goals.js';
import { sessionOptions } from './session-options.js';
import { option } from './verb.js';

/** A duration: milliseconds, or a number with `ms` or `s`. */
const duration = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s)?$/.exec(text.trim());
  if (match !== null) return Number(match[1]) * (match[2] === 's' ? 1000 : 1);
  context.addIssue({ code: 'custom', message: `'${text}' is not a duration such as 100ms or 0.5s` });
  return z.NEVER;
});

export const offloadOptions = z.object({
  server: option.text().optional(),
  transport: z.enum(['http', 'grpc', 'grpc-web', 'connect']).default('http'),
  name: option.text().optional(),
  token: option.text().optional(),
  input: option.text().optional(),
  data: option.text().optional(),
  limit: option.count().optional(),
  onBad: z.enum(['count', 'stop']).default('count'),
  profile: option.text().optional(),
  ...goalOptions,
  deadline: duration.optional(),
  window: option.count().default(1),
  repeat: option.count().default(1),
  seed: option.seed(),
  ...preprocessingOptions,
  ...sessionOptions,
});

export type OffloadOptions = z.infer<typeof offloadOptions>;
