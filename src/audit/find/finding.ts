/** @file What finding a model says: its format, where it lies, how sure that is and why. */
import type { ModelFormat } from '../formats.js';
import type { AuditModel } from '../read/index.js';

/**
 * `observed`: a signature stands there and the structure behind it was read. `derived`: follows from structure without a
 * signature, or from a signature whose format is not read. `suspected`: follows from names and statistics alone.
 */
export type Confidence = 'observed' | 'derived' | 'suspected';

export interface Finding {
  readonly format: ModelFormat;
  readonly path: string;
  /** Where it begins in the file. */
  readonly offset: number;
  /** Bytes known to belong to it. */
  readonly length: number;
  readonly confidence: Confidence;
  /** Facts that speak for it, each one sentence part. */
  readonly evidence: readonly string[];
  /** How the bytes are hidden, where they are. */
  readonly disguise?: 'embedded' | 'renamed' | 'xor' | 'zlib' | 'deflate' | 'base64' | 'encrypted';
  /** Its layers, as they were read; absent where the format is not read. Holds its bytes. */
  readonly model?: () => AuditModel;
}
