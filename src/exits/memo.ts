/** @file The memo: every exit's logits for every calibration sample, taken in one pass, from which any design is evaluated by look-up. */
import { CuttleError } from '../ir/index.js';

/** A memo whose parts do not fit each other, or whose bytes are not a memo. Exit code 3. */
export class InvalidMemoError extends CuttleError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super('invalid', 'exits/invalid-memo', message, options);
  }
}

/** A memo that would not fit in memory. Exit code 1. */
export class MemoTooLargeError extends CuttleError {
  constructor(bytes: number, limit: number) {
    super('failed', 'exits/memo-too-large', `the memo would take ${bytes} bytes, more than the limit of ${limit}`, {
      hint: 'Use fewer calibration samples or candidates, or collect score tables directly (ScoreCollector).',
    });
  }
}

/**
 * Logits of all exits over one set of samples. Exits are in execution order; the last is the network's own (final) one,
 * so a network with N candidates has N + 1 entries.
 */
export interface Memo {
  /** Right class per sample, in [0, classes). */
  readonly labels: Int32Array;
  readonly classes: number;
  /** Per exit: samples × classes, row-major, before softmax and temperature. */
  readonly logits: readonly Float32Array[];
}

/** Score tables hold classes as 16-bit numbers. */
export const MAX_CLASSES = 65536;

/** Memory that `allocateMemo` grants where no limit is given. */
export const MEMO_BYTE_LIMIT = 2 ** 31;

const MAGIC = [0x43, 0x55, 0x54, 0x4d]; // 'CUTM'
const VERSION = 1;
const HEADER_BYTES = 20;

/** Bytes of a memo: 4 per label and 4 per logit. `exits` counts the final one. */
export function memoBytes(samples: number, classes: number, exits: number): number {
  return 4 * samples * (1 + classes * exits);
}

/**
 * An empty memo for the given labels, to be filled exit by exit. `exits` counts the final one.
 * Throws InvalidMemoError for labels out of range, MemoTooLargeError where it would exceed `byteLimit`.
 */
export function allocateMemo(labels: Int32Array, classes: number, exits: number, byteLimit = MEMO_BYTE_LIMIT): Memo {
  const bytes = memoBytes(labels.length, classes, exits);
  if (bytes > byteLimit) throw new MemoTooLargeError(bytes, byteLimit);
  checkLabels(labels, classes);
  return {
    labels,
    classes,
    logits: Array.from({ length: exits }, () => new Float32Array(labels.length * classes)),
  };
}

/** Throws InvalidMemoError unless the labels are classes, every exit has samples × classes logits, and all are finite. */
export function checkMemo(memo: Memo): void {
  checkLabels(memo.labels, memo.classes);
  if (memo.logits.length === 0) throw new InvalidMemoError('a memo needs at least the final exit');
  memo.logits.forEach((logits, exit) => {
    if (logits.length !== memo.labels.length * memo.classes)
      throw new InvalidMemoError(
        `exit ${exit} has ${logits.length} logits for ${memo.labels.length} samples of ${memo.classes} classes`,
      );
    for (let i = 0; i < logits.length; i++)
      if (!Number.isFinite(logits[i]!))
        throw new InvalidMemoError(
          `exit ${exit} has a logit that is not finite, for sample ${Math.floor(i / memo.classes)}`,
          {
            hint: 'Its head has diverged: train it again with a smaller learning rate, or leave this exit out.',
          },
        );
  });
}

/**
 * A memo as bytes: 'CUTM', then little-endian 32-bit version, samples, classes, exits, labels, logits exit by exit.
 */
export function encodeMemo(memo: Memo): Uint8Array {
  checkMemo(memo);
  const samples = memo.labels.length;
  const bytes = new Uint8Array(HEADER_BYTES + memoBytes(samples, memo.classes, memo.logits.length));
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  [VERSION, samples, memo.classes, memo.logits.length].forEach((value, i) => view.setUint32(4 + 4 * i, value, true));
  let offset = HEADER_BYTES;
  for (const part of [memo.labels, ...memo.logits]) {
    bytes.set(littleEndian(new Uint8Array(part.buffer, part.byteOffset, part.byteLength)), offset);
    offset += part.byteLength;
  }
  return bytes;
}

/** Reads `encodeMemo`'s bytes. Throws InvalidMemoError for anything else, before it allocates. */
export function decodeMemo(bytes: Uint8Array): Memo {
  const fail = (why: string): never => {
    throw new InvalidMemoError(`these bytes are no exit memo: ${why}`);
  };
  if (bytes.length < HEADER_BYTES || MAGIC.some((value, i) => bytes[i] !== value)) fail('the signature is missing');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, samples, classes, exits] = [4, 8, 12, 16].map((at) => view.getUint32(at, true)) as [
    number,
    number,
    number,
    number,
  ];
  if (version !== VERSION) fail(`version ${version} is not ${VERSION}`);
  if (bytes.length !== HEADER_BYTES + memoBytes(samples, classes, exits))
    fail(`${bytes.length} bytes do not hold ${samples} samples, ${classes} classes, ${exits} exits`);
  // One copy makes the numbers aligned wherever the bytes came from; a Buffer's own slice() would share its memory.
  const body = littleEndian(new Uint8Array(bytes.subarray(HEADER_BYTES))).buffer as ArrayBuffer;
  const memo: Memo = {
    labels: new Int32Array(body, 0, samples),
    classes,
    logits: Array.from(
      { length: exits },
      (_, exit) => new Float32Array(body, 4 * samples * (1 + classes * exit), samples * classes),
    ),
  };
  checkMemo(memo);
  return memo;
}

/** The part of a memo that concerns some samples (a split into calibration and test), copied. */
export function selectSamples(memo: Memo, samples: Uint32Array): Memo {
  const { classes } = memo;
  return {
    labels: Int32Array.from(samples, (sample) => memo.labels[sample]!),
    classes,
    logits: memo.logits.map((logits) => {
      const kept = new Float32Array(samples.length * classes);
      samples.forEach((sample, i) => kept.set(logits.subarray(sample * classes, (sample + 1) * classes), i * classes));
      return kept;
    }),
  };
}

function checkLabels(labels: Int32Array, classes: number): void {
  if (!Number.isInteger(classes) || classes < 2 || classes > MAX_CLASSES)
    throw new InvalidMemoError(`${classes} classes are not between 2 and ${MAX_CLASSES}`);
  labels.forEach((label, sample) => {
    if (label < 0 || label >= classes)
      throw new InvalidMemoError(`sample ${sample} has label ${label}, outside 0 to ${classes - 1}`);
  });
}

/** Swaps 32-bit words on the rare big-endian machine; the bytes themselves elsewhere. */
function littleEndian(bytes: Uint8Array): Uint8Array {
  if (new Uint8Array(new Uint32Array([1]).buffer)[0] === 1) return bytes;
  const swapped = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) swapped[i] = bytes[i ^ 3]!;
  return swapped;
}
