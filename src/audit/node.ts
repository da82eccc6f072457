/** @file Everything of `cuttle/audit`, with native zlib and temporary files. Node only. */
export * from './index.js';
export { nodeHost } from './node-host.js';
