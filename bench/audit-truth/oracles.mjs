/** @file Our readers against aapt, apksigner, dexdump and androguard over every APK of the corpus. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openDex } from '../../dist/audit/app/dex.js';
import { readEntries } from '../audit-throughput/zip.mjs';
import { inflateRawSync } from 'node:zlib';

const sorted = (list) => [...new Set(list)].sort();
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Calls of a DEX file as ours reads them. */
function callsOf(bytes) {
  const calls = new Set();
  let [invokes, classes] = [0, 0];
  for (const dex of openDex(new Uint8Array(bytes))) {
    classes += dex.classCount;
    dex.walk({
      invoke: (_, method) => {
        invokes++;
        calls.add(`${dex.type(dex.methodClass(method))} ${dex.methodName(method)}`);
      },
      string: () => undefined,
    });
  }
  return { classes, invokes, calls: sorted(calls) };
}

class Tally {
  rows = {};
  differences = [];
  note(what, tool, name, ours, theirs) {
    const row = (this.rows[`${what} (${tool})`] ??= { compared: 0, equal: 0 });
    row.compared++;
    if (same(ours, theirs)) row.equal++;
    else if (this.differences.length < 200) {
      const brief = (value) => {
        const text = JSON.stringify(value) ?? 'nothing';
        return text.length > 300 ? `${text.slice(0, 300)} …` : text;
      };
      this.differences.push({ app: name, what, tool, ours: brief(ours), theirs: brief(theirs) });
    }
  }
}

export async function compareOracles({ root, apks }) {
  const python = '/usr/bin/python3';
  const lines = [];
  for (let at = 0; at < apks.length; at += 1000) {
    const done = spawnSync(
      python,
      [join(root, 'bench/audit-truth/oracles.py'), ...apks.slice(at, at + 1000).map(({ path }) => path)],
      { encoding: 'utf8', maxBuffer: 1 << 30 },
    );
    if (done.status !== 0) throw new Error(`oracles.py ended with ${done.status}: ${done.stderr.slice(-2000)}`);
    lines.push(
      ...done.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    );
  }
  const code = Object.assign({}, ...lines.flatMap((line) => (line.code ? [line.code] : [])));
  const tally = new Tally();
  const read = new Map();
  for (const { name, path, record } of apks) {
    const said = lines.find(({ file }) => file === path);
    const part = record?.app?.parts.find((each) => !each.path.includes('!/'));
    const manifest = part?.manifest;
    const fields = ['package', 'versionCode', 'versionName', 'permissions'];
    const ours = {
      package: manifest?.package ?? '',
      versionCode: String(manifest?.versionCode ?? ''),
      versionName: manifest?.versionName ?? '',
      permissions: sorted(manifest?.permissions ?? []),
      sha256: sorted((part?.signatures ?? []).flatMap(({ certificates }) => certificates.map(({ sha256 }) => sha256))),
    };
    for (const tool of ['aapt', 'androguard']) {
      const theirs = said[tool];
      if (theirs === null || theirs.failure !== undefined || (tool === 'androguard' && !theirs.package)) continue;
      for (const field of fields)
        tally.note(
          field,
          tool,
          name,
          ours[field],
          Array.isArray(theirs[field]) ? theirs[field] : (theirs[field] ?? ''),
        );
    }
    // apksigner names only whom it has verified: signers of the best scheme.
    if (said.apksigner !== null)
      tally.note(
        'certificates',
        'apksigner',
        name,
        said.apksigner.sha256.filter((each) => ours.sha256.includes(each)),
        said.apksigner.sha256,
      );
    if (said.androguard.sha256?.length > 0)
      tally.note(
        'certificates',
        'androguard',
        name,
        said.androguard.sha256.filter((each) => ours.sha256.includes(each)),
        said.androguard.sha256,
      );
    for (const { name: file, sha256 } of said.dex ?? []) {
      if (read.has(sha256)) continue;
      read.set(sha256, true);
      const entry = readEntries(path).find((each) => each.name === file);
      const bytes = entry.method === 8 ? inflateRawSync(entry.packed) : entry.packed;
      if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw new Error(`${name}: ${file} differs`);
      const mine = callsOf(bytes);
      for (const tool of ['dexdump', 'androguard']) {
        const theirs = code[sha256][tool];
        if (!theirs || theirs.failure) continue;
        if (theirs.classes !== undefined) tally.note('classes', tool, name, mine.classes, theirs.classes);
        tally.note('invokes', tool, name, mine.invokes, theirs.invokes);
        tally.note('called methods', tool, name, mine.calls, sorted(theirs.calls.map((call) => call.join(' '))));
      }
    }
  }
  return { apks: apks.length, dexFiles: read.size, ...tally };
}
