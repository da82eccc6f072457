/** @file Streams made into sources: in memory while small, outside it beyond. */
import { joinBytes } from '../../platform/index.js';
import { AuditError } from '../errors.js';
import { bytesSource, type HeldSource } from '../source.js';
import { type ArchiveHost } from './host.js';

/**
 * Holds a stream: up to `maxMemoryBytes` in memory, else wherever the host keeps it.
 * Throws AuditError where it is larger and the host has no place.
 */
export async function holdStream(
  chunks: AsyncIterable<Uint8Array>,
  host: ArchiveHost,
  maxMemoryBytes: number,
): Promise<HeldSource> {
  const held: Uint8Array[] = [];
  let total = 0;
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await iterator.next();
      if (next.done) return bytesSource(joinBytes(held));
      held.push(next.value);
      total += next.value.length;
      if (total > maxMemoryBytes) break;
    }
    if (host.spill === undefined)
      throw new AuditError('too-large', `more than ${maxMemoryBytes} bytes come out, and there is no temporary file`, {
        hint: 'Raise maxMemoryBytes, or read the app in Node.',
      });
    return await host.spill(rest(held, iterator));
  } finally {
    await iterator.return?.();
  }
}

async function* rest(held: Uint8Array[], iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let chunk = held.shift(); chunk !== undefined; chunk = held.shift()) yield chunk;
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
}
