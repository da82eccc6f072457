/** @file Opens what the truth table names — shared models, fixtures, npm's packages — and writes its apps. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Zstd } from '@hpcc-js/wasm-zstd';
import { disguises, noise, smaliClass, tar, Workshop } from './build.mjs';

/** Files below a folder, in order. */
export function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/**
 * A kit over a checkout: `root`, the folder `work` for what is made, and the versions of npm's packages, which are fetched
 * (`npm pack`, without installing) when first asked for.
 */
export async function openKit({ root, work, versions }) {
  const workshop = new Workshop(join(work, 'workshop'));
  const zstd = await Zstd.load();
  const kit = {
    workshop,
    filesOf,
    noise,
    tar,
    disguise: { ...disguises, zstd: (bytes) => Buffer.from(zstd.compress(bytes)) },
    shared: (path) => readFileSync(join(root, '../shared/models', path)),
    fixture: (path) => readFileSync(join(root, 'test/fixtures/audit', path)),
    zip: (files) => workshop.zip(files),
    apk: (options) => workshop.apk({ ...options, signed: false }),
    library: (...words) => workshop.library(...words),
    /** The folder of a package. */
    package(name) {
      const spec = `${name}@${versions[name]}`;
      const folder = join(work, 'packages');
      const into = join(folder, spec.replace(/[@/]/g, '_'));
      if (!existsSync(into)) {
        mkdirSync(folder, { recursive: true });
        const packed = spawnSync('npm', ['pack', '--silent', '--pack-destination', folder, spec], { encoding: 'utf8' });
        if (packed.status !== 0) throw new Error(`npm pack ${spec}: ${packed.stderr}`);
        const file = join(folder, packed.stdout.trim().split('\n').at(-1));
        mkdirSync(into);
        const untarred = spawnSync('tar', ['xzf', file, '-C', into]);
        if (untarred.status !== 0) throw new Error(`tar: ${untarred.stderr}`);
        rmSync(file);
      }
      return join(into, 'package');
    },
    /** Models and evidence of an app, each model with its path inside. */
    async truthOf({ holds = [], source, models = [], apis }) {
      const rows = source ? models.map(([path, row]) => [`assets/${path}`, undefined, row]) : holds;
      return {
        apis,
        models: rows.flatMap(([path, , row]) =>
          (row === undefined ? [] : [row].flat()).map(({ inner = '', ...each }) => ({
            path: `${path}${inner}`,
            ...each,
          })),
        ),
      };
    },
  };
  return kit;
}

/** What an app of the table holds, by path. */
async function contentsOf(kit, { holds = [], source, code }) {
  const files = {};
  for (const [path, open] of holds) files[path] = await open(kit);
  if (source) {
    const folder = kit.package(source);
    for (const path of filesOf(folder)) {
      const name = path.slice(folder.length + 1);
      // The tool that adds files takes no empty ones and no odd names; neither holds a model.
      files[`assets/${name.replace(/[^\w./@-]/g, '_')}`] = readFileSync(path);
    }
  }
  if (code) files['classes.dex'] = kit.workshop.dex(Object.entries(code).map(([name, work]) => smaliClass(name, work)));
  return files;
}

/** Writes an app into `folder`; gives its path. */
export async function writeApp(kit, folder, app) {
  mkdirSync(folder, { recursive: true });
  const { container = 'apk', name } = app;
  const path = join(folder, `${name}.${container}`);
  const files = await contentsOf(kit, app);
  const bytes =
    container === 'apk'
      ? kit.workshop.apk({
          manifest: {
            package: `org.example.${name.replace(/\W/g, '_')}`,
            versionCode: 1 + name.length,
            versionName: `1.${name.length}`,
            permissions: ['android.permission.CAMERA', 'android.permission.INTERNET'].slice(name.length % 3),
            metadata: app.metadata,
          },
          files,
          signed: app.signed ?? true,
        })
      : await kit.zip(files);
  writeFileSync(path, bytes);
  return path;
}
