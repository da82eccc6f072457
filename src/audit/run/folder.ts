/** @file The folder of a run: what was asked, the plan, a journal of what is done, and the records. Every file of it survives a kill at any point. */
import {
  fileInfo,
  joinPath,
  makeFolder,
  readJson,
  removeFile,
  removeFolder,
  removeTemporaries,
  resolvePath,
  writeFileAtomic,
  writeJson,
} from '../../platform/node/files.js';
import { randomToken } from '../../platform/node/hash.js';
import { fileChunks, linesOf, openLineFile, type LineFile } from '../../platform/node/lines.js';
import { holdLock, type Lock } from '../../platform/node/lock.js';
import { AuditError } from '../errors.js';
import type { AppRecord } from '../record.js';
import type { PlanItem } from '../sources/item.js';
import type { JobOutcome } from './outcome.js';
import { existingRecord, recordPath } from './records.js';

/** `run.json`: written when the plan is whole, so its presence says that there is one. */
export interface RunFile {
  readonly kind: 'cuttle.audit-run';
  readonly schema: 1;
  /** Tells runs apart in a queue. */
  readonly id: string;
  /** What was asked, as its verb states it: a run is resumed by asking the same again. */
  readonly asked: Readonly<Record<string, unknown>>;
  readonly items: number;
  /** Bytes of all items, as far as their sources say. */
  readonly bytes: number;
  /** Files that the plan leaves out, as they could not be looked at. */
  readonly unreadable: readonly { readonly locator: string; readonly reason: string }[];
}

/** One line of the journal: which item, and what became of it. */
export interface JournalEntry {
  readonly item: number;
  readonly outcome: Exclude<JobOutcome, { status: 'unavailable' }>;
}

export interface Plan {
  readonly items: AsyncIterable<PlanItem> | Iterable<PlanItem>;
  readonly unreadable?: RunFile['unreadable'];
}

/** A run's folder, held by this process alone. */
export class RunFolder implements AsyncDisposable {
  readonly path: string;
  readonly run: RunFile;
  /** Whether there was a plan already. */
  readonly resumed: boolean;
  readonly #lock: Lock;
  #journal: LineFile | undefined;

  private constructor(path: string, run: RunFile, resumed: boolean, lock: Lock) {
    this.path = path;
    this.run = run;
    this.resumed = resumed;
    this.#lock = lock;
  }

  /**
   * Opens the folder for what is asked; makes it and writes `plan` where it is new, resumes it where the same was asked.
   * Throws AuditError where it holds another run or something else, and where another process has it.
   */
  static async open(path: string, asked: RunFile['asked'], plan: () => Promise<Plan>): Promise<RunFolder> {
    const folder = resolvePath(path);
    await makeFolder(folder);
    const lock = await holdLock(joinPath(folder, 'lock'));
    try {
      const file = joinPath(folder, 'run.json');
      const there = (await fileInfo(file)) !== undefined;
      const run = there ? await readRun(file, asked) : await writePlan(folder, file, asked, await plan());
      // What workers of a killed run left.
      await removeFolder(joinPath(folder, 'work'));
      await makeFolder(joinPath(folder, 'records'));
      return new RunFolder(folder, run, there, lock);
    } catch (cause) {
      await lock.release();
      throw cause;
    }
  }

  get records(): string {
    return joinPath(this.path, 'records');
  }

  get downloads(): string {
    return joinPath(this.path, 'downloads');
  }

  /** For temporary files of workers. */
  get work(): string {
    return joinPath(this.path, 'work');
  }

  /** The plan's items in order. */
  items(): AsyncIterable<PlanItem> {
    return planOf(this.path);
  }

  /** What earlier runs did. */
  done(): AsyncIterable<JournalEntry> {
    return journalOf(this.path);
  }

  /** Notes what became of an item: it is not done again. */
  async note(entry: JournalEntry): Promise<void> {
    this.#journal ??= await openLineFile(joinPath(this.path, 'journal.jsonl'));
    await this.#journal.add(JSON.stringify(entry));
  }

  /** Removes what killed processes left half-written. Only once nothing of the run is under way, here or on another machine. */
  async tidy(): Promise<void> {
    for (const folder of [this.path, this.records]) await removeTemporaries(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal?.close();
    await removeFolder(this.work);
    await this.#lock.release();
  }
}

async function readRun(file: string, asked: RunFile['asked']): Promise<RunFile> {
  const run = (await readJson(file)) as Partial<RunFile> | null;
  if (run?.kind !== 'cuttle.audit-run' || run.schema !== 1)
    throw new AuditError('run-folder', `'${file}' is no run of this version`, { hint: 'Choose another folder.' });
  if (JSON.stringify(run.asked) !== JSON.stringify(asked))
    throw new AuditError('run-folder', `'${file}' is a run over other sources`, {
      kind: 'usage',
      hint: 'Choose another folder with --out, or give the same sources to resume it.',
    });
  return run as RunFile;
}

async function writePlan(folder: string, file: string, asked: RunFile['asked'], plan: Plan): Promise<RunFile> {
  let items = 0;
  let bytes = 0;
  const utf8 = new TextEncoder();
  async function* lines(): AsyncGenerator<Uint8Array> {
    for await (const item of plan.items) {
      items++;
      bytes += item.bytes ?? 0;
      yield utf8.encode(`${JSON.stringify(item)}\n`);
    }
  }
  // Without run.json there is no plan: what a kill left of one, or of its journal, is written anew.
  await removeFile(joinPath(folder, 'journal.jsonl'));
  await writeFileAtomic(joinPath(folder, 'plan.jsonl'), batched(lines()), { force: true });
  const run: RunFile = {
    kind: 'cuttle.audit-run',
    schema: 1,
    id: randomToken(),
    asked,
    items,
    bytes,
    unreadable: plan.unreadable ?? [],
  };
  await writeJson(file, run);
  return run;
}

/** Small pieces joined: one write of each would cost more than its bytes. */
async function* batched(pieces: AsyncIterable<Uint8Array>, most = 1 << 18): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  const joined = (): Uint8Array => {
    const whole = new Uint8Array(size);
    let at = 0;
    for (const piece of held) {
      whole.set(piece, at);
      at += piece.length;
    }
    held = [];
    size = 0;
    return whole;
  };
  for await (const piece of pieces) {
    held.push(piece);
    size += piece.length;
    if (size >= most) yield joined();
  }
  yield joined();
}

async function* planOf(folder: string): AsyncGenerator<PlanItem> {
  const path = joinPath(folder, 'plan.jsonl');
  for await (const line of linesOf(fileChunks(path), path)) yield JSON.parse(line) as PlanItem;
}

async function* journalOf(folder: string): AsyncGenerator<JournalEntry> {
  const path = joinPath(folder, 'journal.jsonl');
  if ((await fileInfo(path)) === undefined) return;
  for await (const line of linesOf(fileChunks(path), path, { wholeOnly: true })) yield JSON.parse(line) as JournalEntry;
}

/**
 * The records of a run, each once, in the order in which the plan first names their contents; of an unfinished run those that
 * are there. Throws AuditError where the folder holds no run.
 */
export async function* readRecords(folder: string): AsyncGenerator<AppRecord> {
  await requireRun(folder);
  const found: (string | undefined)[] = [];
  for await (const { item, outcome } of journalOf(folder))
    if (outcome.status === 'recorded' || outcome.status === 'failed') found[item] = outcome.sha256;
  for (const sha256 of new Set(found)) {
    const record =
      sha256 === undefined ? undefined : await existingRecord(recordPath(joinPath(folder, 'records'), sha256));
    if (record !== undefined) yield record;
  }
}

/** Items of a run whose contents have a record, with the record's checksum. Throws AuditError where the folder holds no run. */
export async function* recordedItems(
  folder: string,
): AsyncGenerator<{ readonly item: PlanItem; readonly sha256: string }> {
  await requireRun(folder);
  const found = new Map<number, string>();
  for await (const { item, outcome } of journalOf(folder))
    if (outcome.status === 'recorded') found.set(item, outcome.sha256);
  let index = 0;
  for await (const item of planOf(folder)) {
    const sha256 = found.get(index++);
    if (sha256 !== undefined) yield { item, sha256 };
  }
}

async function requireRun(folder: string): Promise<void> {
  if ((await fileInfo(joinPath(folder, 'run.json'))) === undefined)
    throw new AuditError('run-folder', `'${folder}' holds no run`, {
      hint: 'Make one with: cuttle audit PATH --out DIR',
    });
}
