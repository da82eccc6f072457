/** @file `audit/find`: models in files, by content. */
export type { Confidence, Finding } from './finding.js';
export { describeFinding, findModels, type FileToSearch, type FindOptions } from './find-models.js';
