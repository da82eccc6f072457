/** @file Other runs of this very program as child processes, and what they tell their parent. */
import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** A child process under way. */
export interface ChildRun {
  /** Exit code, or `null` where a signal ended it. Never rejects: a child that cannot start ends with code 1 and says why as a line. */
  readonly ended: Promise<number | null>;
  /** Asks it to stop as Ctrl-C does; a second time it ends at once. */
  interrupt(): void;
  /** Ends it without asking. */
  kill(): void;
}

export interface ChildRunOptions {
  readonly cwd: string;
  /** Each line on standard error. */
  readonly onLine: (line: string) => void;
  /** Each message sent with `tellParent`. */
  readonly onMessage: (message: unknown) => void;
  /** What it wrote to standard output, once it has ended. */
  readonly onOutput: (text: string) => void;
}

/** More than that of one child's standard output is thrown away. */
const MAX_OUTPUT = 2 ** 24;

/** Starts a script of the package under this Node with words as its command line; no shell is involved. */
export function startChildRun(script: URL, words: readonly string[], options: ChildRunOptions): ChildRun {
  const child = spawn(process.execPath, [fileURLToPath(script), ...words], {
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let rest = '';
  let output = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split(/\r?\n|\r/);
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') options.onLine(line);
  });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < MAX_OUTPUT) output += text;
  });
  child.on('message', (message) => options.onMessage(message));
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', (error) => {
      options.onLine(`error: ${error.message}`);
      resolve(1);
    });
    child.on('close', (code) => {
      if (rest.trim() !== '') options.onLine(rest);
      options.onOutput(output);
      resolve(code);
    });
  });
  return { ended, interrupt: () => void child.kill('SIGINT'), kill: () => void child.kill('SIGKILL') };
}

/** Tells the process that started this one with `startChildRun`; nothing happens where nobody did. */
export function tellParent(message: unknown): void {
  if (process.connected === true) process.send?.(message);
}
