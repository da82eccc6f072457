/** @file Errors of packing: a request that cannot be packed, a frame that cannot be read, a codec that is not installed. */
import { CuttleError } from '../../ir/index.js';

/** A bit-width, layout or tensor that cannot be packed. Exit code 2. */
export class PackingError extends CuttleError {
  constructor(message: string, hint?: string) {
    super('usage', 'split/packing', message, hint === undefined ? {} : { hint });
  }
}

/** Bytes that are no frame, a broken one, or one beyond the limits. Exit code 3. */
export class FrameError extends CuttleError {
  constructor(message: string, cause?: unknown) {
    super('invalid', 'split/frame', `these bytes are no valid frame: ${message}`, {
      hint: 'Both ends must speak the same frame version (docs/split-frames.md).',
      cause,
    });
  }
}

/** A codec whose package is not installed. Exit code 1. */
export class CodecMissingError extends CuttleError {
  constructor(codec: string, needed: string, cause?: unknown) {
    super('failed', 'split/no-codec', `the codec '${codec}' is not available here`, {
      hint: `Install ${needed}, or pack with lz4 or deflate, which need nothing.`,
      cause,
    });
  }
}
