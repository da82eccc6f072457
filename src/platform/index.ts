/** @file `platform`: what is the same in Node and browsers. Files, workers, gzip and hashes stand in `node/`. */
export * from './bytes.js';
export * from './clock.js';
export * from './host-description.js';
export * from './host.js';
export * from './random.js';
export * from './schema-messages.js';
export * from './turn.js';
