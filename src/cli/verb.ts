/** @file What a verb is: its words on the command line, its typed options, its work. */
import type { Command } from 'commander';
import { z } from 'zod';
import { CuttleError } from '../ir/index.js';
import type { Console } from './console.js';

export interface VerbContext<Options> {
  readonly args: readonly string[];
  readonly options: Options;
  readonly console: Console;
  /** Aborts on Ctrl-C: save what was computed, then throw. */
  readonly signal: AbortSignal;
}

/** What a verb has to say: one JSON document, and the same for people. */
export interface VerbResult {
  readonly json: unknown;
  readonly text: string;
}

export interface Verb<Options = unknown> {
  readonly name: string;
  readonly summary: string;
  /** Positional arguments in commander's notation: `<model>`, `[file...]`. */
  readonly args: readonly (readonly [notation: string, what: string])[];
  /** Options in commander's notation. */
  readonly flags: readonly (readonly [notation: string, what: string])[];
  /** Checks and types the options; its messages become usage errors. */
  readonly options: z.ZodType<Options>;
  /** Command lines that work as printed after `npm run demo` or in an empty folder. */
  readonly examples: readonly string[];
  /** Verbs of its own, said after it: `cuttle audit query`. Where none is said, it runs itself. */
  readonly verbs?: readonly Verb[];
  run(context: VerbContext<Options>): Promise<VerbResult>;
}

/** Keeps the options' type inferred from the schema. */
export function defineVerb<Options>(verb: Verb<Options>): Verb<Options> {
  return verb;
}

/** Words on the command line that cannot be understood. Exit code 2. */
export class UsageError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('usage', 'cli/usage', message, hint === undefined ? {} : { hint });
  }
}

/** Ctrl-C in a step that has nothing of its own to say about it. Exit code 1. */
export class InterruptedError extends CuttleError {
  constructor() {
    super('failed', 'cli/interrupted', 'interrupted', {
      hint: 'Run the same command again: what was saved is not computed again.',
    });
  }
}

/** A verb and the words that call it: `audit query`. */
export interface NamedVerb {
  readonly words: string;
  readonly verb: Verb;
}

/** Verbs and the verbs inside them, each after the one that it belongs to. */
export function allVerbs(verbs: readonly Verb[], prefix = ''): readonly NamedVerb[] {
  return verbs.flatMap((verb) => [
    { words: prefix + verb.name, verb },
    ...allVerbs(verb.verbs ?? [], `${prefix}${verb.name} `),
  ]);
}

/** What a command line calls: a verb, with its words and its checked options. */
export type VerbCall = Omit<VerbContext<unknown>, 'console' | 'signal'>;

/** Adds a verb, and those inside it, to the program or to the verb that it belongs to. */
export function register(
  program: Command,
  verb: Verb,
  act: (verb: Verb, call: VerbCall) => Promise<void>,
  prefix = '',
): void {
  const command = program.command(verb.name).summary(verb.summary).description(verb.summary);
  for (const [notation, what] of verb.args) command.argument(notation, what);
  for (const [notation, what] of verb.flags) command.option(notation, what);
  command.option('--json', 'print one JSON document on standard output and nothing else');
  command.addHelpText('after', `\nExamples:\n${verb.examples.map((example) => `  ${example}`).join('\n')}\n`);
  command.action(async () => {
    const parsed = verb.options.safeParse(command.opts());
    if (!parsed.success) {
      const issue = parsed.error.issues[0]!;
      throw new UsageError(
        `--${flagName(String(issue.path[0] ?? ''))}: ${issue.message}`,
        `See: cuttle ${prefix}${verb.name} --help`,
      );
    }
    await act(verb, {
      args: command.processedArgs.flat().filter((arg): arg is string => typeof arg === 'string'),
      options: parsed.data,
    });
  });
  if (verb.verbs === undefined) return;
  // Options after an inner verb are its own, also where both have one of that name.
  command.enablePositionalOptions();
  for (const inner of verb.verbs) register(command, inner, act, `${prefix}${verb.name} `);
}

const flagName = (option: string): string => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Reusable option types. */
export const option = {
  /** A whole number of at least `min`. */
  count: (min = 1) =>
    z.coerce.number('is not a number').int('must be a whole number').min(min, `must be at least ${min}`),
  /** A number above zero. */
  positive: () => z.coerce.number('is not a number').positive('must be above zero'),
  seed: () => z.coerce.number('is not a number').int('must be a whole number').default(0),
  flag: () => z.boolean().default(false),
  text: () => z.string(),
  /** An amount of memory: a number with B, kB, MB, GB, KiB, MiB or GiB. */
  bytes: () =>
    z.string().transform((text, context) => {
      const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b$/i.exec(text.trim());
      if (match === null) {
        context.addIssue({ code: 'custom', message: `'${text}' is not an amount of memory such as 500MB or 2GiB` });
        return z.NEVER;
      }
      const power = ['', 'k', 'm', 'g'].indexOf(match[2]!.toLowerCase());
      return Math.round(Number(match[1]) * (match[3] === '' ? 1000 : 1024) ** power);
    }),
  /** Numbers separated by commas. */
  numbers: () =>
    z.string().transform((text, context) => {
      const numbers = text.split(',').map(Number);
      if (!text.trim() || numbers.some(Number.isNaN)) {
        context.addIssue({ code: 'custom', message: `'${text}' is not a list of numbers such as 0.5,0.5,0.5` });
        return z.NEVER;
      }
      return numbers;
    }),
} as const;
