/** @file docs/schemas says what readers check. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { artefactSchemas, schemaText } from '../../src/schemas.js';

const folder = new URL('../../docs/schemas/', import.meta.url);
const schemas = Object.entries(artefactSchemas());

test.each(schemas)('docs/schemas/%s.schema.json is up to date (npm run schemas rewrites it)', (name, schema) => {
  const file = new URL(`${name}.schema.json`, folder);
  if (process.env.CUTTLE_UPDATE) writeFileSync(file, schemaText(schema));
  expect(existsSync(file) ? readFileSync(file, 'utf8') : '').toBe(schemaText(schema));
});

test('nothing else is published', () => {
  expect(readdirSync(folder).sort()).toEqual(schemas.map(([name]) => `${name}.schema.json`).sort());
});

test('a published schema accepts and refuses as the reader does', () => {
  const published = z.fromJSONSchema(artefactSchemas().preprocessing);
  const good = { version: 1, height: 28, width: 28, channels: 'gray', mean: [0.5], std: [0.25] };
  expect(published.safeParse(good).success).toBe(true);
  for (const bad of [{ ...good, version: 2 }, { ...good, std: [0] }, { ...good, channels: 'cmyk' }, { height: 28 }])
    expect(published.safeParse(bad).success, JSON.stringify(bad)).toBe(false);
});
