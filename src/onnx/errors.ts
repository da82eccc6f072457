/** @file What can be wrong with an ONNX file: it is broken or not ONNX (exit code 3), or newer or older than supported (4). */
import { CuttleError } from '../ir/index.js';

/** The bytes are no valid ONNX model, or exceed a limit. Exit code 3. Codes are `onnx/<what>`. */
export class OnnxFormatError extends CuttleError {
  constructor(what: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', `onnx/${what}`, oneLine(message), options);
  }
}

/** A valid file that uses something Cuttle does not support: an old opset, an unknown element type. Exit code 4. */
export class OnnxUnsupportedError extends CuttleError {
  constructor(what: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('unsupported', `onnx/${what}`, oneLine(message), options);
  }
}

/** Names in a hostile file may hold anything: control characters become `·`, and the length stays bounded. */
function oneLine(message: string): string {
  const line = message.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·');
  return line.length <= 500 ? line : `${line.slice(0, 400)} … ${line.slice(-80)}`;
}

/** Runs `read` and puts the file's name before the message of any format error that it throws. */
export function namingSource<T>(source: string | undefined, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (source === undefined || !(error instanceof CuttleError)) throw error;
    const options = { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) };
    const what = error.code.replace(/^onnx\//, '');
    const message = `${source}: ${error.message}`;
    throw error.kind === 'unsupported'
      ? new OnnxUnsupportedError(what, message, options)
      : new OnnxFormatError(what, message, options);
  }
}
