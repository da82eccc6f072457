/** @file What can be wrong with an app, an archive or a file inside one: broken or beyond a limit (exit code 3), or of a kind that is not read (4). */
import { CuttleError, type ErrorKind } from '../ir/index.js';

/** Foreign bytes that break their format or exceed a limit. Codes are `audit/<what>`; messages are one bounded line. */
export class AuditError extends CuttleError {
  constructor(
    what: string,
    message: string,
    options: { readonly kind?: ErrorKind; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    const { kind = 'invalid', ...rest } = options;
    super(kind, `audit/${what}`, shown(message, 500), rest);
  }
}

/** Text from a hostile file, fit for one line: control characters become `·`, and the middle of a long one goes. */
export function shown(text: string, most = 200): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '·');
  return line.length <= most ? line : `${line.slice(0, most - 60)} … ${line.slice(-50)}`;
}
