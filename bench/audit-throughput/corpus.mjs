/**
 * @file A collection of apps repacked from real parts: bases are real APKs; DEX files, native libraries, web modules and models
 * fill them up to sizes drawn from a log-normal distribution. Everything is seeded; every app differs from every other.
 *
 * The parts come from npm (`npm pack`, no install) and, where they are there, Debian's androguard examples and ../shared.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createRandom } from '../../dist/platform/index.js';
import { costOf, packEntry, readEntries, writeArchive } from './zip.mjs';

const PACKAGES = [
  'android-apidemos@5.0.0',
  '@mediapipe/tasks-vision@0.10.5',
  '@mediapipe/face_mesh@0.4.1657299874',
  'nodejs-mobile-react-native@18.20.4',
];
const EXAMPLES = '/usr/share/doc/androguard/examples';

/** Sizes: exp of a normal distribution; MB. `scale` is what disk allows: the mean on Google Play is about nine times larger. */
export const SIZES = { medianMB: 2.4, sigma: 1.15, leastMB: 0.2, mostMB: 60 };

const ABIS = ['arm64-v8a', 'armeabi-v7a', 'x86_64'];
/** What fills an app beyond its base, by bytes. */
const FILL = { libraries: 0.45, dex: 0.3, assets: 0.25 };
/** Apps with models; a study of Google Play's top apps found 2.3 %. */
const WITH_MODELS = 0.05;

function filesOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Fetches what is missing; gives folders. */
function packages(work) {
  const folder = join(work, 'packages');
  mkdirSync(folder, { recursive: true });
  return PACKAGES.map((name) => {
    const into = join(folder, name.replace(/[@/]/g, '_'));
    if (existsSync(into)) return into;
    const packed = spawnSync('npm', ['pack', '--silent', '--pack-destination', folder, name], { encoding: 'utf8' });
    if (packed.status !== 0) throw new Error(`npm pack ${name}: ${packed.stderr}`);
    const file = join(folder, packed.stdout.trim().split('\n').at(-1));
    mkdirSync(into);
    const untarred = spawnSync('tar', ['xzf', file, '-C', into]);
    if (untarred.status !== 0) throw new Error(`tar: ${untarred.stderr}`);
    rmSync(file);
    return into;
  });
}

/** All parts, packed once. */
function collect(work, root) {
  const files = [...packages(work).flatMap(filesOf), ...filesOf(EXAMPLES)];
  const modules = join(root, 'node_modules');
  const read = (path, name) => packEntry(name, readFileSync(path));
  const bases = files
    .filter((path) => /\.apk$/.test(path) && !/[Ii]nvalid|framework-res|apksig|partial/.test(path))
    .map((path) => ({ path, entries: readEntries(path) }))
    .filter(({ entries }) => entries.some(({ name }) => name === 'classes.dex'))
    .map(({ path, entries }) => ({
      name: basename(path),
      entries,
      bytes: entries.reduce((sum, entry) => sum + costOf(entry), 0),
    }))
    .sort((a, b) => a.bytes - b.bytes);
  const dex = [
    ...files.filter((path) => /\.dex$/.test(path)).map((path) => read(path, basename(path))),
    ...bases.flatMap(({ entries }) => entries.filter(({ name }) => /^classes\d*\.dex$/.test(name))),
  ].filter(({ size, packed }) => size > 50_000 && packed.length > 20_000);
  const native = [
    ...files.filter((path) => /\/android\/.*\.so$/.test(path)),
    ...filesOf(join(modules, 'onnxruntime-node')).filter((path) => /linux.*(\.so\.1|binding\.node)$/.test(path)),
    ...['@img', '@antoniomuso']
      .flatMap((scope) => filesOf(join(modules, scope)))
      .filter((path) => /linux-x64.*(\.node|\.so[\d.]*)$/.test(path)),
  ].map((path) =>
    read(
      path,
      `lib${basename(path)
        .replace(/\.(so|node).*$/, '')
        .replace(/^lib/, '')}.so`,
    ),
  );
  const assets = [
    ...files
      .filter((path) => /\.(wasm|js|map|binarypb|d\.ts|h)$/.test(path))
      .filter((_, i) => i % 4 === 0)
      .map((path) => read(path, basename(path))),
    ...bases.flatMap(({ entries }) =>
      entries.filter(({ name, size }) => /\.(png|jpg|ogg|ttf|xml)$/.test(name) && size > 10_000),
    ),
  ].filter(({ size }) => size > 2000);
  const models = [
    ...filesOf(join(root, '../shared/models')),
    ...files.filter((path) => /\.(tflite|data|binarypb)$/.test(path)),
  ]
    .filter((path) => /\.(tflite|onnx|param|bin|mnn|caffemodel|prototxt|mlmodel|h5|data|pb)$/.test(path))
    .map((path) => read(path, basename(path)));
  return { bases, dex, native, assets, models };
}

/**
 * Makes `count` apps in `folder`, unless they are there. Gives what they are made of.
 */
export async function makeCorpus({ work, root, folder, count, seed }) {
  const stamp = join(work, 'corpus.json');
  const wanted = { count, seed, ...SIZES, fill: FILL, shareWithModels: WITH_MODELS, version: 4 };
  if (existsSync(stamp)) {
    const made = JSON.parse(readFileSync(stamp, 'utf8'));
    if (Object.entries(wanted).every(([key, value]) => JSON.stringify(made[key]) === JSON.stringify(value)))
      return made;
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const parts = collect(work, root);
  const random = createRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const pick = (list) => list[Math.floor(random.next() * list.length)];
  const totals = { bytes: 0, unpacked: 0, files: 0, withModels: 0, modelFiles: 0 };
  const sizes = [];
  for (let i = 0; i < count; i++) {
    const target =
      1e6 * Math.min(SIZES.mostMB, Math.max(SIZES.leastMB, SIZES.medianMB * Math.exp(SIZES.sigma * normal())));
    const fitting = parts.bases.filter(({ bytes }) => bytes <= target);
    const base = fitting.length > 0 ? pick(fitting) : parts.bases[0];
    const entries = [...base.entries];
    const names = new Set(entries.map(({ name }) => name));
    let left = target - base.bytes;
    const add = (entry, name) => {
      if (names.has(name)) return;
      names.add(name);
      entries.push({ ...entry, name });
      left -= costOf(entry);
    };
    add(packEntry('', Buffer.from(`app ${i} of seed ${seed}\n`), 0), 'assets/build.txt');
    if (random.next() < WITH_MODELS && parts.models.length > 0) {
      totals.withModels++;
      const many = 1 + Math.floor(random.next() * 4);
      for (let k = 0; k < many; k++, totals.modelFiles++) {
        const model = pick(parts.models);
        add(model, `assets/ml/${k}/${model.name}`);
      }
    }
    // Parts are drawn at random of those that fit, until none does.
    const fill = (list, share, nameOf) => {
      let budget = share * left;
      for (let k = 0; k < 2000; k++) {
        const fit = list.filter((part) => costOf(part) <= budget);
        if (fit.length === 0) return;
        const part = pick(fit);
        add(part, nameOf(part, k));
        budget -= costOf(part);
      }
    };
    let dexes = entries.filter(({ name }) => /^classes\d*\.dex$/.test(name)).length;
    fill(parts.native, FILL.libraries, (part, k) => `lib/${ABIS[k % 3]}/${k < 3 ? '' : k}${part.name}`);
    fill(parts.dex, FILL.dex / (1 - FILL.libraries), () => `classes${++dexes}.dex`);
    fill(parts.assets, 1, (part, k) => `assets/www/${k}/${basename(part.name)}`);
    const file = join(folder, `app-${String(i).padStart(5, '0')}.apk`);
    await writeArchive(file, entries);
    const bytes = entries.reduce((sum, entry) => sum + costOf(entry), 22);
    sizes.push(bytes);
    totals.bytes += bytes;
    totals.unpacked += entries.reduce((sum, { size }) => sum + size, 0);
    totals.files += entries.length;
  }
  sizes.sort((a, b) => a - b);
  const quantile = (share) => sizes[Math.min(count - 1, Math.floor(share * count))];
  const made = {
    ...wanted,
    ...totals,
    meanBytes: Math.round(totals.bytes / count),
    quantiles: { p10: quantile(0.1), p50: quantile(0.5), p90: quantile(0.9), most: quantile(1) },
    parts: Object.fromEntries(Object.entries(parts).map(([kind, list]) => [kind, list.length])),
  };
  writeFileSync(stamp, JSON.stringify(made, null, 2));
  return made;
}
