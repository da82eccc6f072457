/**
 * @file Builds apps with Debian's aapt, smali and apksigner, and other containers by hand; disguises bytes.
 *
 * Android's own framework is in no Debian package; aapt needs it only to turn names of attributes into numbers, so a framework of a
 * few attributes, with Android's numbers, is made first.
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { packEntry, writeArchive } from '../audit-throughput/zip.mjs';

/** Commands that building needs, with Debian's packages. */
export const TOOLS = { aapt: 'aapt', smali: 'libsmali-java', apksigner: 'apksigner', keytool: 'a Java runtime' };

export const isInstalled = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 30, ...options });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`${command} ended with ${done.status}: ${done.stderr}${done.stdout}`);
  return done.stdout;
}

/** Attributes by Android's public numbers (R.attr). */
const ATTRIBUTES = {
  label: 0x01010001,
  name: 0x01010003,
  value: 0x01010024,
  minSdkVersion: 0x0101020c,
  versionCode: 0x0101021b,
  versionName: 0x0101021c,
  targetSdkVersion: 0x01010270,
};

const ANDROID = 'xmlns:android="http://schemas.android.com/apk/res/android"';
const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]);

function put(folder, name, data) {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, data);
  return path;
}

/** A workshop in a folder: what apps share is made once. */
export class Workshop {
  constructor(folder) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.framework = join(folder, 'framework.apk');
    if (!existsSync(this.framework)) {
      const rows = Object.entries(ATTRIBUTES).flatMap(([name, id]) => [
        `<attr name="${name}" format="string|integer|boolean|reference"/>`,
        `<public type="attr" name="${name}" id="0x${id.toString(16).padStart(8, '0')}"/>`,
      ]);
      put(folder, 'framework/res/values/attrs.xml', `<resources>${rows.join('')}</resources>`);
      const manifest = put(folder, 'framework/AndroidManifest.xml', `<manifest ${ANDROID} package="android"/>`);
      run('aapt', ['package', '-x', '-f', '-M', manifest, '-S', join(folder, 'framework/res'), '-F', this.framework]);
    }
  }

  #key() {
    const key = join(this.folder, 'key.p12');
    if (!existsSync(key))
      run('keytool', [
        ...['-genkeypair', '-keystore', key, '-storepass', 'android', '-alias', 'a', '-storetype', 'PKCS12'],
        ...['-keyalg', 'EC', '-validity', '20000', '-dname', 'CN=Truth, O=Example, C=GB'],
      ]);
    return key;
  }

  /** Classes in smali, assembled. */
  dex(sources) {
    const id = createHash('sha256').update(sources.join('\0')).digest('hex').slice(0, 16);
    const file = join(this.folder, `dex/${id}.dex`);
    if (!existsSync(file)) {
      const folder = join(this.folder, `dex/${id}`);
      const paths = sources.map((text, i) => put(folder, `${i}.smali`, text));
      run('smali', ['assemble', '-o', file, ...paths]);
      rmSync(folder, { recursive: true });
    }
    return readFileSync(file);
  }

  /** An APK. `files` is what it holds by path beside its manifest. */
  apk({ manifest, files = {}, signed = true }) {
    const folder = mkdtempSync(join(this.folder, 'apk-'));
    try {
      const { split, permissions = [], metadata = {} } = manifest;
      const xml = put(
        folder,
        'AndroidManifest.xml',
        `<manifest ${ANDROID} package="${manifest.package}" android:versionCode="${manifest.versionCode}"
 android:versionName="${escaped(manifest.versionName)}"${split ? ` split="${split}"` : ''}>
<uses-sdk android:minSdkVersion="21" android:targetSdkVersion="30"/>
${permissions.map((name) => `<uses-permission android:name="${name}"/>`).join('\n')}
<application android:label="${escaped(manifest.label ?? manifest.package)}">
${Object.entries(metadata)
  .map(([name, value]) => `<meta-data android:name="${escaped(name)}" android:value="${escaped(value)}"/>`)
  .join('\n')}</application></manifest>`,
      );
      const apk = join(folder, 'app.apk');
      run('aapt', ['package', '-f', '-M', xml, '-I', this.framework, '-F', apk]);
      const stage = join(folder, 'stage');
      const names = Object.keys(files);
      for (const name of names) put(stage, name, files[name]);
      for (let at = 0; at < names.length; at += 200)
        run('aapt', ['add', apk, ...names.slice(at, at + 200)], { cwd: stage });
      if (signed)
        run('apksigner', [
          ...['sign', '--ks', this.#key(), '--ks-pass', 'pass:android', '--v4-signing-enabled', 'false'],
          apk,
        ]);
      return readFileSync(apk);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** A ZIP of files by path. */
  async zip(files) {
    const folder = mkdtempSync(join(this.folder, 'zip-'));
    const path = join(folder, 'a.zip');
    await writeArchive(
      path,
      Object.entries(files).map(([name, data]) => packEntry(name, data)),
    );
    const bytes = readFileSync(path);
    rmSync(folder, { recursive: true });
    return bytes;
  }

  /** An ELF library from C, without anything that the compiler adds; `needed` are libraries that it names. */
  library(source, { needed = [], soname = 'libapp.so' } = {}) {
    const folder = mkdtempSync(join(this.folder, 'elf-'));
    const compile = (text, name, ...more) => {
      const c = put(folder, `${name}.c`, text);
      const out = join(folder, name);
      run('gcc', ['-shared', '-nostdlib', '-fPIC', '-O1', '-s', `-Wl,-soname,${name}`, '-o', out, c, ...more]);
      return out;
    };
    try {
      const stubs = needed.map((name) => compile(`int ${name.replace(/\W/g, '_')};`, name));
      return readFileSync(compile(source, soname, '-Wl,--no-as-needed', ...stubs));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** A TAR of files by path (ustar). */
export function tar(files) {
  const parts = Object.entries(files).flatMap(([name, data]) => {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write('0000644\0', 100);
    head.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
    head.write('        ', 148);
    head.write('0', 156);
    head.write('ustar\x0000', 257, 'latin1');
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [head, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** Bytes that look random and are always the same for a text. */
export function noise(length, seed = 'noise') {
  const cipher = createCipheriv('aes-128-ctr', createHash('md5').update(seed).digest(), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(length));
}

/** Packed by a module of Python's. */
const piped = (module, bytes) =>
  run(
    'python3',
    ['-c', `import sys, ${module}; sys.stdout.buffer.write(${module}.compress(sys.stdin.buffer.read()))`],
    {
      input: bytes,
      encoding: 'buffer',
    },
  );

/** What can be done to bytes; each is named as the truth table names its disguise. */
export const disguises = {
  gzip: (bytes) => gzipSync(bytes),
  zlib: (bytes) => deflateSync(bytes),
  deflate: (bytes) => deflateRawSync(bytes),
  encrypted: (bytes) => {
    const key = createHash('md5').update('key').digest();
    const cipher = createCipheriv('aes-128-cbc', key, Buffer.alloc(16, 7));
    return Buffer.concat([cipher.update(bytes), cipher.final()]);
  },
  xor: (bytes, key = 0x5a) => Buffer.from(bytes.map((byte) => byte ^ key)),
  xorKey: (bytes, key = 'Sixteen-byte-key') =>
    Buffer.from(bytes.map((byte, i) => byte ^ key.charCodeAt(i % key.length))),
  base64: (bytes) => Buffer.from(Buffer.from(bytes).toString('base64')),
  xz: (bytes) => piped('lzma', bytes),
  bzip2: (bytes) => piped('bz2', bytes),
  reversed: (bytes) => Buffer.from(bytes).reverse(),
};

/** A class in smali whose one method makes calls (`Lclass;->name`) and mentions texts. */
export function smaliClass(descriptor, { calls = [], texts = [] } = {}) {
  return [
    `.class public ${descriptor}`,
    '.super Ljava/lang/Object;',
    '.method public static work()V',
    '.registers 1',
    ...texts.map((text) => `const-string v0, "${text}"`),
    ...calls.map((call) => `invoke-static {}, ${call}()V`),
    'return-void',
    '.end method',
    '',
  ].join('\n');
}
