/** @file What is wrong with the name of an archive's entry. Nothing is ever written to such a name; others may do so. */

/** Why unpacking an entry of this name by a naive program could do harm, or `undefined`. */
export function unsafeName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.includes('\0')) return 'it holds a zero byte';
  if (/[\p{Cc}]/u.test(name)) return 'it holds control characters';
  if (name.startsWith('/') || name.startsWith('\\') || /^[A-Za-z]:/.test(name)) return 'it is an absolute path';
  if (name.split(/[\\/]/).includes('..')) return 'it leads out of the folder';
  if (name.includes('\\')) return 'it holds backslashes';
  return name.length > 1024 ? `it has ${name.length} characters` : undefined;
}
