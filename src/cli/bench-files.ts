/** @file Benchmark results in files: read back, and written as JSON, CSV, Parquet or HTML by the name's ending. */
import { benchCsv, parseBench, type BenchResult } from '../measure/index.js';
import { benchParquet } from '../measure/node.js';
import {
  basename,
  exists,
  extname,
  FileExistsError,
  readJson,
  writeFileAtomic,
  writeJson,
} from '../platform/node/files.js';
import { benchReport } from '../report/index.js';
import { UsageError } from './verb.js';

const WRITERS: Readonly<Record<string, (path: string, result: BenchResult) => Promise<void>>> = {
  '.json': (path, result) => writeJson(path, result, { force: true }),
  '.csv': (path, result) => writeFileAtomic(path, benchCsv([result]), { force: true }),
  '.parquet': async (path, result) => writeFileAtomic(path, await benchParquet([result]), { force: true }),
  '.html': (path, result) => writeFileAtomic(path, benchReport(result), { force: true }),
};

/** Refuses names with other endings, and files that are there already, before anything is measured. */
export async function checkOutputs(paths: readonly string[], force: boolean): Promise<void> {
  for (const path of paths) {
    if (WRITERS[extname(path)] === undefined)
      throw new UsageError(`--out: '${basename(path)}' does not end in ${Object.keys(WRITERS).join(', ')}`);
    if (!force && (await exists(path))) throw new FileExistsError(path);
  }
}

/** Writes a result into every file, in the form that its ending says. */
export async function writeOutputs(paths: readonly string[], result: BenchResult): Promise<void> {
  for (const path of paths) await WRITERS[extname(path)]!(path, result);
}

/** Reads a result. Throws FileError and BenchFormatError. */
export async function readBench(path: string): Promise<BenchResult> {
  return parseBench(await readJson(path));
}
