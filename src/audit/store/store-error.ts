/** @file What can go wrong with the store: no database library, a file that is none, a question that is none. */
import { CuttleError, type ErrorKind } from '../../ir/index.js';
import { shown } from '../errors.js';

/** The store cannot do it. Codes are `audit/store-<what>`; messages are one line. */
export class StoreError extends CuttleError {
  constructor(
    kind: ErrorKind,
    what: string,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(kind, `audit/store-${what}`, shown(message, 600), options);
  }
}

/** The first line of what the database says, without the excerpt of the statement below it. */
export function databaseMessage(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  const lines = message.split('\n').filter((line) => line.trim() !== '' && !/^\s*\^|^LINE \d+:/.test(line));
  const first = lines[0] ?? 'the database gave no reason';
  const hint = lines.find((line) => line.startsWith('Did you mean') || line.startsWith('Candidate'));
  return (hint === undefined ? first : `${first} ${hint}`).replace(/^Failed to extract statements: /, '');
}
