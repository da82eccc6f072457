/** @file The lock holds every package that it names: also those of other platforms, without which `npm ci` refuses it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from './entries.js';

interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

test('every dependency in the lock, optional ones of other platforms included, has its own entry', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const missing: string[] = [];
  for (const [path, { dependencies, optionalDependencies }] of Object.entries(lock.packages))
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const folders = path
        .split('/node_modules/')
        .map((_, index, parts) => parts.slice(0, index + 1).join('/node_modules/'));
      const places = [`node_modules/${name}`, ...folders.map((folder) => `${folder}/node_modules/${name}`)];
      if (!places.some((place) => place in lock.packages)) missing.push(`${path} needs ${name}`);
    }
  expect(missing).toEqual([]);
});
