/** @file Docs and program say the same: verbs, flags, defaults, examples, JSON fields. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { allVerbs, register, type Verb } from '../../src/cli/verb.js';
import { verbs } from '../../src/cli/verbs/index.js';
import { encodePng } from '../../src/report/index.js';
import { cuttle, digitsModel, scratchFolder, writeModel } from '../cli/cli.js';
import { inlineCommands, pageNamed, pages, script, shellCommands } from './docs.js';

/** Parses a command line as the program does, and checks its options; the verb does not run. */
async function understands(words: readonly string[]): Promise<void> {
  const silent = { writeErr: () => undefined };
  const program = new Command('cuttle').exitOverride().configureOutput(silent).enablePositionalOptions();
  for (const verb of verbs) register(program, verb, async () => undefined);
  const inherit = (command: Command): void => {
    command.exitOverride().configureOutput(silent);
    command.commands.forEach(inherit);
  };
  program.commands.forEach(inherit);
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
        const inner = allVerbs(verbs).find((candidate) => candidate.words === `${name} ${words[0]}`);
        const verb = inner?.verb ?? verbs.find((candidate) => candidate.name === name);
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

describe.each(allVerbs(verbs).map(({ words, verb }) => [words, verb] as const))('the page of %s', (words, verb) => {
  const name = words.replaceAll(' ', '-');
  test('is listed in the index', () => {
    expect(pageNamed('docs/README.md').text).toContain(`[cuttle ${words}](verb-${name}.md)`);
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

/** Parts with names of their own: descriptions of devices, metadata, classes' and dimensions' sizes. */
const OPEN = new Set(['assumedDims', 'metadata', 'device', 'inputs', 'memory']);

/** Every name of a JSON document, at any depth but in open parts; of a list, those of its first item. */
function namesIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return namesIn(value[0]);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => (OPEN.has(name) ? [name] : [name, ...namesIn(inner)]));
}

describe('JSON fields', () => {
  const folder = scratchFolder();
  const model = writeModel(folder, 'digits.onnx', digitsModel('digits-cnn'));
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('digit.png'), encodePng({ width: 28, height: 28, channels: 1, pixels: new Uint8Array(784) }));
  const few = '--data mnist --limit 300 --threads 1'.split(' ');
  const quick = '--epochs 1 --max-exits 2 --head pool --latency-samples 2 --effort 200 --budget 95% 100%'.split(' ');
  const calls: Readonly<Record<string, readonly string[]>> = {
    inspect: [model],
    profile: [model, '--runs', '3', '--warm-up', '1', '--threads', '1'],
    eval: [model, ...few, '--latency-samples', '2'],
    run: [model, '--input', at('digit.png'), '--threads', '1'],
    train: ['--arch', 'lenet-5', ...few, '--epochs', '1', '--out', at('trained.onnx')],
    adapt: [model, ...few, ...quick, '--out', at('adapted')],
  };

  test.each(Object.entries(calls))('of %s are on its page', async (name, argv) => {
    const words = new Set(pageNamed(`docs/verb-${name}.md`).text.match(/[\w-]+/g));
    const { code, out, err } = await cuttle([name, ...argv, '--json']);
    expect({ code, err: code === 0 ? [] : err }).toEqual({ code: 0, err: [] });
    expect(namesIn(JSON.parse(out)).filter((field) => !words.has(field))).toEqual([]);
  });
});
