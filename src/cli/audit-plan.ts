/** @file What `cuttle audit` is asked to audit, as a plan, and how what is elsewhere gets here. */
import {
  androzooItems,
  fdroidItems,
  Fetcher,
  findFiles,
  remoteFetch,
  urlItems,
  type Fetch,
  type Plan,
  type PlanItem,
} from '../audit/node.js';
import { joinPath, resolvePath } from '../platform/node/files.js';
import { packageVersion } from '../platform/node/package.js';
import { environment } from '../platform/node/process.js';
import type { AuditOptions } from './audit-options.js';
import { UsageError } from './verb.js';

/** Sources of one run. */
export interface AuditSources {
  /** What is asked, for `run.json`: the same again resumes the run. */
  readonly asked: Readonly<Record<string, unknown>>;
  plan(): Promise<Plan>;
  /** `undefined` where everything is on this machine. */
  readonly fetch: Fetch | undefined;
  /** Where files arrive that are removed afterwards. */
  readonly passing: string | undefined;
}

/** Opens the sources that the options name. Throws UsageError where there is none, or a key is missing. */
export async function openSources(
  paths: readonly string[],
  options: AuditOptions,
  signal: AbortSignal,
): Promise<AuditSources> {
  const { out, fdroid, versions, androzoo, urls, limit, rate, connections, downloads } = options;
  const remote = fdroid !== undefined || androzoo !== undefined || urls !== undefined;
  if (paths.length === 0 && !remote)
    throw new UsageError('there is nothing to audit', 'Give files or folders, --fdroid, --androzoo or --urls.');
  const androzooKey = environment('ANDROZOO_KEY');
  if (androzoo !== undefined && !androzooKey)
    throw new UsageError(
      'AndroZoo gives apps to holders of a key',
      'Ask for one at https://androzoo.uni.lu/access, and set ANDROZOO_KEY.',
    );
  // Workers elsewhere take paths as they are said.
  const folder = resolvePath(downloads ?? joinPath(out, 'downloads'));
  const fetcher = new Fetcher({ userAgent: `cuttle/${await packageVersion()}`, requestsPerSecond: rate, connections });
  async function* items(files: readonly PlanItem[]): AsyncGenerator<PlanItem> {
    yield* files;
    if (fdroid !== undefined) yield* fdroidItems(fdroid, fetcher, { versions, folder, signal });
    if (androzoo !== undefined) yield* androzooItems(androzoo, environment('ANDROZOO_URL'));
    if (urls !== undefined) yield* urlItems(urls);
  }
  return {
    asked: {
      ...(paths.length > 0 && { paths }),
      ...(fdroid !== undefined && { fdroid, versions }),
      ...(androzoo !== undefined && { androzoo }),
      ...(urls !== undefined && { urls }),
      ...(limit !== undefined && { limit }),
    },
    async plan() {
      const { items: files, unreadable } = await findFiles(paths, out);
      return { items: first(items(files), limit ?? Infinity), unreadable };
    },
    fetch: remote
      ? remoteFetch(fetcher, {
          folder,
          keep: downloads !== undefined,
          ...(androzooKey !== undefined && { androzooKey }),
        })
      : undefined,
    passing: remote && downloads === undefined ? folder : undefined,
  };
}

async function* first(items: AsyncIterable<PlanItem>, count: number): AsyncGenerator<PlanItem> {
  let given = 0;
  for await (const item of items) {
    if (given++ >= count) return;
    yield item;
  }
}
