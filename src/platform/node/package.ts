/** @file Facts about the installed package itself. */
import { readFile } from 'node:fs/promises';

/** Cuttle's own version, from its package.json. */
export async function packageVersion(): Promise<string> {
  const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
