/** @file Models that lie beside the checkout, for tests that skip where they are absent. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '../../../shared/models/formats');

/** Whether the models are there; prints why tests skip where they are not. */
export function haveModels(): boolean {
  const found = existsSync(folder);
  if (!found) console.warn(`skipped: no models at ${folder}`);
  return found;
}

/** Bytes of one of them. */
export function modelBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(resolve(folder, name)));
}
