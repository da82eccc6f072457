/** @file Remote items brought here one by one as a run asks for them, kept or removed afterwards. */
import { CuttleError } from '../../ir/index.js';
import { fileInfo, joinPath } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import type { Fetch } from '../run/run.js';
import type { Fetcher } from './fetcher.js';

export interface RemoteOptions {
  /** Where files arrive. What is there under its checksum is not fetched. */
  readonly folder: string;
  /** Whether they stay there when they have been audited. */
  readonly keep: boolean;
  /** Of AndroZoo's API; added to its addresses and shown nowhere. */
  readonly androzooKey?: string;
}

/** Largest app that is fetched. */
const MAX_APP_BYTES = 8 * 2 ** 30;

/** How a run gets its remote items. What the server refuses is told as unavailable; a full disk ends the run. */
export function remoteFetch(fetcher: Fetcher, { folder, keep, androzooKey }: RemoteOptions): Fetch {
  return async (item, signal) => {
    const { kind, url, bytes } = item;
    if (url === undefined) return { status: 'unavailable', reason: 'it has no address' };
    // Addresses of unknown contents get a name of their own: two of them may change apart.
    const path = joinPath(folder, item.sha256 === undefined ? `${sha256(url)}.url` : `${item.sha256}.apk`);
    if ((await fileInfo(path)) === undefined)
      try {
        await fetcher.download(url, path, {
          maxBytes: MAX_APP_BYTES,
          signal,
          ...(item.sha256 !== undefined && { sha256: item.sha256 }),
          ...(bytes !== undefined && { bytes }),
          ...(kind === 'androzoo' && androzooKey !== undefined && { secrets: { apikey: androzooKey } }),
        });
      } catch (cause) {
        if (!(cause instanceof CuttleError) || cause.code !== 'audit/fetch') throw cause;
        return { status: 'unavailable', reason: cause.message };
      }
    return { status: 'here', file: path, remove: !keep };
  };
}
