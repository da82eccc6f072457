/** @file The store as files for others: tables as Parquet or CSV, records as JSON, a bill of materials. */
import {
  exists,
  FileExistsError,
  fileInfo,
  joinPath,
  makeFolder,
  readText,
  removeFile,
  renameFile,
  writeFileAtomic,
  type WriteOptions,
} from '../../platform/node/files.js';
import { bomText } from './bom.js';
import { openDatabase } from './database.js';
import { runFiles, type IngestOptions } from './ingest.js';
import { updateStore } from './open-store.js';
import { storeTables } from './schema.js';
import { StoreError } from './store-error.js';

export const exportFormats = ['parquet', 'csv', 'json', 'cyclonedx'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions extends IngestOptions, WriteOptions {
  /** CycloneDX only: the app that the document is about, by identifier or SHA-256; all where omitted. */
  readonly app?: string;
}

/** Options of `COPY … TO`. */
const copyOptions = { parquet: 'FORMAT parquet, COMPRESSION zstd', csv: 'FORMAT csv, HEADER true' } as const;

/**
 * Writes a run's store, brought up to date first: `parquet` and `csv` write one file a table into the folder `out`, `json` all
 * records and `cyclonedx` the bill of materials into the file `out`. Gives the files. Each appears whole or not at all.
 * Throws StoreError, FileError, FileExistsError where a file is there and `force` is not given.
 */
export async function exportStore(
  path: string,
  format: ExportFormat,
  out: string,
  options: ExportOptions = {},
): Promise<readonly string[]> {
  const { path: store } = await updateStore(path, options);
  await using database = await openDatabase(store, 'read');
  switch (format) {
    case 'parquet':
    case 'csv': {
      await makeFolder(out);
      const files = storeTables.map(({ name }) => ({ name, file: joinPath(out, `${name}.${format}`) }));
      for (const { file } of files) if (options.force !== true && (await exists(file))) throw new FileExistsError(file);
      for (const { name, file } of files) {
        options.signal?.throwIfAborted();
        const partial = `${file}.partial`;
        try {
          await database.run(
            `COPY (SELECT * FROM ${name} ORDER BY ALL) TO '${partial.replaceAll("'", "''")}' (${copyOptions[format]})`,
          );
          await renameFile(partial, file);
        } finally {
          await removeFile(partial);
        }
      }
      return files.map(({ file }) => file);
    }
    case 'json': {
      if ((await fileInfo(path))?.kind !== 'folder')
        throw new StoreError('usage', 'no-records', 'JSON is written from the records, and a store alone has none', {
          hint: 'Give the folder of the audit.',
        });
      const rejected = await database.rows('SELECT file FROM store_files WHERE error IS NOT NULL');
      await writeFileAtomic(out, recordsJson(path, new Set(rejected.map((row) => row['file'] as string))), options);
      return [out];
    }
    case 'cyclonedx':
      await writeFileAtomic(out, await bomText(database, options.app), options);
      return [out];
  }
}

/** `{ "schema": 1, "records": [ … ], "measurements": [ … ] }`, one record at a time in memory. */
async function* recordsJson(folder: string, without: ReadonlySet<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const files = (await runFiles(folder)).filter(({ file }) => !without.has(file));
  for (const [part, head] of [
    ['records', '{"schema":1,"records":['],
    ['measurements', '],"measurements":['],
  ] as const) {
    yield encoder.encode(head);
    let lead = '\n';
    for (const { file } of files.filter((one) => one.file.startsWith(`${part}/`))) {
      const text = (await readText(joinPath(folder, file))).trim();
      // A file of measurements may hold a list of them.
      const inner = part === 'measurements' && text.startsWith('[') ? text.slice(1, -1).trim() : text;
      if (inner !== '') yield encoder.encode(lead + inner);
      if (inner !== '') lead = ',\n';
    }
  }
  yield encoder.encode('\n]}\n');
}
