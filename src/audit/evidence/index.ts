/** @file `audit/evidence`: which frameworks, cloud services and accelerators an app uses, and how that is known. */
export { type Evidence, type Subject, type SubjectKind, type Use } from './kinds.js';
export { subjects } from './subjects.js';
