/** @file What the docs must list: the folders of src, and the benches. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './docs.js';

const foldersIn = (name: string): readonly string[] =>
  readdirSync(join(root, name), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

export const floors = foldersIn('src');

export const benches = foldersIn('bench').filter((name) => existsSync(join(root, 'bench', name, 'run.mjs')));
