/** @file Apps: every reader against what Debian's own tools recorded (test/oracles/record-apps.py), and against hostile bytes. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  openDex,
  openResources,
  readApp,
  readBinaryXml,
  readClassFile,
  readElf,
  readManifest,
  readPlist,
  readTextXml,
  type App,
  type XmlElement,
} from '../../src/audit/app/index.js';
import { certificatesOfPkcs7, readCertificate } from '../../src/audit/app/certificate.js';
import { derValues, type DerValue } from '../../src/audit/app/der.js';
import { auditApp } from '../../src/audit/audit-app.js';
import { AuditError, bytesSource } from '../../src/audit/index.js';
import { nodeHost } from '../../src/audit/node-host.js';
import { walkArchive } from '../../src/audit/archive/index.js';
import { readSigningBlock } from '../../src/audit/app/signing-block.js';
import { writeZip } from './zip-writer.js';

const folder = resolve(import.meta.dirname, '../fixtures/audit');
const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
const utf8 = new TextEncoder();
const bytes = (text: string): Uint8Array => utf8.encode(text);

interface Recorded {
  readonly apks: Readonly<
    Record<
      string,
      {
        readonly package: string;
        readonly versionCode: number;
        readonly versionName: string;
        readonly label: string | null;
        readonly permissions: readonly string[];
        readonly tree: readonly (readonly [string, string])[];
        readonly resources: readonly (readonly [number, string])[];
        readonly signatures: { readonly schemes: readonly string[]; readonly subject: string; readonly sha256: string };
      }
    >
  >;
  readonly dex: Readonly<
    Record<
      string,
      {
        readonly classes: readonly string[];
        readonly methods: readonly (readonly [string, string, string])[];
        readonly calls: readonly (readonly [string, string, string])[];
        readonly strings: readonly (readonly [string, string])[];
        readonly dexdumpCalls: number;
      }
    >
  >;
  readonly elf: Readonly<
    Record<
      string,
      {
        readonly soname: string;
        readonly needed: readonly string[];
        readonly imports: readonly string[];
        readonly exports: readonly string[];
      }
    >
  >;
}
const recorded = JSON.parse(readFileSync(join(folder, 'apps.json'), 'utf8')) as Recorded;
const read = (app: Uint8Array, name = 'a.apk'): Promise<App> => readApp(app, name, { host: nodeHost });

/** Files of an archive by name. */
async function unpack(archive: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  await walkArchive(bytesSource(archive), 'a', {
    host: nodeHost,
    visit: async ({ name, depth, source }) => void (depth === 1 && files.set(name, await source.read(0, source.size))),
  });
  return files;
}

const flat = (element: XmlElement): readonly (readonly [string, string])[] => [
  ['E', element.name],
  ...element.attributes.map(({ name }) => ['A', name] as const),
  ...element.children.flatMap(flat),
];

describe.each(Object.entries(recorded.apks))('%s, as aapt and apksigner see it', (name, want) => {
  test('manifest, label, permissions', async () => {
    const app = await read(fixture(name));
    expect(app).toMatchObject({ container: 'apk', platform: 'android', problems: [], condition: 'intact' });
    expect(app.parts).toHaveLength(1);
    const { manifest } = app.parts[0]!;
    expect(manifest).toMatchObject({
      package: want.package,
      versionCode: want.versionCode,
      versionName: want.versionName,
      label: want.label,
    });
    expect([...manifest.permissions].sort()).toEqual(want.permissions);
    expect(app.code.classes).toBeGreaterThan(0);
  });

  test('every element and attribute', async () => {
    const files = await unpack(fixture(name));
    expect(flat(readBinaryXml(files.get('AndroidManifest.xml')!))).toEqual(want.tree);
  });

  test('every resource', async () => {
    const files = await unpack(fixture(name));
    const resources = openResources(files.get('resources.arsc')!);
    expect([...resources.ids()].map((id) => [id, resources.name(id)!.slice(1)]).sort()).toEqual(
      [...want.resources].sort(),
    );
  });

  test('signatures', async () => {
    const { parts } = await read(fixture(name));
    const { signatures } = parts[0]!;
    expect(signatures.map(({ scheme }) => scheme).sort()).toEqual(want.signatures.schemes);
    for (const { certificates } of signatures)
      expect(certificates.map(({ subject, sha256 }) => ({ subject, sha256 }))).toEqual([
        { subject: want.signatures.subject, sha256: want.signatures.sha256 },
      ]);
  });
});

test('the certificate of the signer comes first, whatever stands before it', async () => {
  const [, signature] = [...(await unpack(fixture('hello.apk')))].find(([name]) => /\.RSA$/.test(name))!;
  const [own] = certificatesOfPkcs7(signature);
  // The same certificate under another serial number, put in front of it in the set.
  const other = Uint8Array.from(own!);
  const { serial, sha256 } = await readCertificate(own!);
  const at = Buffer.from(other).indexOf(Buffer.from(serial, 'hex'));
  other[at] = other[at]! ^ 1;
  const set = Buffer.from(signature).indexOf(Buffer.from(own!));
  const grown = (value: DerValue, inside: Uint8Array): Uint8Array => {
    const length = inside.length;
    return new Uint8Array([value.tag, 0x82, length >> 8, length & 255, ...inside]);
  };
  const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
  const [outer] = derValues(signature);
  const [oid, wrapped] = derValues(outer!.content);
  const [signed] = derValues(wrapped!.content);
  const fields = derValues(signed!.content).map((value) =>
    value.tag === 0xa0 ? grown(value, joined(other, value.content)) : value.whole,
  );
  const changed = grown(outer!, joined(oid!.whole, grown(wrapped!, grown(signed!, joined(...fields)))));
  expect(set).toBeGreaterThan(0);
  const [first, second] = await Promise.all(certificatesOfPkcs7(changed).map(readCertificate));
  expect([first?.sha256, second?.subject]).toEqual([sha256, first?.subject]);
  expect(second?.serial).not.toBe(serial);
});

test('DEX: classes, methods, calls and strings, as dexdump and androguard see them', () => {
  const want = recorded.dex['calls.dex']!;
  const [dex] = openDex(fixture('calls.dex'));
  const classes = [...dex!.classes()];
  expect(classes.map(({ type }) => dex!.type(type)).sort()).toEqual(want.classes);
  const methods = classes.flatMap((each) =>
    [...dex!.methods(each)].map(({ method }) => {
      const { parameters, returns } = dex!.methodProto(method);
      return [dex!.type(dex!.methodClass(method)), dex!.methodName(method), `(${parameters.join('')})${returns}`];
    }),
  );
  expect(methods.sort()).toEqual(want.methods);
  const calls: string[] = [];
  const strings: string[] = [];
  dex!.walk({
    invoke: (caller, method) =>
      calls.push([dex!.type(caller), dex!.type(dex!.methodClass(method)), dex!.methodName(method)].join(' ')),
    string: (caller, string) => strings.push(`${dex!.type(caller)} ${dex!.string(string)}`),
  });
  expect(calls).toHaveLength(want.dexdumpCalls);
  expect([...new Set(calls)].sort()).toEqual(want.calls.map((call) => call.join(' ')).sort());
  expect(strings).toContain('Lcom/example/app/Other; \0 🐙 zero and octopus');
  expect(strings).toContain('Lcom/example/app/Main; rekognition.eu-west-1.amazonaws.com');
});

test.each(Object.entries(recorded.elf))('ELF: %s, as readelf sees it', async (name, want) => {
  const { imports, exports, ...library } = await readElf(bytesSource(fixture(name)));
  expect(library).toEqual({ abi: 'x86_64', soname: want.soname, needed: want.needed });
  expect([...imports].sort()).toEqual(want.imports);
  expect([...exports].sort()).toEqual(want.exports);
});

test('Java class files', () => {
  const { descriptor, methods, strings } = readClassFile(fixture('Calls.class'));
  expect(descriptor).toBe('Lcom/example/lib/Calls;');
  expect(methods).toContainEqual({ owner: 'Ljava/lang/Class;', name: 'forName' });
  expect(strings).toContain('https://vision.googleapis.com/v1/images:annotate');
});

/** An APK with the code, the library and the manifest of the fixtures. */
const evidenceApk = async (): Promise<Uint8Array> =>
  writeZip([
    { name: 'AndroidManifest.xml', data: (await unpack(fixture('hello.apk'))).get('AndroidManifest.xml')! },
    { name: 'classes.dex', data: fixture('calls.dex') },
    { name: 'lib/x86_64/libapp.so', data: fixture('native-gnu.so') },
    { name: 'lib/x86_64/libtensorflowlite_jni.so', data: fixture('native-sysv.so') },
  ]);

describe('evidence', () => {
  test('tells calls of the app from calls of libraries, and both from what only lies there', async () => {
    const { evidence, abis } = await read(await evidenceApk());
    expect(abis).toEqual(['x86_64']);
    const found = evidence.map(({ subject, use, clue, confidence, path }) =>
      [subject, use, clue, confidence, path.split('/').at(-1)].join(' '),
    );
    expect(found).toEqual([
      'aws-rekognition referenced host derived classes.dex',
      'mlkit called call observed classes.dex',
      'mlkit present class observed classes.dex',
      'nnapi called call observed classes.dex',
      'onnxruntime present class observed classes.dex',
      'openai referenced host derived classes.dex',
      'opencl referenced string suspected libapp.so',
      'opencl referenced string suspected libtensorflowlite_jni.so',
      'pytorch referenced class observed classes.dex',
      'tflite called call observed classes.dex',
      'tflite called symbol observed libapp.so',
      'tflite called symbol observed libtensorflowlite_jni.so',
      'tflite called-by-library call observed classes.dex',
      'tflite present class observed classes.dex',
      'tflite present library derived libtensorflowlite_jni.so',
    ]);
    const openai = evidence.find(({ subject }) => subject === 'openai');
    expect(openai).toMatchObject({ count: 1, examples: ['https://api.openai.com/v1/chat/completions'] });
  });
});

describe('containers', () => {
  test('split APKs, bundles, libraries, iOS apps, plain archives, plain files', async () => {
    const hello = fixture('hello.apk');
    expect(
      (
        await read(
          writeZip([
            { name: 'base.apk', data: hello },
            { name: 'toc.pb', data: bytes('x') },
          ]),
        )
      ).container,
    ).toBe('apks');
    expect(
      (
        await read(
          writeZip([
            { name: 'base.apk', data: hello },
            { name: 'manifest.json', data: bytes('{}') },
          ]),
        )
      ).container,
    ).toBe('xapk');
    const library = await read(
      writeZip([
        {
          name: 'AndroidManifest.xml',
          data: bytes(
            '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="a.b"><uses-sdk android:minSdkVersion="21"/></manifest>',
          ),
        },
        {
          name: 'classes.jar',
          data: writeZip([{ name: 'com/example/lib/Calls.class', data: fixture('Calls.class') }]),
        },
      ]),
    );
    expect(library).toMatchObject({ container: 'aar', platform: 'android', condition: 'intact' });
    expect(library.parts[0]?.manifest).toMatchObject({ package: 'a.b', minSdk: 21 });
    expect(library.evidence.map(({ subject, use, clue }) => [subject, use, clue])).toEqual([
      ['google-vision', 'referenced', 'host'],
    ]);
    const plist = bytes(
      '<?xml version="1.0"?><!DOCTYPE plist PUBLIC "x" "y"><plist><dict><key>CFBundleIdentifier</key><string>a.b &amp; c</string><key>NSCameraUsageDescription</key><string>x</string></dict></plist>',
    );
    const ios = await read(
      writeZip([
        { name: 'Payload/A.app/Info.plist', data: plist },
        {
          name: 'Payload/A.app/A',
          data: new Uint8Array([
            0xcf,
            0xfa,
            0xed,
            0xfe,
            ...bytes('xx/System/Library/Frameworks/CoreML.framework/CoreML'),
          ]),
        },
      ]),
    );
    expect(ios).toMatchObject({
      container: 'ipa',
      platform: 'ios',
      ios: { bundle: 'a.b & c', permissions: ['NSCameraUsageDescription'] },
    });
    expect(ios.evidence.map(({ subject }) => subject)).toEqual(['coreml']);
    expect((await read(writeZip([{ name: 'x.txt', data: bytes('x') }]))).container).toBe('archive');
    expect((await read(bytes('just text'))).container).toBe('file');
    expect((await read(writeZip([{ name: 'classes.dex', data: bytes('no') }]))).condition).toBe('damaged');
  });

  test('the manifest of a bundle, as protobuf', () => {
    const field = (number: number, data: Uint8Array | string): Uint8Array => {
      const body = typeof data === 'string' ? bytes(data) : data;
      return new Uint8Array([
        number * 8 + 2,
        ...(body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7]),
        ...body,
      ]);
    };
    const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
    const attribute = (name: string, value: string, item?: Uint8Array): Uint8Array =>
      field(
        4,
        join(
          field(1, name === 'package' ? '' : 'http://schemas.android.com/apk/res/android'),
          field(2, name),
          field(3, value),
          ...(item ? [field(6, item)] : []),
        ),
      );
    const permission = field(
      5,
      field(1, join(field(3, 'uses-permission'), attribute('name', 'android.permission.CAMERA'))),
    );
    const version = field(7, new Uint8Array([6 * 8, 0xac, 0x02]));
    const root = field(
      1,
      join(
        field(3, 'manifest'),
        attribute('package', 'a.bundle'),
        attribute('versionCode', '300', version),
        permission,
      ),
    );
    expect(readManifest(root)).toMatchObject({
      package: 'a.bundle',
      versionCode: 300,
      permissions: ['android.permission.CAMERA'],
    });
  });

  test('binary property lists', () => {
    // {"a": [1, true], "b": "é"} by hand: objects, offsets, trailer.
    const objects = [[0xd2, 1, 2, 3, 4], [0x51, 0x61], [0x51, 0x62], [0xa2, 5, 6], [0x61, 0, 0xe9], [0x10, 1], [0x09]];
    const body = [...bytes('bplist00'), ...objects.flat()];
    let at = 8;
    const offsets = objects.map((object) => (at += object.length) - object.length);
    const trailer = [0, 0, 0, 0, 0, 0, 1, 1, ...[objects.length, 0, at].flatMap((n) => [0, 0, 0, 0, 0, 0, 0, n])];
    const file = new Uint8Array([...body, ...offsets, ...trailer]);
    expect(readPlist(file)).toEqual({ a: [1, true], b: 'é' });
    const circle = file.slice();
    circle[8 + objects[0]!.length + 4 + 1] = 0;
    expect(() => readPlist(circle)).toThrow(/circle/);
  });

  test('XML without entities of its own', () => {
    const laughs = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a x="&lt;&#65;&c;">&c;<![CDATA[<&>]]></a>';
    expect(readTextXml(bytes(laughs))).toMatchObject({
      name: 'a',
      text: '&c;<&>',
      attributes: [{ name: 'x', value: { value: '<A&c;' } }],
    });
    for (const broken of ['', '<a>', '<a></b>', '<a b=c/>', '<!--', '<a><![CDATA[</a>', '</a>', '<'])
      expect(() => readTextXml(bytes(broken)), broken).toThrow(AuditError);
    expect(() => readTextXml(bytes('<a>'.repeat(1000)))).toThrow(/nested/);
  });
});

test('models are looked for in every file, and a broken one is told', async () => {
  const seen: string[] = [];
  const inner = writeZip([{ name: 'b', data: bytes('b') }]);
  const archive = writeZip([
    { name: 'a.bin', data: bytes('a') },
    { name: 'z.zip', data: inner },
  ]);
  const { app, models } = await auditApp(archive, 'x.zip', {
    host: nodeHost,
    finder: async ({ path, source }) => {
      seen.push(path);
      if (path.endsWith('a.bin')) throw new AuditError('test', 'broken');
      const found = { format: 'tflite', path, offset: 0, length: 1, confidence: 'observed', evidence: [] } as const;
      return source.size === 1 ? [found] : [];
    },
  });
  expect(seen).toEqual(['x.zip', 'x.zip!/a.bin', 'x.zip!/z.zip', 'x.zip!/z.zip!/b']);
  expect(models.map(({ path }) => path)).toEqual(['x.zip!/z.zip!/b']);
  expect(app.problems).toEqual([{ code: 'models/broken-file', path: 'x.zip!/a.bin', message: 'broken' }]);
});

const models = resolve(import.meta.dirname, '../../../shared/models/formats');
if (!existsSync(models)) console.warn('skipped: ../shared/models is not there');
test.skipIf(!existsSync(models))(
  'a model in an app is found once, stored or packed, and none where there is none',
  async () => {
    const tflite = new Uint8Array(readFileSync(join(models, 'odd/ondevice_inference.tflite')));
    const extra = [
      { name: 'assets/m.tflite', data: tflite, method: 0 },
      { name: 'assets/renamed.png', data: tflite },
      { name: 'assets/more.zip', data: writeZip([{ name: 'inner.bin', data: tflite }]) },
    ];
    const base = (await unpack(fixture('hello.apk'))).get('AndroidManifest.xml')!;
    const manifest = { name: 'AndroidManifest.xml', data: base };
    const { app, models: found } = await auditApp(writeZip([manifest, ...extra]), 'a.apk', { host: nodeHost });
    expect(app.container).toBe('apk');
    expect(found.map(({ format, path }) => `${format} ${path}`)).toEqual([
      'tflite a.apk!/assets/m.tflite',
      'tflite a.apk!/assets/renamed.png',
      'tflite a.apk!/assets/more.zip!/inner.bin',
    ]);
    expect((await auditApp(await evidenceApk(), 'b.apk', { host: nodeHost })).models).toEqual([]);
    expect((await auditApp(fixture('signed.apk'), 'c.apk', { host: nodeHost })).models).toEqual([]);
  },
);

describe('hostile bytes', async () => {
  const hello = await unpack(fixture('hello.apk'));
  const signature = [...hello].find(([name]) => /\.RSA$/.test(name))![1];
  const signed = fixture('signed.apk');
  const directory = Buffer.from(signed).readUInt32LE(signed.length - 6);
  const readers: Readonly<Record<string, readonly [Uint8Array, (data: Uint8Array) => unknown]>> = {
    'binary XML': [hello.get('AndroidManifest.xml')!, (data) => readManifest(data)],
    resources: [
      hello.get('resources.arsc')!,
      (data) => {
        const table = openResources(data);
        let left = 200;
        for (const id of table.ids()) {
          if (left-- === 0) break;
          table.name(id);
          table.text(id);
        }
      },
    ],
    dex: [
      fixture('calls.dex'),
      (data) =>
        openDex(data).forEach((dex) => {
          for (let i = 0; i < Math.min(200, dex.methodCount); i++) dex.methodProto(i);
          dex.walk({ invoke: (_, method) => dex.methodName(method), string: (_, string) => dex.string(string) });
        }),
    ],
    elf: [fixture('native-gnu.so'), (data) => readElf(bytesSource(data))],
    'elf with a plain hash': [fixture('native-sysv.so'), (data) => readElf(bytesSource(data))],
    'class file': [fixture('Calls.class'), readClassFile],
    'PKCS#7': [signature, (data) => Promise.all(certificatesOfPkcs7(data).map(readCertificate))],
    'signing block': [signed.slice(0, directory), (data) => readSigningBlock(bytesSource(data), data.length)],
    app: [await evidenceApk(), (data) => read(data)],
  };
  test.each(Object.entries(readers))('%s', { timeout: 120_000 }, async (name, [seed, reader]) => {
    await reader(seed);
    const edge = fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0xfe);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: seed.length - 1 }), fc.oneof(fc.nat(255), edge)), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.option(fc.nat({ max: seed.length }), { freq: 4 }),
        async (changes, cut) => {
          const changed = seed.slice(0, cut ?? seed.length);
          for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte;
          try {
            await reader(changed);
          } catch (error) {
            if (!(error instanceof AuditError)) throw error;
            expect(error.message.length).toBeLessThan(600);
          }
        },
      ),
      { numRuns: name === 'app' ? 300 : 2000, seed: 11 },
    );
  });
});
