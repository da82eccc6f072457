/** Makes a fresh clone ready: installs the locked packages, compiles, links the command. Does nothing where all is up to date. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function run(what, command, args) {
  process.stderr.write(`cuttle: ${what}\n`);
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (error || status !== 0) {
    process.stderr.write(`cuttle: ${what}: failed${error ? ` (${error.message})` : ''}\n`);
    process.exit(1);
  }
}

/** Newest change below a folder. */
function newest(folder) {
  let latest = modified(folder);
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    latest = Math.max(
      latest,
      entry.isDirectory() ? newest(join(folder, entry.name)) : modified(join(folder, entry.name)),
    );
  return latest;
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  process.stderr.write(`cuttle: Node 20 or newer is needed; this is ${process.version}\n`);
  process.exit(1);
}

const installed = at('node_modules', '.package-lock.json');
if (modified(installed) < modified(at('package-lock.json')))
  run('installing packages', 'npm', [
    'ci',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);

const stamp = at('dist', '.built');
const sources = Math.max(newest(at('src')), newest(at('studio')), modified(at('tsconfig.json')), modified(installed));
if (modified(stamp) < sources) {
  rmSync(at('dist'), { recursive: true, force: true });
  run('compiling', process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);
  run('building the studio', process.execPath, [
    at('node_modules', 'vite', 'bin', 'vite.js'),
    ...['build', at('studio'), '--logLevel', 'warn'],
  ]);
  chmodSync(at('dist', 'cli', 'main.js'), 0o755);
  writeFileSync(stamp, '');
}

// `npx cuttle` in the checkout finds the command here, as it would in a project that installed the package.
const link = at('node_modules', '.bin', 'cuttle');
if (process.platform !== 'win32' && !existsSync(link)) {
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(join('..', '..', 'dist', 'cli', 'main.js'), link);
}
