/** @file Options that say on what a verb computes. */
import { z } from 'zod';
import type { SessionOptions } from '../runtime/index.js';
import { option } from './verb.js';

export const sessionFlags = [
  ['--backend <name>', 'native or wasm'],
  ['--threads <count>', 'threads that ONNX Runtime may use'],
] as const;

export const sessionOptions = {
  backend: z.enum(['native', 'wasm']).optional(),
  threads: option.count().optional(),
};

/** The options as the runtime takes them. */
export function sessionGiven({ backend, threads }: z.infer<z.ZodObject<typeof sessionOptions>>): SessionOptions {
  return { backend, threads };
}
