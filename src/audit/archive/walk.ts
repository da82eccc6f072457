/** @file All files of an archive and of the archives inside it, one after another, within one budget and bounded memory. */
import { AuditError, shown } from '../errors.js';
import { MAX_PROBLEMS, problem, type Problem, type ProblemCode } from '../problem.js';
import { partOf, type ByteSource, type HeldSource } from '../source.js';
import { Budget, BudgetError } from './budget.js';
import { gzipName, isGzipHead, readGzip } from './gzip.js';
import { holdStream } from './hold.js';
import { portableHost, type ArchiveHost } from './host.js';
import { defaultArchiveLimits, type ArchiveLimits } from './limits.js';
import { isTar, openTar } from './tar.js';
import { findZipEnd } from './zip-directory.js';
import { plainRange, readZipEntry } from './zip-read.js';
import { isZip, openZip } from './zip.js';
import { isZstdHead, readZstd } from './zstd.js';

export type ArchiveKind = 'zip' | 'tar' | 'gzip' | 'zstd';

/** One file, wherever it stands. */
export interface ArchiveFile {
  /** From the outermost file inwards: `app.apks!/base.apk!/assets/a.tflite`. Safe to print, not to write to. */
  readonly path: string;
  /** Within its own archive. */
  readonly name: string;
  /** 0 for the outermost file itself. */
  readonly depth: number;
  /** What it is by its first bytes, where that is an archive: its files follow. */
  readonly archive: ArchiveKind | undefined;
  /** False where its archive's directory does not name it. */
  readonly listed: boolean;
  /** Its bytes; valid until the visitor returns. */
  readonly source: ByteSource;
  /** Where the ZIP's central directory begins, for the outermost file and nested archives. */
  readonly directoryOffset: number | undefined;
}

export interface WalkOptions {
  readonly limits?: Partial<ArchiveLimits>;
  readonly host?: ArchiveHost;
  readonly signal?: AbortSignal;
  /** Called for the outermost file, then for every file inside, an archive before its contents. */
  visit(file: ArchiveFile): Promise<void>;
}

export interface WalkTotals {
  readonly files: number;
  /** Bytes unpacked. */
  readonly bytes: number;
  readonly problems: readonly Problem[];
  /** Problems beyond those kept. */
  readonly moreProblems: number;
}

/**
 * Walks a file and, where it is an archive, all files inside, nested ones included. What is broken is told as a problem
 * and passed over; a budget that is exceeded ends the walk with a problem. Throws what `visit` or the source throws.
 */
export async function walkArchive(source: ByteSource, path: string, options: WalkOptions): Promise<WalkTotals> {
  const limits = { ...defaultArchiveLimits, ...options.limits };
  const walk = new Walk(options, limits, source.size);
  try {
    await walk.file(source, { path: shown(path, 1000), name: path, depth: 0, listed: true });
  } catch (cause) {
    if (!(cause instanceof BudgetError)) throw cause;
    walk.tell(problem('archive/limit', path, cause.message));
  }
  return walk.totals();
}

/** An entry of any archive. */
interface Member {
  readonly name: string;
  readonly listed: boolean;
  readonly open: () => Promise<HeldSource>;
}

interface Place {
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  readonly listed: boolean;
}

class Walk {
  readonly #options: WalkOptions;
  readonly #limits: ArchiveLimits;
  readonly #host: ArchiveHost;
  readonly #budget: Budget;
  readonly #problems: Problem[] = [];
  #moreProblems = 0;
  #files = 0;

  constructor(options: WalkOptions, limits: ArchiveLimits, size: number) {
    this.#options = options;
    this.#limits = limits;
    this.#host = options.host ?? portableHost;
    this.#budget = new Budget(limits, size);
  }

  totals(): WalkTotals {
    return {
      files: this.#files,
      bytes: this.#budget.unpacked,
      problems: this.#problems,
      moreProblems: this.#moreProblems,
    };
  }

  tell(found: Problem): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(found);
    else this.#moreProblems++;
  }

  async file(source: ByteSource, place: Place): Promise<void> {
    this.#options.signal?.throwIfAborted();
    this.#files++;
    const archive = await archiveKind(source, place.depth);
    const opened = archive === undefined ? undefined : await this.#members(source, archive, place);
    await this.#options.visit({ ...place, archive, source, directoryOffset: opened?.directoryOffset });
    if (opened === undefined) return;
    for (const member of opened.members) await this.#member(member, place);
  }

  async #member(member: Member, archive: Place): Promise<void> {
    const path = `${archive.path}!/${shown(member.name, 400)}`;
    let source: HeldSource;
    try {
      source = await member.open();
    } catch (cause) {
      if (cause instanceof BudgetError || !(cause instanceof AuditError)) throw cause;
      this.tell(problem(codeOf(cause), path, cause.message));
      return;
    }
    await using held = source;
    await this.file(held, { path, name: member.name, depth: archive.depth + 1, listed: member.listed });
  }

  /** The members of an archive; `undefined`, and a problem, where it cannot be read or is too deep. */
  async #members(
    source: ByteSource,
    kind: ArchiveKind,
    { path, depth, name }: Place,
  ): Promise<{ readonly members: Iterable<Member>; readonly directoryOffset: number | undefined } | undefined> {
    if (depth >= this.#limits.maxDepth) {
      this.tell(problem('archive/too-deep', path, `archives are nested more than ${this.#limits.maxDepth} deep`));
      return undefined;
    }
    this.#budget.enter();
    try {
      if (kind === 'zip') return await this.#zip(source, path);
      if (kind === 'tar') return { members: await this.#tar(source, path), directoryOffset: undefined };
      const member = kind === 'zstd' ? this.#zstd(source, name) : await this.#gzip(source, name);
      return { members: [member], directoryOffset: undefined };
    } catch (cause) {
      if (cause instanceof BudgetError || !(cause instanceof AuditError)) throw cause;
      this.tell(
        problem(cause.code === 'audit/archive-limit' ? 'archive/limit' : 'archive/broken', path, cause.message),
      );
      return undefined;
    }
  }

  async #zip(
    source: ByteSource,
    path: string,
  ): Promise<{ members: Iterable<Member>; directoryOffset: number | undefined }> {
    const { entries, problems, directoryOffset } = await openZip(source, this.#limits, path);
    for (const found of problems) this.tell(found);
    const members = entries.flatMap((entry): Member[] => {
      if (entry.kind === 'link')
        this.tell(problem('archive/link', path, `entry '${entry.name}' is a link, which is not followed`));
      if (entry.kind !== 'file') return [];
      const open = async (): Promise<HeldSource> => {
        const remark = (what: 'false-encryption' | 'false-method'): void =>
          this.tell(problem(`archive/${what}`, path, `entry '${entry.name}' is plain, whatever its header says`));
        const plain = await plainRange(source, entry, this.#host);
        if (plain === undefined || plain.part.size <= this.#limits.maxMemoryBytes)
          return holdStream(
            readZipEntry(source, entry, this.#host, this.#budget, remark),
            this.#host,
            this.#limits.maxMemoryBytes,
          );
        // A large stored entry is read where it stands; its checksum would cost a whole pass over it.
        if (plain.remark !== undefined) remark(plain.remark);
        this.#budget.spend(plain.part.size);
        return partOf(plain.part, 0, plain.part.size);
      };
      return [{ name: entry.name, listed: entry.listed, open }];
    });
    return { members, directoryOffset };
  }

  async #tar(source: ByteSource, path: string): Promise<Iterable<Member>> {
    const { entries, problems } = await openTar(source, this.#limits, path);
    for (const found of problems) this.tell(found);
    return entries.flatMap((entry): Member[] => {
      if (entry.kind === 'link')
        this.tell(problem('archive/link', path, `entry '${entry.name}' is a link, which is not followed`));
      if (entry.kind !== 'file') return [];
      const open = async (): Promise<HeldSource> => {
        this.#budget.spend(entry.size);
        return partOf(source, entry.offset, entry.size);
      };
      return [{ name: entry.name, listed: true, open }];
    });
  }

  async #gzip(source: ByteSource, name: string): Promise<Member> {
    const base = name.slice(name.lastIndexOf('/') + 1);
    const inner = (await gzipName(source)) ?? base.replace(/\.tgz$/i, '.tar').replace(/\.gz$/i, '');
    const open = async (): Promise<HeldSource> =>
      holdStream(readGzip(source, this.#host, this.#budget), this.#host, this.#limits.maxMemoryBytes);
    return { name: inner, listed: true, open };
  }

  #zstd(source: ByteSource, name: string): Member {
    const base = name.slice(name.lastIndexOf('/') + 1);
    const inner = base.replace(/\.tzst$/i, '.tar').replace(/\.zst$/i, '');
    const open = async (): Promise<HeldSource> =>
      holdStream(readZstd(source, this.#budget), this.#host, this.#limits.maxMemoryBytes);
    return { name: inner, listed: true, open };
  }
}

/** What a file is by its first bytes; the outermost one may have bytes in front, as self-extracting archives do. */
async function archiveKind(source: ByteSource, depth: number): Promise<ArchiveKind | undefined> {
  const head = await source.read(0, Math.min(512, source.size));
  if (isZip(head)) return 'zip';
  if (isGzipHead(head)) return 'gzip';
  if (isZstdHead(head)) return 'zstd';
  if (isTar(head)) return 'tar';
  return depth === 0 &&
    /* an end record takes this much */ source.size >= 22 &&
    (await findZipEnd(source)) !== undefined
    ? 'zip'
    : undefined;
}

function codeOf({ code }: AuditError): ProblemCode {
  if (code === 'audit/encrypted') return 'archive/encrypted';
  if (code === 'audit/method') return 'archive/method';
  return code === 'audit/archive-limit' || code === 'audit/too-large' ? 'archive/limit' : 'archive/broken-entry';
}
