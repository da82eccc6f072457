/** @file Docs and program say the same: verbs, flags, defaults, examples, JSON fields. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { register, type Verb } from '../../src/cli/verb.js';
import { verbs } from '../../src/cli/verbs/index.js';
import { encodePng } from '../../src/report/index.js';
import { cuttle, digitsModel, jsonOf, scratchFolder, writeModel } from '../cli/cli.js';
import { inlineCommands, pageNamed, pages, script, shellCommands } from './docs.js';

/** Parses a command line as the program does, and checks its options; the verb does not run. */
async function understands(words: readonly string[]): Promise<void> {
  const silent = { writeErr: () => undefined };
  const program = new Command('cuttle').exitOverride().configureOutput(silent).enablePositionalOptions();
  for (const verb of verbs) register(program, verb, async () => undefined);
  for (const command of program.commands) command.exitOverride().configureOutput(silent);
  await program.parseAsync([...words], { from: 'user' });
}

const lines = pages.flatMap((page) => shellCommands(page).map((words) => [page.path, words.join(' '), words] as const));

describe('command lines in the docs', () => {
  test('there are many', () => expect(lines.length).toBeGreaterThan(20));

  test.each(lines)('%s: %s', async (_, __, words) => {
    await understands(words);
  });

  test('the check refuses what the program refuses', async () => {
    const refused = [
      'adapt m.onnx --data mnist --budget 50%',
      'inspect',
      'eval m.onnx --bogus',
      'fly',
      'run a b --input c',
    ];
    for (const wrong of refused) await expect(understands(wrong.split(' ')), wrong).rejects.toThrow();
  });

  test('inline commands name verbs and flags that exist', () => {
    const wrong = pages.flatMap((page) =>
      inlineCommands(page).flatMap((line) => {
        const [, name, ...words] = line.split(/\s+/);
        if (name!.startsWith('-') || /^(VERB|…)$/.test(name!)) return [];
        const verb = verbs.find((candidate) => candidate.name === name);
        const flags = new Set([
          '--json',
          '--help',
          ...(verb?.flags ?? []).map(([notation]) => notation.split(' ')[0]!),
        ]);
        const strange = words.filter((word) => word.startsWith('--') && !flags.has(word));
        return verb && strange.length === 0 ? [] : [`${page.path}: ${line}`];
      }),
    );
    expect(wrong).toEqual([]);
  });
});

describe.each(verbs.map((verb) => [verb.name, verb] as const))('the page of %s', (name, verb) => {
  test('is listed in the index', () => {
    expect(pageNamed('docs/README.md').text).toContain(`[cuttle ${name}](verb-${name}.md)`);
  });

  test('has the flags, defaults and examples of the program (node scripts/docs-flags.mjs)', async () => {
    const { fillVerbPage } = (await script('docs-flags.mjs')) as {
      readonly fillVerbPage: (text: string, verb: Verb) => string;
    };
    const { text } = pageNamed(`docs/verb-${name}.md`);
    expect(text).toBe(fillVerbPage(text, verb));
    for (const [notation] of verb.flags) expect(text).toContain(`| \`${notation}\` |`);
    for (const example of verb.examples) expect(text).toContain(example);
  });

  test('states exit codes and JSON', () => {
    expect(pageNamed(`docs/verb-${name}.md`).text).toMatch(/^## (JSON and exit codes|Exit codes)$/m);
  });

  test('help and schema name the same defaults', async () => {
    const { defaultOf } = (await script('docs-flags.mjs')) as {
      readonly defaultOf: (verb: Verb, key: string) => string;
    };
    for (const [notation, what] of verb.flags) {
      const key = /^--([\w-]+)/.exec(notation)![1]!.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
      const said = /([\w-]+) \(default\)|\(default ([\w.-]+)[);]/.exec(what);
      const value = defaultOf(verb, key);
      if (said && value !== '–') expect(value, `${name} ${notation}`).toBe(`\`${said[1] ?? said[2]}\``);
    }
  });
});

/** Every name of a JSON document, at any depth; lists of numbers and open records are not entered. */
function namesIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return namesIn(value[0]);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'assumedDims' || name === 'metadata' ? [name] : [name, ...namesIn(inner)],
  );
}

describe('JSON fields', () => {
  const folder = scratchFolder();
  const model = writeModel(folder, 'digits.onnx', digitsModel('digits-cnn'));
  const image = join(folder, 'digit.png');
  writeFileSync(image, encodePng({ width: 28, height: 28, channels: 1, pixels: new Uint8Array(784) }));

  test.each([
    ['inspect', ['inspect', model]],
    ['eval', ['eval', model, '--data', 'mnist', '--limit', '60', '--latency-samples', '2', '--threads', '1']],
    ['run', ['run', model, '--input', image, '--threads', '1']],
  ] as const)('of %s are on its page', async (name, argv) => {
    const words = new Set(pageNamed(`docs/verb-${name}.md`).text.match(/\w+/g));
    const json =
      name === 'eval' ? (JSON.parse((await cuttle([...argv, '--json'])).out) as unknown) : await jsonOf(argv);
    expect(namesIn(json).filter((field) => !words.has(field))).toEqual([]);
  });
});
