/** @file Drives the command: in this process with a console that listens, or as a process of its own. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { Console } from '../../src/cli/console.js';
import { runCommand } from '../../src/cli/program.js';
import { writeClasses, writePreprocessing } from '../../src/data/index.js';
import type { Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

/** What a command did. */
export interface Outcome {
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error, by line. */
  readonly err: readonly string[];
}

/** A folder that goes away with the test file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface InProcess {
  /** Aborted by the test where it plays Ctrl-C. */
  readonly signal?: AbortSignal;
  /** Hears every line on standard error, and every progress report as `label done/total`. */
  readonly onLine?: (line: string) => void;
}

/** Runs a command line in this process. */
export async function cuttle(argv: readonly string[], { signal, onLine }: InProcess = {}): Promise<Outcome> {
  const err: string[] = [];
  let out = '';
  const line = (text: string): void => {
    err.push(...text.split('\n'));
    onLine?.(text);
  };
  const console: Console = {
    log: line,
    warn: (text) => line(`warning: ${text}`),
    error: (text) => line(`error: ${text}`),
    progress: (label, total) => ({
      update: (done) => onLine?.(`${label} ${done}/${total}`),
      end: () => undefined,
    }),
    print: async (text) => void (out += text),
  };
  const code = await runCommand(argv, '0.0.0-test', console, signal ?? new AbortController().signal);
  return { code, out, err };
}

/** The JSON document of a command that succeeds. Fails the test where it does not, or prints anything else. */
export async function jsonOf(argv: readonly string[], options?: InProcess): Promise<Record<string, unknown>> {
  const { code, out, err } = await cuttle([...argv, '--json'], options);
  expect({ code, err: code === 0 ? [] : err }).toEqual({ code: 0, err: [] });
  return JSON.parse(out) as Record<string, unknown>;
}

/** Expects one line that names the thing and the next step, and returns it. */
export function expectRefusal(outcome: Outcome, code: number, names: RegExp): string {
  const text = outcome.err.join('\n');
  expect({ code: outcome.code, text }).toEqual({ code, text });
  const errors = outcome.err.filter((line) => line.startsWith('error: '));
  expect(errors, text).toHaveLength(1);
  expect(errors[0]).toMatch(names);
  // The next step follows the dash.
  expect(errors[0]).toMatch(/ — \S.{5,}/);
  expect(text).not.toMatch(/\n\s+at |internal error|: undefined|\[object|NaN/);
  return errors[0]!;
}

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** False where the command is not built; suites that start processes then skip and say so. */
export const isBuilt = existsSync(main);
if (!isBuilt) console.warn('skipped: dist/ is not built (npm run build)');

export interface Started {
  readonly ended: Promise<Outcome>;
  interrupt(): void;
}

/** Starts the built command as a process of its own. */
export function start(argv: readonly string[], cwd: string, onLine?: (line: string) => void): Started {
  const child = spawn(process.execPath, [main, ...argv], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    for (const line of text.split('\n')) onLine?.(line);
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      signal === null
        ? resolve({ code: code!, out, err: err.split('\n').filter(Boolean) })
        : reject(new Error(`ended by ${signal}`)),
    );
  });
  return { ended, interrupt: () => void child.kill('SIGINT') };
}

const digits = Array.from({ length: 10 }, (_, digit) => String(digit));

/** An untrained classifier of digits that says how its input is made. */
export function digitsModel(architecture = 'lenet-5', seed = 0): Model {
  const built = buildArchitecture(architecture, { classes: 10, input: [1, 28, 28], seed });
  const preprocessing = { height: 28, width: 28, channels: 'gray', mean: [0], std: [1] } as const;
  return writeClasses(writePreprocessing(built, preprocessing), digits);
}

/** Writes a model and returns its path. */
export function writeModel(folder: string, name: string, model: Model): string {
  const path = join(folder, name);
  writeFileSync(path, encodeModel(model));
  return path;
}
