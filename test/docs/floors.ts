/** @file The folders of src. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './docs.js';

export const floors: readonly string[] = readdirSync(join(root, 'src'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
