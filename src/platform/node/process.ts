/** @file The process Cuttle's command runs in: its streams, its interrupt, its exit code. */
import process from 'node:process';

/** Words after the program's own name. */
export function commandLine(): readonly string[] {
  return process.argv.slice(2);
}

/** Writes to standard output, whole, however slowly the reader takes it. */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) =>
    process.stdout.write(text, (error?: Error | null) => {
      // A reader that has left (`| head`) is no failure of ours.
      if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') reject(error);
      else resolve();
    }),
  );
}

/** Writes to standard error. */
export function writeErr(text: string): void {
  process.stderr.write(text);
}

/** Width of the terminal on standard error in characters, or `undefined` where it is no terminal. */
export function terminalWidth(): number | undefined {
  return process.stderr.isTTY ? process.stderr.columns || 80 : undefined;
}

/** Aborts on Ctrl-C or SIGTERM; a second one ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return controller.signal;
}

/** Ends the process with this code once everything pending has been written. */
export function setExitCode(code: number): void {
  process.exitCode = code;
}

/** An environment variable. */
export function environment(name: string): string | undefined {
  return process.env[name];
}
