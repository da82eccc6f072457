/** @file A run: every item of the plan that is not done yet goes to a worker, and the journal keeps what became of it. */
import { now } from '../../platform/index.js';
import { removeFile } from '../../platform/node/files.js';
import type { PlanItem } from '../sources/item.js';
import type { Executor } from './executor.js';
import type { RunFolder } from './folder.js';
import type { JobOutcome } from './outcome.js';
import { existingRecord, recordPath, relocated, writeRecord } from './records.js';

/** Brings a remote item onto this machine. Gives a path, and whether it may be removed when it has been audited. */
export type Fetch = (item: PlanItem, signal: AbortSignal) => Promise<FetchedItem>;

export type FetchedItem =
  | { readonly status: 'here'; readonly file: string; readonly remove: boolean }
  | { readonly status: 'unavailable'; readonly reason: string };

export interface RunOptions {
  readonly executor: Executor;
  /** Needed where the plan has items that are not on this machine. */
  readonly fetch?: Fetch;
  /** Remote items that are fetched beside those being audited. 2 where omitted. */
  readonly ahead?: number;
  readonly maxModelBytes: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RunProgress) => void;
}

export interface RunProgress {
  /** Items that are done, earlier runs counted. */
  readonly done: number;
  readonly items: number;
  /** Bytes of these. */
  readonly bytes: number;
  readonly models: number;
  readonly failed: number;
}

/** An item that was not audited, and why. */
export interface Unaudited {
  readonly locator: string;
  readonly reason: string;
}

export interface RunSummary {
  readonly items: number;
  /** Different contents that have a record, failed ones included. */
  readonly apps: number;
  readonly appsWithModels: number;
  readonly models: number;
  readonly formats: Readonly<Record<string, number>>;
  /** Items whose contents another item of the plan has, too. */
  readonly duplicates: number;
  /** Files that are neither app nor archive nor model. */
  readonly nothing: number;
  readonly bytes: number;
  readonly failed: readonly Unaudited[];
  readonly unavailable: readonly Unaudited[];
  /** Items that this run did; others were done by earlier ones. */
  readonly doneNow: number;
  readonly seconds: number;
}

/**
 * Does what is left of a run. On abort it ends at once and throws the signal's reason: what is in the journal stays, the rest is
 * done by the next run. Throws what the executor throws where the run cannot go on.
 */
export async function runAudit(folder: RunFolder, options: RunOptions): Promise<RunSummary> {
  const { executor } = options;
  const started = now();
  const ledger = new Ledger(folder.run.items);
  for await (const { item, outcome } of folder.done()) ledger.add(item, outcome);
  const before = ledger.done;
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const unavailable: Unaudited[] = [];
  const pending = pendingOf(folder, ledger);
  const report = (): void => options.onProgress?.(ledger.progress());
  report();

  const lane = async (): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      const next = await pending.next();
      if (next.done) return;
      const { index, item } = next.value;
      const outcome = await audited(item, folder, options, signal);
      if (outcome.status === 'unavailable') unavailable.push({ locator: item.locator, reason: outcome.reason });
      else {
        await folder.note({ item: index, outcome });
        ledger.add(index, outcome);
      }
      report();
    }
  };
  const lanes = executor.capacity + (options.fetch === undefined ? 0 : (options.ahead ?? 2));
  const results = await Promise.allSettled(
    Array.from({ length: lanes }, () =>
      lane().catch((cause: unknown) => {
        // One lane that cannot go on stops all.
        stop.abort(cause);
        throw cause;
      }),
    ),
  );
  // Lets go of the plan's file where it was not read to its end.
  await pending.return(undefined);
  options.signal?.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  const failed = await settle(folder, ledger);
  await folder.tidy();
  return {
    ...ledger.summary(),
    failed,
    unavailable: unavailable.sort((a, b) => (a.locator < b.locator ? -1 : 1)),
    doneNow: ledger.done - before,
    seconds: (now() - started) / 1000,
  };
}

async function audited(
  item: PlanItem,
  { records }: RunFolder,
  { executor, fetch, maxModelBytes }: RunOptions,
  signal: AbortSignal,
): Promise<JobOutcome> {
  if (item.file !== undefined) return executor.run({ item, file: item.file, records, maxModelBytes }, signal);
  const fetched: FetchedItem = (await fetch?.(item, signal)) ?? { status: 'unavailable', reason: 'nothing fetches it' };
  if (fetched.status === 'unavailable') return fetched;
  const outcome = await executor.run({ item, file: fetched.file, records, maxModelBytes }, signal);
  if (fetched.remove) await removeFile(fetched.file);
  return outcome;
}

/** Items that are not done, with their place in the plan; each is given to one lane. */
async function* pendingOf(
  folder: RunFolder,
  ledger: Ledger,
): AsyncGenerator<{ readonly index: number; readonly item: PlanItem }> {
  let index = 0;
  for await (const item of folder.items()) {
    if (!ledger.has(index)) yield { index, item };
    index++;
  }
}

/**
 * Several items may have the same contents, and whichever was done first named the record. It shall be the first of the plan:
 * a run then gives the same records whoever did what. Returns what failed.
 */
async function settle(folder: RunFolder, ledger: Ledger): Promise<readonly Unaudited[]> {
  const failed: Unaudited[] = [];
  let index = 0;
  for await (const item of folder.items()) {
    const shared = ledger.sharedBy(index);
    if (shared !== undefined) {
      const path = recordPath(folder.records, shared);
      const record = await existingRecord(path);
      if (record !== undefined && (record.origin.locator !== item.locator || record.origin.kind !== item.kind))
        await writeRecord(path, relocated(record, item));
    }
    const reason = ledger.failures.get(index);
    if (reason !== undefined) failed.push({ locator: item.locator, reason });
    index++;
  }
  return failed;
}

/** What is known of every item, in little memory: a plan may have millions. */
class Ledger {
  readonly items: number;
  readonly failures = new Map<number, string>();
  done = 0;
  readonly #seen: Uint8Array;
  /** Contents that have a record: the first item that has them, and how many have. */
  readonly #contents = new Map<string, { first: number; count: number; models: number }>();
  /** The first items of contents that several have. */
  #shared: Map<number, string> | undefined;
  readonly #formats: Record<string, number> = {};
  #models = 0;
  #bytes = 0;
  #nothing = 0;

  constructor(items: number) {
    this.items = items;
    this.#seen = new Uint8Array(items);
  }

  has(item: number): boolean {
    return this.#seen[item] === 1;
  }

  add(item: number, outcome: Exclude<JobOutcome, { status: 'unavailable' }>): void {
    if (this.has(item) || item >= this.items) return;
    this.#seen[item] = 1;
    this.done++;
    this.#bytes += outcome.bytes;
    if (outcome.status === 'nothing') {
      this.#nothing++;
      return;
    }
    if (outcome.status === 'failed') this.failures.set(item, outcome.reason);
    const { sha256 } = outcome;
    const known = this.#contents.get(sha256);
    if (known !== undefined) {
      known.first = Math.min(known.first, item);
      known.count++;
      return;
    }
    let models = 0;
    for (const [format, count] of Object.entries(outcome.status === 'recorded' ? outcome.formats : {})) {
      this.#formats[format] = (this.#formats[format] ?? 0) + count;
      models += count;
    }
    this.#models += models;
    this.#contents.set(sha256, { first: item, count: 1, models });
  }

  sharedBy(item: number): string | undefined {
    this.#shared ??= new Map(
      [...this.#contents].filter(([, { count }]) => count > 1).map(([sha256, { first }]) => [first, sha256]),
    );
    return this.#shared.get(item);
  }

  progress(): RunProgress {
    const { done, items, failures } = this;
    return { done, items, bytes: this.#bytes, models: this.#models, failed: failures.size };
  }

  summary(): Omit<RunSummary, 'failed' | 'unavailable' | 'doneNow' | 'seconds'> {
    const contents = [...this.#contents.values()];
    return {
      items: this.items,
      apps: contents.length,
      appsWithModels: contents.filter(({ models }) => models > 0).length,
      models: this.#models,
      formats: Object.fromEntries(Object.entries(this.#formats).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))),
      duplicates: contents.reduce((sum, { count }) => sum + count - 1, 0),
      nothing: this.#nothing,
      bytes: this.#bytes,
    };
  }
}
