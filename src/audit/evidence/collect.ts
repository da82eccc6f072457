/** @file Evidence gathered from code, libraries and manifests, equal findings counted together. */
import { shown } from '../errors.js';
import { type Dex } from '../app/dex.js';
import { type ElfLibrary } from '../app/elf.js';
import { type AndroidManifest } from '../app/manifest.js';
import { ByteMatcher, type MatchState } from './byte-matcher.js';
import { type Evidence, type Use } from './kinds.js';
import { type Confidence } from '../find/finding.js';
import { cluesOf } from './subjects.js';

const EXAMPLES = 5;

interface Mutable {
  readonly base: Omit<Evidence, 'count' | 'examples'>;
  count: number;
  readonly examples: string[];
}

/** All evidence of an app. */
export class EvidenceCollector {
  readonly #found = new Map<string, Mutable>();

  add(base: Omit<Evidence, 'count' | 'examples'>, example: string): void {
    const key = [base.subject, base.use, base.clue, base.path].join('\n');
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { base, count: 1, examples: [shown(example)] });
    else {
      known.count++;
      if (known.examples.length < EXAMPLES && !known.examples.includes(shown(example)))
        known.examples.push(shown(example));
    }
  }

  /** Sorted by subject, then use, clue and path. */
  all(): readonly Evidence[] {
    const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
    return [...this.#found]
      .sort(([a], [b]) => order(a, b))
      .map(([, { base, count, examples }]) => ({ ...base, count, examples }));
  }
}

const classOwners = new Map(
  cluesOf('classes').flatMap(([subject, prefixes]) => prefixes.map((prefix) => [prefix, subject] as const)),
);
const methodOwners = new Map<string, string>(
  cluesOf('methods').flatMap(([subject, methods]) => methods.map((method) => [method, subject] as const)),
);
const methodClasses = new Set([...methodOwners.keys()].map((method) => method.slice(0, method.indexOf('->'))));

/** The subject that one method alone is evidence of. */
export function methodOwner(descriptor: string, name: string): string | undefined {
  return methodClasses.has(descriptor) ? methodOwners.get(`${descriptor}->${name}`) : undefined;
}

/** Subjects that a class belongs to: by its packages, outermost first, and by its whole name. */
export function ownersOf(descriptor: string): readonly string[] {
  const name = descriptor.replace(/^\[+/, '');
  if (name[0] !== 'L') return [];
  const owners: string[] = [];
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
    const owner = classOwners.get(name.slice(0, at + 1));
    if (owner !== undefined) owners.push(owner);
  }
  const whole = classOwners.get(name);
  if (whole !== undefined) owners.push(whole);
  // The most special package speaks for a class: `org/pytorch/executorch` is no PyTorch Mobile.
  const special = owners.at(-1);
  return special === undefined ? [] : special === 'executorch' ? [special] : owners;
}

const hostRules: readonly (readonly [subject: string, pattern: RegExp])[] = cluesOf('hosts').flatMap(
  ([subject, hosts]) =>
    hosts.map((host) => {
      const pattern = host
        .replace(/^\*\./, '')
        .split('*')
        .map((part) => part.replace(/[.+]/g, '\\$&'))
        .join('[\\w-]+');
      return [
        subject,
        new RegExp(`(^|[^\\w.-]${host.startsWith('*.') ? '[\\w.-]*\\.' : ''}|^[\\w.-]*\\.)${pattern}($|[^\\w.-])`),
      ] as const;
    }),
);
/** A text without one of these names no host of the table. */
const hostHint = /\.(com|ai|net|co|cn)\b/;

/** The cloud services whose hosts a text names. */
export function hostsIn(text: string): readonly string[] {
  if (text.length > 4096 || !hostHint.test(text)) return [];
  return [...new Set(hostRules.filter(([, pattern]) => pattern.test(text)).map(([subject]) => subject))];
}

/** Evidence from a DEX: classes that are there, calls from the app's own code and from other libraries, hosts in texts. */
export function collectDex(dex: Dex, path: string, into: EvidenceCollector): void {
  const descriptors: string[] = [];
  const owners: (readonly string[])[] = [];
  for (let type = 0; type < dex.typeCount; type++) {
    const descriptor = dex.type(type);
    descriptors.push(descriptor);
    owners.push(ownersOf(descriptor));
  }
  const seen = new Set<string>();
  const defined = new Set<number>();
  for (const { type } of dex.classes()) {
    defined.add(type);
    for (const subject of owners[type] ?? []) {
      into.add({ subject, use: 'present', confidence: 'observed', clue: 'class', path }, descriptors[type]!);
      seen.add(subject);
    }
  }
  const wanted = Array.from({ length: dex.methodCount }, (_, method): readonly string[] => {
    const type = dex.methodClass(method);
    const descriptor = descriptors[type] ?? '';
    const special = methodClasses.has(descriptor) ? methodOwner(descriptor, dex.methodName(method)) : undefined;
    return special === undefined ? (owners[type] ?? []) : [...(owners[type] ?? []), special];
  });
  const texts = new Map<number, readonly string[]>();
  dex.walk({
    invoke(caller, method) {
      const subjects = wanted[method];
      if (subjects === undefined || subjects.length === 0) return;
      const calling = owners[caller] ?? [];
      // A class of the same package tree is the library itself at work.
      const callee = owners[dex.methodClass(method)] ?? [];
      if (calling.length > 0 && calling.some((owner) => callee.includes(owner))) return;
      const use: Use = calling.length > 0 ? 'called-by-library' : 'called';
      const example = `${descriptors[caller]} → ${descriptors[dex.methodClass(method)]}->${dex.methodName(method)}`;
      for (const subject of subjects) {
        into.add({ subject, use, confidence: 'observed', clue: 'call', path }, example);
        seen.add(subject);
      }
    },
    string(caller, string) {
      let hosts = texts.get(string);
      if (hosts === undefined) texts.set(string, (hosts = hostsIn(dex.string(string))));
      for (const subject of hosts) {
        const use: Use = (owners[caller] ?? []).includes(subject) ? 'present' : 'referenced';
        into.add({ subject, use, confidence: 'derived', clue: 'host', path }, dex.string(string));
      }
    },
  });
  owners.forEach((subjects, type) => {
    if (defined.has(type)) return;
    for (const subject of subjects)
      if (!seen.has(subject))
        into.add({ subject, use: 'referenced', confidence: 'observed', clue: 'class', path }, descriptors[type]!);
  });
}

const libraryRules = cluesOf('libraries');
const symbolRules = cluesOf('symbols').flatMap(([subject, prefixes]) =>
  prefixes.map((prefix) => [subject, prefix] as const),
);
const stringRules = cluesOf('strings').flatMap(([subject, strings]) => strings.map((text) => [subject, text] as const));
const matcher = new ByteMatcher(stringRules.map(([, text]) => text));

/** Evidence from the name of a native library or of an iOS framework's binary. */
export function collectLibraryName(name: string, path: string, into: EvidenceCollector): void {
  for (const [subject, pattern] of libraryRules)
    if (pattern.test(name)) into.add({ subject, use: 'present', confidence: 'derived', clue: 'library', path }, name);
}

/** Evidence from an ELF library: what it needs, what it takes and what it offers. */
export function collectElf({ needed, imports, exports }: ElfLibrary, path: string, into: EvidenceCollector): void {
  for (const name of needed)
    for (const [subject, pattern] of libraryRules)
      if (pattern.test(name)) into.add({ subject, use: 'called', confidence: 'observed', clue: 'library', path }, name);
  const offered = new Set(exports);
  const match = (symbols: readonly string[], use: Use, confidence: Confidence): void => {
    for (const symbol of symbols)
      for (const [subject, prefix] of symbolRules)
        if (symbol.startsWith(prefix)) into.add({ subject, use, confidence, clue: 'symbol', path }, symbol);
  };
  match(
    imports.filter((symbol) => !offered.has(symbol)),
    'called',
    'observed',
  );
  match(exports, 'present', 'observed');
}

/** A scan of native code for texts; feed it all chunks, then take what was found. */
export class NativeStrings {
  readonly #scan: MatchState = matcher.begin();

  feed(chunk: Uint8Array): void {
    matcher.scan(this.#scan, chunk);
  }

  /** Texts of libraries opened at run time (`libOpenCL.so`) tell of a possible use, others of what is linked in. */
  collect(path: string, into: EvidenceCollector): void {
    for (const number of [...this.#scan.found].sort((a, b) => a - b)) {
      const [subject, text] = stringRules[number]!;
      const opened = /^lib.*\.so$/.test(text);
      into.add(
        {
          subject,
          use: opened ? 'referenced' : 'present',
          confidence: opened ? 'suspected' : 'derived',
          clue: 'string',
          path,
        },
        text,
      );
    }
  }
}

const metadataRules = cluesOf('metadata').flatMap(([subject, names]) => names.map((name) => [subject, name] as const));

/** Evidence from a manifest: metadata that asks for models, native libraries that it wants to open. */
export function collectManifest(manifest: AndroidManifest, path: string, into: EvidenceCollector): void {
  for (const { name, value } of manifest.metadata)
    for (const [subject, wanted] of metadataRules)
      if (name.startsWith(wanted))
        into.add({ subject, use: 'referenced', confidence: 'observed', clue: 'metadata', path }, `${name} = ${value}`);
  for (const name of manifest.nativeLibraries)
    for (const [subject, text] of stringRules)
      if (text === name) into.add({ subject, use: 'referenced', confidence: 'observed', clue: 'metadata', path }, name);
}
