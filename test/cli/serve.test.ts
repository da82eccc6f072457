/** @file `cuttle serve` and `cuttle export` on the command line: what they refuse, and the file of tokens. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readTokens } from '../../src/cli/tokens.js';
import { cuttle, digitsModel, expectRefusal, scratchFolder, writeModel } from './cli.js';

const folder = scratchFolder();
const model = writeModel(folder, 'digits.onnx', digitsModel());
const tokens = (text: string): string => {
  const path = join(folder, `tokens-${Math.random()}`);
  writeFileSync(path, text);
  return path;
};

test.each([
  ['half of a TLS pair', ['--tls-cert', 'x.pem'], 2, /--tls-cert and --tls-key go together/],
  ['an impossible port', ['--port', '70000'], 2, /--port: must be at most 65535/],
  ['a short token', ['--token', 'short'], 2, /--token: must have at least 8/],
  ['a file of tokens that is not there', ['--token-file', join(folder, 'none')], 3, /none/],
  ['a file without tokens', ['--token-file', tokens('# nobody\n')], 3, /holds no token/],
  ['a token without a name', ['--token-file', tokens('long-enough-token\n')], 3, /line 1: there is no name/],
] as const)('serve refuses %s', async (_, words, code, message) => {
  expectRefusal(await cuttle(['serve', model, '--port', '0', ...words]), code, message);
});

test('serve refuses a folder without models', async () => {
  const empty = scratchFolder();
  // The engine starts from dist/; without it, that is what is said.
  const outcome = await cuttle(['serve', empty, '--port', '0', '--log', 'silent']);
  expect(outcome.err.join()).toMatch(/there is no model in|npx tsc/);
});

test('tokens and whose they are', async () => {
  const path = tokens('# the team\n\nalice:one-long-token\r\nbob: two:long:tokens \n');
  expect([...(await readTokens('from-the-line', path))]).toEqual([
    ['from-the-line', 'client'],
    ['one-long-token', 'alice'],
    ['two:long:tokens', 'bob'],
  ]);
  await expect(readTokens(undefined, tokens('a:same-token-1\nb:same-token-1\n'))).rejects.toThrow(/line 2.*twice/);
});

test.each([
  ['another target', ['--target', 'phone', '--out', folder], 2, /--target/],
  ['no folder', ['--target', 'oip'], 2, /--out/],
  ['a cut that is none', ['--target', 'oip', '--out', join(folder, 'r'), '--cuts', '999'], 2, /cut 999/],
  ['too many bits', ['--target', 'oip', '--out', join(folder, 'r'), '--bits', '17'], 2, /--bits/],
] as const)('export refuses %s', async (_, words, code, message) => {
  expectRefusal(await cuttle(['export', model, ...words]), code, message);
});

test('export does not write over a repository', async () => {
  const out = join(folder, 'repository');
  const words = ['export', model, '--target', 'oip', '--out', out, '--cuts', '0'];
  expect((await cuttle(words)).code).toBe(0);
  expectRefusal(await cuttle(words), 2, /already exists/);
  expect((await cuttle([...words, '--force'])).code).toBe(0);
});
