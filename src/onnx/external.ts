/** @file External data: weights that stand in files beside the model (TensorProto.external_data). */
import { OnnxFormatError } from './errors.js';

/** One stretch of one file, as a tensor asks for it. */
export interface ExternalRange {
  /** Path relative to the model's folder, as the file states it. */
  readonly location: string;
  readonly offset: number;
  /** Exactly this many bytes are wanted. */
  readonly length: number;
  /** SHA-1 of the whole file in hexadecimal, where the model states one. */
  readonly checksum: string | undefined;
  /** Name of the tensor, for messages. */
  readonly tensor: string;
}

/** Gives the bytes of a range; throws a CuttleError where it cannot. */
export type ExternalDataReader = (range: ExternalRange) => Uint8Array;

/**
 * A tensor's entries as a range of `expected` bytes.
 * Throws OnnxFormatError (`onnx/external-data`) for entries that contradict the tensor's shape or are no numbers.
 */
export function externalRange(
  tensor: string,
  entries: readonly { readonly key: string; readonly value: string }[],
  expected: number,
): ExternalRange {
  const fields = new Map(entries.map(({ key, value }) => [key, value]));
  const fail = (why: string): never => {
    throw new OnnxFormatError('external-data', `tensor '${tensor}': ${why}`);
  };
  const number = (key: string): number | undefined => {
    const text = fields.get(key);
    if (text === undefined) return undefined;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(value) ? value : fail(`its external ${key} '${text.slice(0, 40)}' is no byte count`);
  };
  const location = fields.get('location') ?? '';
  if (location === '') fail('its data is external, but no location is given');
  const length = number('length');
  if (length !== undefined && length !== expected)
    fail(`its shape needs ${expected} bytes, but its external data has ${length}`);
  return { location, offset: number('offset') ?? 0, length: expected, checksum: fields.get('checksum'), tensor };
}

/**
 * The location as a relative path below the model's folder, with `/` between its parts.
 * Throws OnnxFormatError (`onnx/external-path`) for absolute paths and for those that leave the folder.
 */
export function safeLocation(range: ExternalRange): string {
  const parts = range.location.split(/[/\\]/).filter((part) => part !== '' && part !== '.');
  const absolute = /^([/\\]|[A-Za-z]:)/.test(range.location);
  if (absolute || parts.length === 0 || parts.includes('..') || range.location.includes('\0'))
    throw new OnnxFormatError(
      'external-path',
      `tensor '${range.tensor}': its external file '${range.location.slice(0, 200)}' is outside the model's folder`,
      { hint: 'External data must stand beside the model or in a folder below it.' },
    );
  return parts.join('/');
}
