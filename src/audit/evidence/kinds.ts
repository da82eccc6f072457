/** @file What evidence is: a subject, how it is used, how sure that is, and where it was seen. */

import { type Confidence } from '../find/finding.js';

/**
 * `called`: the app's own code calls it. `called-by-library`: code of another known library calls it.
 * `referenced`: code names it, no call was seen. `present`: it is in the package; whether anything uses it is not known.
 */
export type Use = 'called' | 'called-by-library' | 'referenced' | 'present';

export type SubjectKind = 'framework' | 'cloud' | 'accelerator';

/** One framework, cloud service or accelerator, and what gives it away. Empty lists are left out. */
export interface Subject {
  readonly kind: SubjectKind;
  readonly title: string;
  /** Prefixes of class descriptors, each ending in `/`, or whole descriptors. */
  readonly classes?: readonly string[];
  /** Methods, as `Lclass;->name`, that mean this subject whatever their class belongs to. */
  readonly methods?: readonly string[];
  /** Names of native libraries and of iOS frameworks, without folders. */
  readonly libraries?: RegExp;
  /** Prefixes of dynamic symbols. */
  readonly symbols?: readonly string[];
  /** Texts in native code that only this subject's has. */
  readonly strings?: readonly string[];
  /** Texts in Java code: hosts of services. A `*` at the beginning is a host's part in front. */
  readonly hosts?: readonly string[];
  /** Names of manifest metadata. */
  readonly metadata?: readonly string[];
}

/** What was seen of a subject in one file by one kind of clue. */
export interface Evidence {
  readonly subject: string;
  readonly use: Use;
  readonly confidence: Confidence;
  readonly clue: 'call' | 'class' | 'library' | 'symbol' | 'string' | 'host' | 'metadata';
  readonly path: string;
  /** How often. */
  readonly count: number;
  /** The first few: `Lcom/app/Main;->…` for a call, a symbol, a text. */
  readonly examples: readonly string[];
}
