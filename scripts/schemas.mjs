/** @file Writes docs/schemas/*.schema.json from the schemas that readers check with. Run after `npm run build`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { artefactSchemas, schemaText } from '../dist/schemas.js';

const folder = new URL('../docs/schemas/', import.meta.url);
await mkdir(folder, { recursive: true });
for (const [name, schema] of Object.entries(artefactSchemas()))
  await writeFile(new URL(`${name}.schema.json`, folder), schemaText(schema));
