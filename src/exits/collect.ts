/** @file Runs the whole progressive model once over a set of samples and keeps every exit's logits: the memo. */
import type { Tensor } from '../ir/index.js';
import { encodeModel } from '../onnx/index.js';
import { openSession, type SessionOptions } from '../runtime/index.js';
import { checkMemo, InvalidMemoError, MEMO_BYTE_LIMIT, memoBytes, MemoTooLargeError, type Memo } from './memo.js';
import { logitsOutputs, type Progressive } from './progressive.js';

/** One batch of labelled samples. */
export interface LabelledBatch {
  readonly images: Tensor;
  readonly labels: Tensor;
}

export interface CollectOptions extends SessionOptions {
  readonly signal?: AbortSignal;
  /** Called after every batch with the number of samples so far. */
  readonly onProgress?: (samples: number) => void;
  /** Bytes that the memo may take. */
  readonly byteLimit?: number;
}

/**
 * One pass over the samples: labels, and the logits of every exit, the final one last. The order of the samples is that
 * of the batches. Throws InvalidMemoError where there are none or a logit is not finite, MemoTooLargeError beyond the
 * byte limit, and what the runtime throws.
 */
export async function collectMemo(
  progressive: Progressive,
  batches: AsyncIterable<LabelledBatch> | Iterable<LabelledBatch>,
  options: CollectOptions = {},
): Promise<Memo> {
  const { signal, onProgress, byteLimit = MEMO_BYTE_LIMIT, ...sessionOptions } = options;
  const { info, model } = progressive;
  const outputs = logitsOutputs(info);
  const labels: Int32Array[] = [];
  const chunks: Float32Array[][] = outputs.map(() => []);
  let samples = 0;
  await using session = await openSession(encodeModel(model), sessionOptions);
  for await (const batch of batches) {
    const given = batch.labels.numbers();
    samples += given.length;
    const bytes = memoBytes(samples, info.classes, outputs.length);
    if (bytes > byteLimit) throw new MemoTooLargeError(bytes, byteLimit);
    const results = await session.run({ [info.input]: batch.images }, { outputs, ...(signal && { signal }) });
    labels.push(Int32Array.from(given));
    outputs.forEach((name, exit) => {
      const logits = results[name]!.data as Float32Array;
      if (logits.length !== given.length * info.classes)
        throw new InvalidMemoError(`a batch has ${given.length} labels, but exit ${exit} gave ${logits.length} logits`);
      chunks[exit]!.push(logits);
    });
    onProgress?.(samples);
  }
  const memo: Memo = {
    labels: join(labels, new Int32Array(samples)),
    classes: info.classes,
    logits: chunks.map((parts) => join(parts, new Float32Array(samples * info.classes))),
  };
  if (samples === 0) throw new InvalidMemoError('there are no samples to collect a memo from');
  checkMemo(memo);
  return memo;
}

function join<T extends Int32Array | Float32Array>(parts: readonly T[], into: T): T {
  let at = 0;
  for (const part of parts) {
    into.set(part, at);
    at += part.length;
  }
  return into;
}
