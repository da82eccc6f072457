/** @file Where every verb opens its MODEL: ONNX as it is, other formats converted; recognised by content. */
import {
  convertibleFormat,
  convertModel,
  HEAD_BYTES,
  mayBeConvertible,
  modelFormats,
  type Converted,
  type ConvertOptions,
} from '../audit/index.js';
import type { Model } from '../ir/index.js';
import { loadModel } from '../onnx/node.js';
import { fileInfo, joinPath, listFolder, readBytes, readRange } from '../platform/node/files.js';
import type { Console } from './console.js';

/**
 * Opens a model file, or a folder that holds a SavedModel. What is converted has real numbers at its ends, and one line says so.
 * Throws as `loadModel` and `convertModel`.
 */
export async function openModel(path: string, console: Console): Promise<Model> {
  const converted = await openForeign(path, { ends: 'real' });
  if (converted === undefined) return loadModel(path);
  console.log(`${path}: ${describeConversion(converted)}`);
  return converted.model;
}

/** The same for formats that must be converted only; `undefined` where the file is none of these. */
export async function openForeign(path: string, options: ConvertOptions): Promise<Converted | undefined> {
  const info = await fileInfo(path);
  if (info === undefined) return undefined;
  const file = info.kind === 'folder' ? joinPath(path, 'saved_model.pb') : path;
  const size = file === path ? info.size : ((await fileInfo(file))?.size ?? 0);
  if (size < 8 || !mayBeConvertible(await readRange(file, 0, Math.min(HEAD_BYTES, size)))) return undefined;
  const bytes = await readBytes(file);
  const format = convertibleFormat(bytes);
  if (format === undefined) return undefined;
  const checkpoint = format === 'savedmodel' ? await readCheckpoint(joinPath(file, '..', 'variables')) : undefined;
  return convertModel(format, bytes, { ...options, ...(checkpoint ? { checkpoint } : {}) });
}

/** One line on what was converted from what. */
export function describeConversion({ format, model, operators, signature, channelsFirst }: Converted): string {
  const count = [...operators.values()].reduce((sum, each) => sum + each, 0);
  const entry = signature === undefined ? '' : `, signature ${signature}`;
  const moved = channelsFirst.length === 0 ? '' : `; channels first: ${channelsFirst.join(', ')}`;
  return `${modelFormats[format].title}${entry}, converted to ONNX: ${count} operators to ${model.graph.nodes.length}${moved}`;
}

/** Variables of a SavedModel: an index and its shards; `undefined` where it has none. */
async function readCheckpoint(
  folder: string,
): Promise<{ index: Uint8Array; shards: readonly Uint8Array[] } | undefined> {
  if ((await fileInfo(folder))?.kind !== 'folder') return undefined;
  const files = await listFolder(folder);
  const index = files.find(({ name }) => name === 'variables.index');
  if (index === undefined) return undefined;
  const shards = files.filter(({ name }) => /^variables\.data-\d{5}-of-\d{5}$/.test(name));
  return { index: await readBytes(index.path), shards: await Promise.all(shards.map(({ path }) => readBytes(path))) };
}
