/** @file Entries of a small archive that is held in memory: for models that are bundles. */
import { unzipSync } from 'fflate';
import { AuditError } from '../errors.js';
import type { ReadBudget } from './limits.js';

/**
 * The wanted entries of a ZIP by name. Throws AuditError where it is damaged, or where they claim more bytes than a file may have.
 */
export function zipEntries(
  bytes: Uint8Array,
  wanted: (name: string) => boolean,
  budget: ReadBudget,
): ReadonlyMap<string, Uint8Array> {
  let total = 0;
  try {
    const files = unzipSync(bytes, {
      filter: ({ name, originalSize, size, compression }) => {
        budget.spend(1);
        if (!wanted(name)) return false;
        // Deflate cannot grow by more than 1032 times: a claim beyond that is a lie, and its buffer would be made first.
        if (originalSize > 1032 * (size + 64) || size > bytes.length)
          throw budget.invalid('limit', `'${name}' claims ${originalSize} bytes`);
        total += originalSize;
        if (total > budget.limits.maxUnpackedBytes)
          throw budget.invalid('limit', `its entries have more than ${budget.limits.maxUnpackedBytes} bytes`);
        return compression === 0 || compression === 8;
      },
    });
    return new Map(Object.entries(files));
  } catch (cause) {
    if (cause instanceof AuditError) throw cause;
    throw budget.invalid('archive', 'its archive is damaged');
  }
}
