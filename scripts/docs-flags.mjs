/**
 * @file Fills the flag tables and examples of docs/verb-*.md from the program's own table. Run after `npm run build`.
 *
 * node scripts/docs-flags.mjs
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const camel = (flag) => flag.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
const cell = (text) => text.replaceAll('|', '\\|');

/** What an option is where nobody gives it: its default, `required`, or a dash. */
export function defaultOf(verb, key) {
  // `--no-x` switches off the option `x`, which is on by default.
  const negated = key.replace(/^no([A-Z])/, (_, letter) => letter.toLowerCase());
  if (negated !== key && verb.options.shape[negated] !== undefined) return 'off';
  const schema = verb.options.shape[key];
  if (schema === undefined) throw new Error(`${verb.name} has a flag without an option: ${key}`);
  const parsed = schema.safeParse(undefined);
  if (!parsed.success) return '**required**';
  const value = parsed.data;
  if (value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)) return '–';
  // What is read into objects is shown as its flag words it.
  if (Array.isArray(value) && value.some((each) => typeof each === 'object')) {
    const words = verb.flags.find(([notation]) => camel(/^--([\w-]+)/.exec(notation)[1]) === key)?.[1];
    return `\`${/\(default ([^)]*)\)/.exec(words ?? '')?.[1] ?? '–'}\``;
  }
  return value === false ? 'off' : `\`${String(value)}\``;
}

/** Markdown table of a verb's flags. */
export function flagsTable(verb) {
  const rows = verb.flags.map(([notation, what]) => {
    const key = camel(/^--([\w-]+)/.exec(notation)[1]);
    return `| \`${cell(notation)}\` | ${defaultOf(verb, key)} | ${cell(what)} |`;
  });
  const json = '| `--json` | off | print one JSON document on standard output and nothing else |';
  return ['| flag | default | meaning |', '| --- | --- | --- |', ...rows, json].join('\n');
}

/** A verb's own examples as a code block. */
export const examplesBlock = (verb) => ['```sh', ...verb.examples, '```'].join('\n');

/** The text of a verb's page with both parts filled in. */
export function fillVerbPage(text, verb) {
  const fill = (name, content) => (page) =>
    page.replace(
      new RegExp(`<!-- ${name} -->[\\s\\S]*?<!-- /${name} -->`),
      () => `<!-- ${name} -->\n\n${content}\n\n<!-- /${name} -->`,
    );
  return fill('examples', examplesBlock(verb))(fill('flags', flagsTable(verb))(text));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { verbs } = await import('../dist/cli/verbs/index.js');
  const { allVerbs } = await import('../dist/cli/verb.js');
  const docs = new URL('../docs/', import.meta.url);
  for (const file of readdirSync(docs)) {
    const verb = allVerbs(verbs).find(({ words }) => file === `verb-${words.replaceAll(' ', '-')}.md`)?.verb;
    if (verb === undefined) continue;
    const page = new URL(file, docs);
    writeFileSync(page, fillVerbPage(readFileSync(page, 'utf8'), verb));
  }
}
