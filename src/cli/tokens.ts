/** @file Bearer tokens: one on the command line, or several in a file, each with its owner's name. */
import { CuttleError } from '../ir/index.js';
import { readText } from '../platform/node/files.js';

/** A file of tokens with a line that is none. Exit code 3. */
export class TokenFileError extends CuttleError {
  constructor(path: string, line: number, why: string) {
    super('invalid', 'cli/tokens', `'${path}', line ${line}: ${why}`, {
      hint: 'Write one NAME:TOKEN per line; lines that begin with # are passed over.',
    });
  }
}

/** Shorter ones could be guessed. */
const SHORTEST = 8;

/** Tokens and whose they are; none where neither source is given. Throws FileError and TokenFileError. */
export async function readTokens(
  single: string | undefined,
  path: string | undefined,
): Promise<ReadonlyMap<string, string>> {
  const tokens = new Map<string, string>();
  if (single !== undefined) tokens.set(single, 'client');
  if (path === undefined) return tokens;
  (await readText(path)).split(/\r?\n/).forEach((text, index) => {
    const line = text.trim();
    if (line === '' || line.startsWith('#')) return;
    const fail = (why: string): never => {
      throw new TokenFileError(path, index + 1, why);
    };
    const at = line.indexOf(':');
    if (at < 1) return fail('there is no name before a colon');
    const token = line.slice(at + 1).trim();
    if (token.length < SHORTEST || /\s/.test(token)) fail(`a token has at least ${SHORTEST} characters and no spaces`);
    if (tokens.has(token)) fail('this token stands twice');
    tokens.set(token, line.slice(0, at).trim());
  });
  // A file without a token would let everybody in.
  if (tokens.size === 0) throw new TokenFileError(path, 1, 'the file holds no token');
  return tokens;
}
