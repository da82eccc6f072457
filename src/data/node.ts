/** @file Everything of `cuttle/data`, and data from files, archives and the network. Node only. */
export * from './index.js';
export { openDecoder, type DecodedImage, type DecodeOptions, type ImageDecoder } from './decode.js';
export { preprocessImage, preprocessImageBytes } from './input.js';
export { openData, type DataProgress, type DataReport, type OpenDataOptions, type OpenedData } from './open.js';
export { type SplitOptions } from './parts.js';
export { knownDatasets, registeredName, type KnownDataset, type PublishedFile } from './registry.js';
export { isTextSource, MAX_TEXT_BYTES, openText } from './text-file.js';
