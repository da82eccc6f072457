/** @file A small collection of apps made on the spot, and what a run over it leaves behind. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll } from 'vitest';
import { encodeModel } from '../../src/onnx/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';
import { writeZip } from './zip-writer.js';

const fixtures = resolve(import.meta.dirname, '../fixtures/audit');
const dist = resolve(import.meta.dirname, '../../dist');

/** A folder that goes away with the test file. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-audit-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** False where the workers' script is not built; tests that start workers skip then. */
export const workersBuilt = existsSync(join(dist, 'audit/run/worker.js'));
if (!workersBuilt) console.warn('skipped: dist/ is not built (npm run build)');

export const onnxModel = (seed: number): Uint8Array =>
  encodeModel(buildArchitecture('lenet-5', { classes: 10, input: [1, 28, 28], seed }));

/** An app in the form of an APK with a real DEX file, `seed` in a text of it, and models by name. */
export function apk(seed: number, models: Readonly<Record<string, Uint8Array>> = {}): Uint8Array {
  return writeZip([
    { name: 'classes.dex', data: new Uint8Array(readFileSync(join(fixtures, 'calls.dex'))) },
    { name: 'assets/build.txt', data: new TextEncoder().encode(`build ${seed}`) },
    ...Object.entries(models).map(([name, data]) => ({ name: `assets/${name}`, data })),
  ]);
}

export function put(folder: string, name: string, data: Uint8Array | string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, data);
  return path;
}

/** `count` apps, every third with a model, every tenth a copy of the one before, beside two files that are no apps. */
export function writeCorpus(folder: string, count: number): { readonly different: number; readonly models: number } {
  let [different, models] = [0, 0];
  let bytes = apk(0);
  for (let i = 0; i < count; i++) {
    if (i % 10 !== 9) {
      const has = i % 3 === 0;
      bytes = apk(i, has ? { 'net.dat': onnxModel(i) } : {});
      different++;
      if (has) models++;
    }
    put(folder, `${String(i % 7)}/app-${String(i).padStart(3, '0')}.apk`, bytes);
  }
  put(folder, 'notes.txt', 'nothing of interest');
  put(folder, 'list.csv', 'a,b\n1,2\n');
  return { different, models };
}

/** Records of a run by file name, as text. */
export function recordsOf(out: string): Readonly<Record<string, string>> {
  const folder = join(out, 'records');
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  );
}

/** Whole lines of a run's journal. */
export function journalOf(
  out: string,
): readonly { readonly item: number; readonly outcome: { readonly status: string } }[] {
  const path = join(out, 'journal.jsonl');
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { item: number; outcome: { status: string } });
}

/** A worker's script that misbehaves by the name of the app: `die`, `hang`, `eat`, `throw`, each once where `once-` stands before it. */
export function hostileWorker(folder: string): URL {
  const path = put(
    folder,
    'hostile-worker.mjs',
    `import { existsSync, writeFileSync } from 'node:fs';
import { serveParent } from ${JSON.stringify(pathToFileURL(join(dist, 'platform/node/child-serve.js')).href)};
import { runJob } from ${JSON.stringify(pathToFileURL(join(dist, 'audit/run/job.js')).href)};
const acts = {
  die: () => process.kill(process.pid, 'SIGKILL'),
  hang: () => { for (;;); },
  eat: () => { const held = []; for (;;) held.push(Buffer.alloc(8 << 20, 1)); },
  heap: () => { const held = []; for (;;) held.push(Array.from({ length: 1000 }, (_, i) => ({ i }))); },
  throw: () => { throw new RangeError('a defect'); },
};
serveParent(async (job) => {
  const [, once, act] = /^(once-)?(die|hang|eat|heap|throw)/.exec(job.item.locator) ?? [];
  const mark = job.file + '.tried';
  if (act !== undefined && !(once && existsSync(mark))) {
    writeFileSync(mark, '');
    acts[act]();
  }
  return runJob(job);
});
`,
  );
  return pathToFileURL(path);
}
