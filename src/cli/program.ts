/** @file The command: finds the verb, runs it, prints its result, turns errors into one line and an exit code. */
import { Command, CommanderError } from 'commander';
import { CuttleError, type ErrorKind } from '../ir/index.js';
import { interruptSignal } from '../platform/node/process.js';
import { openConsole, type Console } from './console.js';
import { allVerbs, InterruptedError, register } from './verb.js';
import { verbs } from './verbs/index.js';

/** DESIGN §6: 0 done, 1 failed, 2 wrong usage, 3 input invalid, 4 unsupported. */
export const exitCodes: Readonly<Record<ErrorKind, number>> = { failed: 1, usage: 2, invalid: 3, unsupported: 4 };

/**
 * Runs a command line and returns the exit code. Nothing is thrown: an error is printed as one line with its next step,
 * and with `--json` as the JSON document `{ error: { code, message, hint } }`. The signal stops it; Ctrl-C where omitted.
 */
export async function runCommand(
  argv: readonly string[],
  version: string,
  console?: Console,
  signal: AbortSignal = interruptSignal(),
): Promise<number> {
  const json = argv.includes('--json');
  const terminal = console ?? openConsole();
  let help = '';
  const output = { writeOut: (text: string) => void (help += text), writeErr: () => undefined };
  const program = new Command('cuttle')
    .description('Reshapes trained neural networks to fit the device they run on.')
    .version(version)
    .exitOverride()
    .showHelpAfterError(false)
    .configureOutput(output)
    .enablePositionalOptions();
  program.addHelpText('after', '\nEvery verb has its own help: cuttle VERB --help\n');
  for (const verb of verbs)
    register(program, verb, async (called, call) => {
      const result = await called.run({ ...call, console: terminal, signal });
      await terminal.print(json ? JSON.stringify(result.json) : result.text);
    });
  const inherit = (command: Command): void => {
    // Commands made by register() inherit neither of these.
    command.exitOverride().configureOutput(output);
    command.commands.forEach(inherit);
  };
  program.commands.forEach(inherit);

  try {
    if (argv.length === 0) {
      await terminal.print(program.helpInformation());
      return exitCodes.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      await terminal.print(help);
      return 0;
    }
    // Steps without an error of their own for it throw the signal's reason.
    const stopped = signal.aborted && !(error instanceof CuttleError);
    const said = argv.slice(0, 2).join(' ');
    const named = allVerbs(verbs).map(({ words }) => words);
    const verb = named.find((words) => words === said) ?? named.find((words) => words === argv[0]);
    return await report(stopped ? new InterruptedError() : error, json, terminal, verb);
  }
}

async function report(error: unknown, json: boolean, terminal: Console, verb: string | undefined): Promise<number> {
  const { kind, code, message, hint } = describe(error, verb);
  if (json) await terminal.print(JSON.stringify({ error: { code, message, hint } }));
  terminal.error(`${oneLine(message)}${hint === undefined ? '' : ` — ${oneLine(hint)}`}`);
  return exitCodes[kind];
}

function describe(
  error: unknown,
  verb: string | undefined,
): { kind: ErrorKind; code: string; message: string; hint: string | undefined } {
  const help = verb === undefined ? 'See: cuttle --help' : `See: cuttle ${verb} --help`;
  if (error instanceof CuttleError) {
    const { kind, code, message, hint = kind === 'usage' ? help : undefined } = error;
    return { kind, code, message, hint };
  }
  if (error instanceof CommanderError)
    return {
      kind: 'usage',
      code: 'cli/usage',
      message: error.message.replace(/^error: /, ''),
      hint: help,
    };
  // A defect of Cuttle's own: say so, with the place for the report, still without a stack trace on the terminal.
  const message = error instanceof Error ? error.message : String(error);
  const place = error instanceof Error ? /\n\s+at ([^\n]+)/.exec(error.stack ?? '')?.[1] : undefined;
  return {
    kind: 'failed',
    code: 'internal',
    message: `internal error: ${message}`,
    hint: `Please report this${place ? ` (at ${place})` : ''}.`,
  };
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');
