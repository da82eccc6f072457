/**
 * @file Whether the audit finds what is there and nothing else: apps built from real parts against a truth table written by hand
 * (truth.mjs), apps of others without any model, and Debian's own tools over all of them.
 *
 * After a build, on Linux with the packages aapt, apksigner, libsmali-java, dexdump, androguard, libonnx-testdata, gcc:
 *   node bench/audit-truth/run.mjs [--only NAME] [--no-oracles]
 *
 * Writes bench/results/audit-truth.json: precision and recall of models and of evidence, a row for every disguise, every miss and
 * every false finding by name. Exits with 1 where there is one.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openKit, writeApp } from './kit.mjs';
import { isInstalled, TOOLS } from './build.mjs';
import { compareOracles } from './oracles.mjs';
import { Score, scoreApp } from './score.mjs';
import { groups, modelFree, onnxTests, versions } from './truth.mjs';

const root = resolve(import.meta.dirname, '../..');
const work = join(root, 'bench/.work/audit-truth');
const { values } = parseArgs({
  options: { only: { type: 'string' }, 'no-oracles': { type: 'boolean', default: false } },
});
for (const [command, debian] of Object.entries(TOOLS))
  if (!isInstalled(command)) throw new Error(`${command} is missing: install ${debian}`);

const kit = await openKit({ root, work, versions });
const apps = join(work, 'apps');
rmSync(apps, { recursive: true, force: true });
mkdirSync(apps, { recursive: true });

/** Files by name below `apps`, each with its truth. */
const truths = new Map();
for (const [group, list] of Object.entries(groups))
  for (const app of list) {
    if (values.only && !app.name.includes(values.only)) continue;
    const file = await writeApp(kit, join(apps, group), app);
    truths.set(file.slice(apps.length + 1), { group, ...(await kit.truthOf(app)) });
  }

/** Every APK and AAR of others: nothing is in them, except that the app is there. */
const foreign = [];
const take = (path, from) => {
  const name = `free/${foreign.length}-${basename(path).replace(/[^\w.-]/g, '_')}`;
  mkdirSync(join(apps, 'free'), { recursive: true });
  linkSyncOrCopy(path, join(apps, name));
  foreign.push({ name, from });
  truths.set(name, { group: 'free', models: [], apis: undefined });
};
if (!values.only) {
  for (const name of modelFree.npm)
    for (const path of kit.filesOf(kit.package(name)).filter((each) => /\.(apk|aar)$/.test(each))) take(path, name);
  if (existsSync(modelFree.debian))
    for (const path of kit.filesOf(modelFree.debian).filter((each) => /\.apk$/.test(each))) take(path, 'androguard');
  if (existsSync(onnxTests.folder)) {
    const files = kit.filesOf(onnxTests.folder).filter((each) => each.endsWith('.onnx'));
    const holds = files.map((path, i) => [
      `assets/${i}.bin`,
      () => readFileSync(path),
      { format: 'onnx', sure: 'observed', disguise: 'renamed' },
    ]);
    const app = { name: 'onnx-tests', holds };
    const file = await writeApp(kit, join(apps, 'onnx'), app);
    truths.set(file.slice(apps.length + 1), { group: 'onnx', ...(await kit.truthOf(app)) });
  }
}

function linkSyncOrCopy(from, to) {
  try {
    linkSync(from, to);
  } catch {
    // Another file system.
    writeFileSync(to, readFileSync(from));
  }
}

console.log(`${truths.size} apps; auditing`);
const out = join(work, 'out');
rmSync(out, { recursive: true, force: true });
const audited = spawnSync(
  process.execPath,
  [join(root, 'dist/cli/main.js'), 'audit', apps, '--out', out, '--workers', '2', '--json'],
  { encoding: 'utf8', maxBuffer: 1 << 28 },
);
if (audited.status !== 0) throw new Error(`audit ended with ${audited.status}: ${audited.stderr}`);
const summary = JSON.parse(audited.stdout);
const records = new Map(
  readdirSync(join(out, 'records')).map((name) => [
    name.replace(/\.json$/, ''),
    JSON.parse(readFileSync(join(out, 'records', name), 'utf8')),
  ]),
);
const recordOf = (name) =>
  records.get(
    createHash('sha256')
      .update(readFileSync(join(apps, name)))
      .digest('hex'),
  );

const score = new Score();
/** What is known to be missed counts for itself. */
const limits = new Score();
for (const [name, truth] of truths) scoreApp(truth.group === 'limits' ? limits : score, name, truth, recordOf(name));

const free = [...truths].filter(([, { models }]) => models.every(({ beside }) => beside));
const reported = (name) => recordOf(name)?.models ?? [];
const result = {
  machine: { cpu: cpus()[0].model, node: process.version, platform: process.platform },
  packages: versions,
  apps: {
    all: truths.size,
    ...Object.fromEntries(
      [...new Set([...truths.values()].map(({ group }) => group))].map((group) => [
        group,
        [...truths.values()].filter((truth) => truth.group === group).length,
      ]),
    ),
    different: records.size,
    failed: summary.failed.length + summary.unavailable.length,
  },
  models: score.models(),
  byDisguise: score.byDisguise(),
  byFormat: score.byFormat(),
  knownLimits: { found: limits.models().found, missed: limits.misses, falseFindings: limits.falseFindings },
  evidence: score.evidence(),
  modelFree: {
    apps: free.length,
    filesInside: free.reduce((sum, [name]) => sum + (recordOf(name)?.app?.files ?? 0), 0),
    appsWithModelsReported: free.filter(([name]) => reported(name).length > 0).length,
  },
  misses: score.misses,
  falseFindings: score.falseFindings,
  wrong: score.wrong,
  wrongEvidence: score.wrongEvidence,
};
if (!values['no-oracles'])
  result.oracles = await compareOracles({
    root,
    apks: [...truths.keys()]
      .filter((name) => name.endsWith('.apk'))
      .map((name) => ({ name, path: join(apps, name), record: recordOf(name) })),
  });
if (!values.only) writeFileSync(join(root, 'bench/results/audit-truth.json'), `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result, null, 1));
const wrongs = [score.misses, score.falseFindings, score.wrong, score.wrongEvidence].flat().length;
process.exitCode = wrongs > 0 ? 1 : 0;
