/** @file `cuttle/audit`: what is inside apps: archives, manifests, code, libraries. Pure; files are opened by `cuttle/audit/node`. */
export * from './analyse/index.js';
export * from './app/index.js';
export * from './archive/index.js';
export { auditApp, type AuditAppOptions, type AuditedApp, type ModelFinder } from './audit-app.js';
export * from './evidence/index.js';
export { AuditError } from './errors.js';
export { problemKinds, type Problem, type ProblemCode } from './problem.js';
export { bytesSource, type ByteSource, type HeldSource } from './source.js';
export { modelFormats, type ModelFormat } from './formats.js';
export * from './find/index.js';
export * from './convert/index.js';
export * from './read/index.js';
export type { AppOrigin, AppRecord, ModelRecord } from './record.js';
