/** @file A package that depends on Cuttle: its TypeScript type-checks and its JavaScript runs, by the names in package.json. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, describe, expect, test } from 'vitest';
import { root, subpaths } from './entries.js';

const built = existsSync(join(root, 'dist/index.js'));
if (!built) console.warn('skipped: dist/ is not built (npm run build)');

const folder = mkdtempSync(join(tmpdir(), 'cuttle-consumer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, 'node_modules'));
symlinkSync(root, join(folder, 'node_modules/cuttle'), 'junction');
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');

const everywhere = `
import { CuttleError, type Model } from 'cuttle';
import { decodeModel, encodeModel } from 'cuttle/onnx';
import { costOf } from 'cuttle/passes';
import { openSession, type Session } from 'cuttle/runtime';
import { batches, type ImageDataset } from 'cuttle/data';
import { trainModel } from 'cuttle/train';
import { buildArchitecture } from 'cuttle/zoo';
import { evaluateDesign, openProgressive, readProgressive, type DesignChoice, type EvaluatedDesign, type ExitCosts, type ScoreTables } from 'cuttle/exits';

export const model: Model = buildArchitecture('resnet-8', { classes: 10, input: [3, 32, 32], seed: 0 });
export const macs: number = costOf(decodeModel(encodeModel(model))).total.macs;
export const open = (bytes: Uint8Array): Promise<Session> => openSession(bytes, { threads: 1 });
export const choice: DesignChoice = { exits: [1, 4], policy: { kind: 'confidence', thresholds: 0.9 }, fallback: 'last' };
export const score = (scores: ScoreTables, costs: ExitCosts): EvaluatedDesign => evaluateDesign(scores, costs, choice);
export const run = (progressive: Model) => openProgressive(readProgressive(progressive), choice);
export const failed = (error: unknown): string | undefined => (error instanceof CuttleError ? error.code : undefined);
export type Data = ImageDataset;
export { batches, trainModel };
`;
const nodeOnly = `
import { loadModel, saveModel } from 'cuttle/onnx';
import { openData } from 'cuttle/data';
import { trainToFile } from 'cuttle/train';
export { loadModel, openData, saveModel, trainToFile };
`;

/** Messages of the compiler for one file. */
function check(name: string, source: string, options: ts.CompilerOptions): readonly string[] {
  const file = join(folder, name);
  writeFileSync(file, source);
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'],
    strict: true,
    noEmit: true,
    types: [],
    ...options,
  });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ file: at, messageText }) => `${at?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
}

const forNode: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  skipLibCheck: true,
};
const forBundlers: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  customConditions: ['browser'],
  skipLibCheck: true,
};

describe.skipIf(!built)('a package that uses Cuttle', () => {
  test('type-checks in Node', () => {
    expect(check('node.ts', everywhere + nodeOnly, forNode)).toEqual([]);
  });

  test('type-checks in a bundler for browsers, which is offered no files', () => {
    expect(check('browser.ts', everywhere, forBundlers)).toEqual([]);
    const offered = check('browser-files.ts', nodeOnly, forBundlers);
    for (const name of ['loadModel', 'openData', 'trainToFile'])
      expect(
        offered.some((message) => message.includes(`'${name}'`)),
        name,
      ).toBe(true);
  });

  test('loads every subpath, and the published schemas', () => {
    const script = `
      for (const path of ${JSON.stringify(subpaths)}) {
        const module = await import('cuttle' + path.slice(1));
        if (Object.keys(module).length === 0) throw new Error(path + ' exports nothing');
      }
      const { CuttleError } = await import('cuttle');
      const { decodeModel } = await import('cuttle/onnx/node');
      try { decodeModel(new Uint8Array([1, 2, 3])); } catch (error) { if (!(error instanceof CuttleError)) throw error; }
      const url = import.meta.resolve('cuttle/schemas/design.schema.json');
      const { readFileSync } = await import('node:fs');
      process.stdout.write(JSON.parse(readFileSync(new URL(url), 'utf8')).title);
    `;
    writeFileSync(join(folder, 'run.mjs'), script);
    expect(execFileSync(process.execPath, ['run.mjs'], { cwd: folder, encoding: 'utf8' })).toMatch(/^A design/);
  });
});
