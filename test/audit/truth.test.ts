/**
 * Apps built with aapt, smali and apksigner against the truth table of `bench/audit-truth`: all models found as they are, whatever
 * hides them, nothing else found, and every call of a framework, service or accelerator told from what only lies there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { auditApp } from '../../src/audit/index.js';
import { nodeHost } from '../../src/audit/node.js';
import { scratch } from './corpus.js';

const root = resolve(import.meta.dirname, '../..');

interface TruthApp {
  readonly name: string;
  readonly source?: string;
  readonly signed?: boolean;
}
interface Truth {
  readonly models: readonly { readonly beside?: readonly string[] }[];
  readonly apis?: Readonly<Record<string, string>>;
}
interface Kit {
  truthOf(app: TruthApp): Promise<Truth>;
}
interface Score {
  readonly misses: readonly unknown[];
  readonly falseFindings: readonly unknown[];
  readonly wrong: readonly unknown[];
  readonly wrongEvidence: readonly unknown[];
  readonly rows: readonly unknown[];
}
interface Bench {
  readonly groups: Readonly<Record<'intact' | 'hidden' | 'decoys' | 'evidence', readonly TruthApp[]>>;
  openKit(options: { readonly root: string; readonly work: string; readonly versions: object }): Promise<Kit>;
  writeApp(kit: Kit, folder: string, app: TruthApp): Promise<string>;
  readonly Score: new () => Score;
  scoreApp(score: Score, name: string, truth: Truth, record: object): void;
  isInstalled(command: string): boolean;
  readonly TOOLS: Readonly<Record<string, string>>;
}

/** The bench is plain JavaScript; what the test uses of it is said above. */
async function openBench(): Promise<Bench> {
  const parts = await Promise.all(
    ['build', 'kit', 'score', 'truth'].map(
      (name) => import(join(root, `bench/audit-truth/${name}.mjs`)) as Promise<object>,
    ),
  );
  return Object.assign({}, ...parts) as Bench;
}

const bench = await openBench();
const missing = Object.keys(bench.TOOLS).filter((command) => !bench.isInstalled(command));
const ready = missing.length === 0 && existsSync(join(root, '../shared/models'));
if (!ready) console.warn(`skipped: ${missing.join(', ')} or ../shared/models is not there`);

/** Apps of packages are the bench's: nothing is fetched here. */
const local = (apps: readonly TruthApp[]): readonly TruthApp[] =>
  apps.filter(({ source, name }) => source === undefined && name !== 'engine-onnx');
const hasCompiler = bench.isInstalled('gcc');
/** Of the many apps that differ in one call only, some: each takes a second to build. */
const evidence = bench.groups.evidence.filter(
  ({ name }, i) =>
    name !== 'native-engine' && (hasCompiler || !/^(native|needs)-/.test(name)) && (i % 11 === 0 || i > 120),
);

describe.skipIf(!ready)('the truth table', () => {
  const folder = scratch();
  let kit: Kit;
  beforeAll(async () => {
    kit = await bench.openKit({ root, work: folder, versions: {} });
  }, 60_000);

  async function scored(app: TruthApp): Promise<Score> {
    const path = await bench.writeApp(kit, join(folder, 'apps'), { ...app, signed: app.name === 'tflite' });
    const { app: read, models } = await auditApp(new Uint8Array(readFileSync(path)), `${app.name}.apk`, {
      host: nodeHost,
    });
    const score = new bench.Score();
    bench.scoreApp(score, app.name, await kit.truthOf(app), { app: read, models });
    return score;
  }

  const nothing = { misses: [], falseFindings: [], wrong: [], wrongEvidence: [] };

  test.each([
    ...local(bench.groups.intact).map((app) => ({ group: 'intact', app })),
    ...local(bench.groups.hidden).map((app) => ({ group: 'hidden', app })),
    ...local(bench.groups.decoys).map((app) => ({ group: 'without models', app })),
    ...evidence.map((app) => ({ group: 'evidence', app })),
  ])('$group: $app.name', { timeout: 120_000 }, async ({ group, app }) => {
    const { misses, falseFindings, wrong, wrongEvidence, rows } = await scored(app);
    expect({ misses, falseFindings, wrong, wrongEvidence }).toEqual(nothing);
    if (group === 'intact' || group === 'hidden') expect(rows.length).toBeGreaterThan(0);
  });
});
