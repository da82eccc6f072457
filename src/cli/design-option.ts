/** @file The option `--design FILE`. */
import type { DesignChoice } from '../exits/design.js';
import { designChoice, parseDesign } from '../exits/design-file.js';
import { isProgressive } from '../exits/progressive.js';
import type { Model } from '../ir/index.js';
import { readJson } from '../platform/node/files.js';
import { UsageError } from './verb.js';

/** Reads a design for a progressive model; `undefined` where none is given. Throws UsageError for other models. */
export async function designOf(path: string | undefined, model: Model): Promise<DesignChoice | undefined> {
  if (path === undefined) return undefined;
  if (!isProgressive(model))
    throw new UsageError('--design is for progressive models; this one has no exits to choose from');
  return designChoice(parseDesign(await readJson(path)));
}
