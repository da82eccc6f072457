/** @file The one base class of every error a user may see: a stable code, what went wrong, and the next step. */

/** What the CLI turns into its exit code: 1 failed, 2 usage, 3 invalid, 4 unsupported (DESIGN: CLI contract). */
export type ErrorKind = 'failed' | 'usage' | 'invalid' | 'unsupported';

const BRAND = Symbol.for('cuttle.error');

/**
 * Base of all Cuttle errors. Sub-classes live beside their cause and fix `kind` and `code`.
 * `instanceof` works across duplicate installs of the package, because the check reads a brand, not a prototype.
 */
export class CuttleError extends Error {
  readonly kind: ErrorKind;
  /** Stable, machine-readable: `onnx/truncated`, `ops/no-gradient` … */
  readonly code: string;
  /** What the reader can do next, as one sentence. */
  readonly hint: string | undefined;
  readonly [BRAND] = true;

  constructor(kind: ErrorKind, code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.kind = kind;
    this.code = code;
    this.hint = options.hint;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== CuttleError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

/** A graph or tensor breaks one of the IR's own rules (dangling value, wrong byte count …). */
export class InvalidGraphError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'ir/invalid-graph', message, options);
  }
}
