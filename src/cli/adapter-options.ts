/** @file Options about adapters: which weights get them, and files of trained ones. */
import { type z } from 'zod';
import type { Model } from '../ir/index.js';
import {
  adaptableOps,
  adapterTargets,
  mergeAdapters,
  type AdapterOptions,
  type AdapterSet,
  type AdapterTarget,
} from '../passes/index.js';
import { readBytes } from '../platform/node/files.js';
import { decodeAdapters } from '../train/index.js';
import { option, UsageError } from './verb.js';

export const adapterFlag = [
  '--adapter <file>',
  'adapters to add into the weights (written by cuttle train --lora)',
] as const;

export const loraFlags = [
  ['--lora <rank>', 'train low-rank adapters of this rank beside the frozen network of --model; --out is a delta file'],
  ['--lora-alpha <number>', 'the adapters are scaled by alpha / rank (default: the rank)'],
  [
    '--lora-targets <list>',
    `weights that get adapters, joined by commas: operators (${adaptableOps.join(', ')}), or parts of names with * (default: all)`,
  ],
] as const;

export const loraOptions = {
  lora: option.count().optional(),
  loraAlpha: option.positive().optional(),
  loraTargets: option.text().optional(),
};

/** The options as `freshAdapters` takes them. Throws UsageError for targets that no weight of the model answers to. */
export function adapterRequest(model: Model, given: z.infer<z.ZodObject<typeof loraOptions>>): AdapterOptions {
  const targets = given.loraTargets === undefined ? undefined : matcher(model, given.loraTargets.split(','));
  return { rank: given.lora!, alpha: given.loraAlpha, targets };
}

function matcher(model: Model, words: readonly string[]): (target: AdapterTarget) => boolean {
  const all = adapterTargets(model.graph);
  const tests = words.map((word) => {
    const pattern = new RegExp(`^${word.split('*').map(escaped).join('.*')}$`);
    const test = ({ op, weight, nodes }: AdapterTarget): boolean =>
      op === word || [weight, ...nodes].some((name) => pattern.test(name));
    if (!all.some(test))
      throw new UsageError(
        `--lora-targets: nothing in the model answers to '${word}'`,
        `Weights that can be adapted: ${all.map(({ weight }) => weight).join(', ') || 'none'}.`,
      );
    return test;
  });
  return (target) => tests.some((test) => test(target));
}

const escaped = (text: string): string => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&');

/** Reads a delta file. Throws AdapterFileError where it is none. */
export async function readAdapters(path: string): Promise<AdapterSet> {
  return decodeAdapters(await readBytes(path));
}

/** The model with the adapters of a file in its weights; the model itself where no file is given. */
export async function withAdapter(model: Model, path: string | undefined): Promise<Model> {
  return path === undefined ? model : mergeAdapters(model, await readAdapters(path)).model;
}
