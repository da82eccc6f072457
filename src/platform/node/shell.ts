/** @file A command line that the user gave, run by the system's shell. */
import { exec } from 'node:child_process';
import { CuttleError } from '../../ir/index.js';

/** A user's command that failed. Exit code 1. */
export class ShellError extends CuttleError {
  constructor(command: string, why: string, cause: unknown) {
    super('failed', 'platform/shell', `the command '${command}' failed: ${why}`, {
      hint: 'Run it by hand and look at what it says.',
      cause,
    });
  }
}

/** Runs it and waits; its output is dropped. Throws ShellError where it ends with another code than 0 or takes too long. */
export function runShell(command: string, timeoutMs = 60_000): Promise<void> {
  return new Promise((resolve, reject) =>
    exec(command, { timeout: timeoutMs }, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else {
        const last = stderr.trim().split('\n').at(-1);
        reject(new ShellError(command, last === undefined || last === '' ? error.message : last, error));
      }
    }),
  );
}
