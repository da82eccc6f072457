/** @file The house rules: imports go down, libraries stay in their room, no file grows beyond its concept. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const src = resolve(import.meta.dirname, '../../src');

const floors: Readonly<Record<string, number>> = {
  ir: 0,
  platform: 0,
  onnx: 1,
  ops: 1,
  passes: 2,
  runtime: 3,
  data: 4,
  zoo: 4,
  train: 4,
  audit: 5,
  exits: 5,
  split: 5,
  measure: 5,
  report: 6,
  studio: 7,
  cli: 7,
};

/** Pairs of rooms on one floor that may import each other, with the reason. */
const sideways: Readonly<Record<string, string>> = {
  'train → data': 'the training loop reads batches',
  'split → exits': 'split inference with exits (SPINN) needs their policies and score tables',
  'measure → exits': 'agents of the lab measure what early exits cost',
  'cli → studio': 'a verb opens it',
  'platform → ir': 'file errors are branded Cuttle errors',
};

/** Which room alone, or which folder of one, may import a library. */
const libraries: readonly (readonly [library: RegExp, rooms: readonly string[]])[] = [
  // Two wire formats are protobuf: the model file, and the inference protocol.
  [/^@bufbuild\/protobuf/, ['onnx', 'split/oip']],
  [/^@connectrpc\/connect/, ['split/server', 'split/client']],
  [/^onnxruntime-/, ['runtime']],
  [/^node:/, ['platform']],
  [/^commander$/, ['cli']],
  [/^(bullmq|ioredis)$/, ['audit/run']],
  [/^(fflate|lz4-napi|@hpcc-js\/wasm-zstd)$/, ['audit', 'split', 'platform']],
  [/^(sharp|tar-stream|mnist)$/, ['data', 'platform']],
];

interface Import {
  readonly file: string;
  readonly target: string;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith('.ts') ? [path] : [];
  });
}

const files = filesBelow(src).map((path) => relative(src, path).replaceAll('\\', '/'));
const own = files.filter((file) => !file.includes('/gen/'));
const text = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]));

/** Imports, exports-from and dynamic imports with a literal target. */
const imports: Import[] = files.flatMap((file) =>
  [...text.get(file)!.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'/g)].map(
    (match) => ({
      file,
      target: (match[1] ?? match[2])!,
    }),
  ),
);
const inside = imports
  .filter(({ target }) => target.startsWith('.'))
  .map(({ file, target }) => ({
    file,
    target: relative(src, resolve(src, dirname(file), target)).replace(/\.js$/, '.ts'),
  }));
const room = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '');

describe('dependency rules', () => {
  test('every folder has a floor', () => {
    expect([...new Set(files.map(room))].filter((name) => name !== '' && floors[name] === undefined)).toEqual([]);
  });

  test('imports go down, or stay inside a folder', () => {
    const offences = inside
      .filter(({ file }) => room(file) !== '')
      .filter(({ file, target }) => {
        const [from, to] = [room(file), room(target)];
        return from !== to && floors[from]! <= floors[to]! && !(`${from} → ${to}` in sideways);
      })
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(offences).toEqual([]);
  });

  test.each(libraries)('only its own room imports %s', (library, rooms) => {
    const offences = imports.filter(
      ({ file, target }) => library.test(target) && !rooms.some((allowed) => file.startsWith(`${allowed}/`)),
    );
    expect(offences).toEqual([]);
  });

  test('only platform/node imports node:*', () => {
    expect(
      imports.filter(({ file, target }) => target.startsWith('node:') && !file.startsWith('platform/node/')),
    ).toEqual([]);
  });

  test('no circular imports', () => {
    const graph = new Map<string, string[]>();
    for (const { file, target } of inside) graph.set(file, [...(graph.get(file) ?? []), target]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
        return;
      }
      if (done.has(file)) return;
      for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('no file is longer than 600 lines', () => {
    expect(own.filter((file) => text.get(file)!.split('\n').length > 601)).toEqual([]);
  });

  test('every file says what it is for', () => {
    expect(own.filter((file) => !/^(#![^\n]*\n)?\/\*\*\s+(\* )?@file /.test(text.get(file)!))).toEqual([]);
  });

  test('no default exports', () => {
    expect(own.filter((file) => /\nexport default /.test(text.get(file)!))).toEqual([]);
  });
});
