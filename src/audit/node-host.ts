/** @file The archive host of Node: native zlib, temporary files for what is too large for memory. */
import { crc32, gunzipChunks, inflateRaw, inflateRawStream, keepInFile } from '../platform/node/inflate.js';
import { type ArchiveHost } from './archive/host.js';

export const nodeHost: ArchiveHost = {
  inflate: inflateRaw,
  inflateStream: inflateRawStream,
  gunzipStream: gunzipChunks,
  crc32,
  spill: keepInFile,
};
