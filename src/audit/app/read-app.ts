/** @file An app read whole: every file recognised by its first bytes and read by its reader, what is broken told and passed over. */
import { CuttleError } from '../../ir/index.js';
import { type ArchiveFile, type ArchiveHost, type ArchiveLimits } from '../archive/index.js';
import { walkArchive } from '../archive/walk.js';
import { AuditError } from '../errors.js';
import { collectClass } from '../evidence/collect-class.js';
import {
  collectDex,
  collectElf,
  collectLibraryName,
  collectManifest,
  EvidenceCollector,
  NativeStrings,
} from '../evidence/collect.js';
import { MAX_PROBLEMS, problem, type Problem } from '../problem.js';
import { bytesSource, chunksOf, type ByteSource } from '../source.js';
import { conditionOf, type App, type AppLibrary, type AppPart, type Container, type IosInfo } from './app.js';
import { certificatesOfPkcs7, readCertificate } from './certificate.js';
import { isClassFile, readClassFile } from './class-file.js';
import { isDex, openDex } from './dex.js';
import { isElf, readElf } from './elf.js';
import { readManifest } from './manifest.js';
import { readPlist } from './plist.js';
import { openResources, type Resources } from './resources.js';
import { readSigningBlock, type Signature } from './signing-block.js';

export interface ReadAppOptions {
  readonly limits?: Partial<ArchiveLimits>;
  /** How to unpack; `nodeHost` of `cuttle/audit/node` is faster and has temporary files. */
  readonly host?: ArchiveHost;
  readonly signal?: AbortSignal;
  /** Called for every file, the app itself first. Errors of kind 'invalid' and 'unsupported' become problems. */
  readonly onFile?: (file: ArchiveFile) => Promise<void>;
}

/** Files that a reader takes whole: more than any tool writes, little enough to hold. */
const MAX_WHOLE_BYTES = 128 * 2 ** 20;
/** Manifests and resource tables are kept until their APK has been read. */
const MAX_KEPT_BYTES = 64 * 2 ** 20;

/**
 * Reads an app: APK, split APKs (APKS, XAPK), AAB, AAR, IPA, or any archive with such files. Never throws for what the
 * file holds: problems and a condition tell. Throws what the source or `onFile` throws beyond such errors.
 */
export async function readApp(app: ByteSource | Uint8Array, path: string, options: ReadAppOptions = {}): Promise<App> {
  const source = app instanceof Uint8Array ? bytesSource(app) : app;
  const reader = new AppReader(options);
  const totals = await walkArchive(source, path, { ...options, visit: (file) => reader.visit(file) });
  return reader.finish(path, source.size, totals);
}

interface OpenPart {
  manifest: Uint8Array | undefined;
  resources: Uint8Array | undefined;
  signatures: Signature[];
}

class AppReader {
  readonly #options: ReadAppOptions;
  readonly #evidence = new EvidenceCollector();
  readonly #problems: Problem[] = [];
  readonly #parts = new Map<string, OpenPart>();
  readonly #libraries: AppLibrary[] = [];
  readonly #names = new Set<string>();
  readonly #code = { files: 0, classes: 0, methods: 0 };
  #kept = 0;
  #ios: IosInfo | undefined;
  #outermostIsArchive = false;

  constructor(options: ReadAppOptions) {
    this.#options = options;
  }

  async visit(file: ArchiveFile): Promise<void> {
    if (file.depth === 0) this.#outermostIsArchive = file.archive !== undefined;
    if (file.depth <= 1 && this.#names.size < 10_000) this.#names.add(file.name);
    await this.#guard(file.path, 'app/broken-file', () => this.#read(file));
    const { onFile } = this.#options;
    if (onFile !== undefined) await this.#guard(file.path, 'models/broken-file', () => onFile(file));
  }

  async #guard(path: string, code: 'app/broken-file' | 'models/broken-file', read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (cause) {
      if (!(cause instanceof CuttleError) || cause.kind === 'failed' || cause.kind === 'usage') throw cause;
      if (this.#problems.length < MAX_PROBLEMS)
        this.#problems.push(problem(cause.kind === 'unsupported' ? 'app/unsupported-file' : code, path, cause.message));
    }
  }

  async #read(file: ArchiveFile): Promise<void> {
    const { source, path } = file;
    const head = await source.read(0, Math.min(64, source.size));
    if (file.archive === 'zip' && file.directoryOffset !== undefined) {
      const signatures = await readSigningBlock(source, file.directoryOffset);
      if (signatures.length > 0) this.#part(path).signatures.push(...signatures);
    }
    if (isDex(head)) await this.#dex(file);
    else if (isElf(head)) await this.#elf(file);
    else if (isClassFile(head)) collectClass(readClassFile(await whole(source)), outer(path), this.#count(1, 0, 0));
    else if (isMachO(head)) await this.#machO(file);
    else await this.#named(file);
  }

  /** Files that their place in an app tells, not their first bytes. */
  async #named({ name, path, source, depth }: ArchiveFile): Promise<void> {
    if (depth === 0) return;
    const part = outer(path);
    const module = /^([\w.-]+)\/manifest\/AndroidManifest\.xml$/.exec(name)?.[1];
    if (name === 'AndroidManifest.xml') this.#part(part).manifest = await this.#keep(source);
    else if (module !== undefined) this.#part(`${part}!/${module}`).manifest = await this.#keep(source);
    else if (name === 'resources.arsc') this.#part(part).resources = await this.#keep(source);
    else if (/^META-INF\/[^/]+\.(RSA|DSA|EC)$/i.test(name)) await this.#v1(part, source);
    else if (/^Payload\/[^/]+\.app\/Info\.plist$/.test(name)) this.#ios = iosInfo(readPlist(await whole(source)));
  }

  async #dex({ path, source }: ArchiveFile): Promise<void> {
    for (const dex of openDex(await whole(source))) {
      this.#count(1, dex.classCount, dex.methodCount);
      collectDex(dex, path, this.#evidence);
    }
  }

  #count(files: number, classes: number, methods: number): EvidenceCollector {
    this.#code.files += files;
    this.#code.classes += classes;
    this.#code.methods += methods;
    return this.#evidence;
  }

  async #elf({ name, path, source }: ArchiveFile): Promise<void> {
    collectLibraryName(base(name), path, this.#evidence);
    await this.#strings(path, source);
    const library = await readElf(source);
    collectElf(library, path, this.#evidence);
    const { abi, soname, needed, imports, exports } = library;
    if (soname !== undefined && soname !== base(name)) collectLibraryName(soname, path, this.#evidence);
    this.#libraries.push({
      path,
      abi,
      soname,
      needed,
      size: source.size,
      imports: imports.length,
      exports: exports.length,
    });
  }

  async #machO({ name, path, source }: ArchiveFile): Promise<void> {
    collectLibraryName(base(name), path, this.#evidence);
    await this.#strings(path, source);
  }

  async #strings(path: string, source: ByteSource): Promise<void> {
    const strings = new NativeStrings();
    for await (const chunk of chunksOf(source)) strings.feed(chunk);
    strings.collect(path, this.#evidence);
  }

  async #v1(part: string, source: ByteSource): Promise<void> {
    const [first] = certificatesOfPkcs7(await whole(source));
    if (first !== undefined)
      this.#part(part).signatures.push({ scheme: 'v1', certificates: [await readCertificate(first)] });
  }

  #part(path: string): OpenPart {
    let part = this.#parts.get(path);
    if (part === undefined)
      this.#parts.set(path, (part = { manifest: undefined, resources: undefined, signatures: [] }));
    return part;
  }

  async #keep(source: ByteSource): Promise<Uint8Array> {
    this.#kept += source.size;
    if (this.#kept > MAX_KEPT_BYTES)
      throw new AuditError('too-large', `manifests and resources have more than ${MAX_KEPT_BYTES} bytes`);
    return (await source.read(0, source.size)).slice();
  }

  async finish(
    path: string,
    size: number,
    totals: {
      readonly files: number;
      readonly bytes: number;
      readonly problems: readonly Problem[];
      readonly moreProblems: number;
    },
  ): Promise<App> {
    const parts: AppPart[] = [];
    for (const [at, { manifest, resources, signatures }] of this.#parts) {
      if (manifest === undefined) continue;
      await this.#guard(`${at}!/AndroidManifest.xml`, 'app/broken-file', async () => {
        const table = resources && (await this.#resources(at, resources));
        const read = readManifest(manifest, table);
        collectManifest(read, `${at}!/AndroidManifest.xml`, this.#evidence);
        parts.push({ path: at, manifest: read, signatures });
      });
    }
    parts.sort((a, b) => Number(a.manifest.split !== undefined) - Number(b.manifest.split !== undefined));
    const container = this.#container(parts.length > 0);
    if (container === 'apk' && parts.length === 0)
      this.#problems.push(
        problem('app/no-manifest', path, 'the app has code or resources, but no manifest that can be read'),
      );
    const problems = [...totals.problems, ...this.#problems].slice(0, MAX_PROBLEMS);
    return {
      path,
      size,
      container,
      platform: container === 'ipa' ? 'ios' : ['archive', 'file'].includes(container) ? undefined : 'android',
      parts,
      ios: this.#ios,
      libraries: this.#libraries,
      abis: [...new Set(this.#libraries.map(({ abi }) => abi))].sort(),
      code: this.#code,
      evidence: this.#evidence.all(),
      files: totals.files,
      bytes: totals.bytes,
      condition: conditionOf(problems),
      problems,
      moreProblems: totals.moreProblems,
    };
  }

  async #resources(part: string, bytes: Uint8Array): Promise<Resources | undefined> {
    let table: Resources | undefined;
    await this.#guard(`${part}!/resources.arsc`, 'app/broken-file', async () => void (table = openResources(bytes)));
    return table;
  }

  #container(hasManifest: boolean): Container {
    const names = this.#names;
    const any = (pattern: RegExp): boolean => [...names].some((name) => pattern.test(name));
    if (!this.#outermostIsArchive) return 'file';
    if (this.#ios !== undefined || any(/^Payload\/[^/]+\.app\//)) return 'ipa';
    if (names.has('BundleConfig.pb') || any(/^[\w.-]+\/manifest\/AndroidManifest\.xml$/)) return 'aab';
    if (names.has('classes.jar')) return 'aar';
    if (names.has('AndroidManifest.xml') || any(/^classes\d*\.dex$/) || names.has('resources.arsc')) return 'apk';
    if (any(/\.apk$/i) && hasManifest) return names.has('manifest.json') ? 'xapk' : 'apks';
    return 'archive';
  }
}

async function whole(source: ByteSource): Promise<Uint8Array> {
  if (source.size > MAX_WHOLE_BYTES)
    throw new AuditError('too-large', `the file has ${source.size} bytes, the limit is ${MAX_WHOLE_BYTES}`);
  return source.read(0, source.size);
}

/** The path of the archive that a file is in. */
const outer = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('!/')));
const base = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

/** Mach-O of 32 or 64 bits, or a universal file of a few machines. */
function isMachO(head: Uint8Array): boolean {
  if (head.length < 8) return false;
  if (head[1] === 0xfa && head[2] === 0xed && head[3] === 0xfe) return head[0] === 0xce || head[0] === 0xcf;
  return head[0] === 0xca && head[1] === 0xfe && head[2] === 0xba && head[3] === 0xbe && head[6] === 0 && head[7]! < 45;
}

function iosInfo(plist: unknown): IosInfo {
  const entries: Readonly<Record<string, unknown>> =
    typeof plist === 'object' && plist !== null ? (plist as Readonly<Record<string, unknown>>) : {};
  const text = (key: string): string | undefined => {
    const value = entries[key];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    bundle: text('CFBundleIdentifier') ?? '',
    version: text('CFBundleShortVersionString') ?? text('CFBundleVersion'),
    name: text('CFBundleDisplayName') ?? text('CFBundleName'),
    minimumOs: text('MinimumOSVersion'),
    category: text('LSApplicationCategoryType'),
    permissions: Object.keys(entries)
      .filter((key) => /^NS\w+UsageDescription$/.test(key))
      .sort(),
  };
}
